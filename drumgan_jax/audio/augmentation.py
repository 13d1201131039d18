"""Random changes to drum sounds that leave their class as it is, on the device and by key."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from drumgan_jax.audio.front_end import FrontEnd
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import check_fields, real, whole

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is changed, and how much; every example has its own key, so a batch may be split over devices.

    Attributes:
        gain_db: waveforms are made softer by up to this.
        shift: seconds by which a waveform starts later, at most.
        band_limit: probability that all above a random frequency is taken away, as if resampled from a lower rate.
        lowest_band_limit: the least of these frequencies in Hz; the greatest is half the sample rate.
        equalizer_db: bands are raised or lowered by up to this, along straight lines between EQUALIZER_POINTS points.
        mask_bands: up to this many neighbouring bands are set to the floor.
        mask_frames: up to this many neighbouring frames are set to the floor.
    """

    gain_db: float = real(0.0, math.inf, 18.0)
    shift: float = real(0.0, math.inf, 0.02)
    band_limit: float = real(0.0, 1.0, 0.3)
    lowest_band_limit: float = real(0.0, math.inf, 3_500.0)
    equalizer_db: float = real(0.0, math.inf, 6.0)
    mask_bands: int = whole(0, 12)
    mask_frames: int = whole(0, 4)

    def __post_init__(self) -> None:
        check_fields(self, "augmentation")
        if self.band_limit and not self.lowest_band_limit:
            raise BadInput("config.augmentation.lowest_band_limit is 0; it must be above 0 Hz.")

    def __call__(self, waveform: Array, front_end: FrontEnd, keys: Array) -> Array:
        """Changed bands [batch, mel, frames, 1] of waveforms [batch, samples], by a key for each [batch]."""
        pairs = jax.vmap(jax.random.split)(keys)
        waveform = jax.vmap(lambda one, key: self._of_waveform(one, front_end, key))(waveform, pairs[:, 0])
        return jax.vmap(lambda one, key: self._of_bands(one, front_end, key))(front_end(waveform), pairs[:, 1])

    def _of_waveform(self, waveform: Array, front_end: FrontEnd, key: Array) -> Array:
        """Gain and shift of one waveform [samples]."""
        keys = jax.random.split(key)
        decibels = jax.random.uniform(keys[0], minval=-self.gain_db, maxval=0.0)
        latest = round(self.shift * front_end.sample_rate)
        late = jax.random.randint(keys[1], (), 0, latest + 1)
        padded = jnp.pad(waveform, (latest, 0))
        return jax.lax.dynamic_slice(padded, (latest - late,), waveform.shape) * 10.0 ** (decibels / 20.0)

    def _of_bands(self, bands: Array, front_end: FrontEnd, key: Array) -> Array:
        """Equaliser, band limit and masks of one example [mel, frames, 1]."""
        keys = jax.random.split(key, 5)
        num_mels, num_frames, _ = bands.shape
        floor = front_end.silence

        most = self.equalizer_db / front_end.decibels
        points = jax.random.uniform(keys[0], (EQUALIZER_POINTS,), minval=-1.0) * most
        places = jnp.linspace(0.0, 1.0, num_mels), jnp.linspace(0.0, 1.0, EQUALIZER_POINTS)
        curve = jnp.interp(places[0], places[1], points)
        # What is within a logarithm's rounding of the floor is at it.
        heard = (bands - floor) * front_end.decibels > 1e-3
        bands = jnp.maximum(jnp.where(heard, bands + curve[:, None, None], floor), floor)

        low, high = jnp.log(self.lowest_band_limit), jnp.log(front_end.sample_rate / 2)
        limit = jnp.exp(jax.random.uniform(keys[1], minval=jnp.minimum(low, high), maxval=high))
        limited = jax.random.bernoulli(keys[2], float(self.band_limit)) & (jnp.asarray(front_end.frequencies) > limit)
        masked = limited[:, None] | _stretch(keys[3], num_mels, self.mask_bands)[:, None]
        masked |= _stretch(keys[4], num_frames, self.mask_frames)[None, :]
        return jnp.where(masked[:, :, None], floor, bands)


EQUALIZER_POINTS = 5


def _stretch(key: Array, size: int, longest: int) -> Array:
    """A random stretch [size] of at most `longest` places, true inside."""
    keys = jax.random.split(key)
    length = jax.random.randint(keys[0], (), 0, min(longest, size) + 1)
    start = jax.random.randint(keys[1], (), 0, size - length + 1)
    places = jnp.arange(size)
    return (places >= start) & (places < start + length)
