"""Random augmentation of drum sounds that preserves their class; runs on the device from a PRNG key."""

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
    """Kinds and limits of augmentation; every example has its own key, so a batch may be split over devices.

    Attributes:
        gain_db: largest attenuation of a waveform, in dB.
        shift: largest delay of a waveform, in seconds.
        band_limit: probability of removing all bands above a random frequency, as in sound from a lower sample rate.
        lowest_band_limit: lowest such frequency in Hz; the highest is half the sample rate.
        equalizer_db: largest boost or cut of a band in dB, interpolated linearly between EQUALIZER_POINTS points.
        mask_bands: largest number of neighbouring bands set to the floor.
        mask_frames: largest number of neighbouring frames set to the floor.
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
        """Augmented bands [batch, mel, frames, 1] of waveforms [batch, samples], with a key for each [batch]."""
        pairs = jax.vmap(jax.random.split)(keys)
        waveform = jax.vmap(lambda one, key: self._augment_waveform(one, front_end, key))(waveform, pairs[:, 0])
        return jax.vmap(lambda one, key: self._augment_bands(one, front_end, key))(front_end(waveform), pairs[:, 1])

    def _augment_waveform(self, waveform: Array, front_end: FrontEnd, key: Array) -> Array:
        """Apply gain and shift to one waveform [samples]."""
        keys = jax.random.split(key)
        decibels = jax.random.uniform(keys[0], minval=-self.gain_db, maxval=0.0)
        longest = round(self.shift * front_end.sample_rate)
        delay = jax.random.randint(keys[1], (), 0, longest + 1)
        padded = jnp.pad(waveform, (longest, 0))
        return jax.lax.dynamic_slice(padded, (longest - delay,), waveform.shape) * 10.0 ** (decibels / 20.0)

    def _augment_bands(self, bands: Array, front_end: FrontEnd, key: Array) -> Array:
        """Apply equaliser, band limit and masks to one example [mel, frames, 1]."""
        keys = jax.random.split(key, 5)
        num_mels, num_frames, _ = bands.shape
        floor = front_end.silence

        limit = self.equalizer_db / front_end.decibels
        points = jax.random.uniform(keys[0], (EQUALIZER_POINTS,), minval=-1.0) * limit
        positions = jnp.linspace(0.0, 1.0, num_mels), jnp.linspace(0.0, 1.0, EQUALIZER_POINTS)
        curve = jnp.interp(positions[0], positions[1], points)
        # Bands within rounding error of the floor count as silent.
        audible = (bands - floor) * front_end.decibels > 1e-3
        bands = jnp.maximum(jnp.where(audible, bands + curve[:, None, None], floor), floor)

        low, high = jnp.log(self.lowest_band_limit), jnp.log(front_end.sample_rate / 2)
        cutoff = jnp.exp(jax.random.uniform(keys[1], minval=jnp.minimum(low, high), maxval=high))
        limited = jax.random.bernoulli(keys[2], float(self.band_limit)) & (jnp.asarray(front_end.frequencies) > cutoff)
        masked = limited[:, None] | _interval(keys[3], num_mels, self.mask_bands)[:, None]
        masked |= _interval(keys[4], num_frames, self.mask_frames)[None, :]
        return jnp.where(masked[:, :, None], floor, bands)


EQUALIZER_POINTS = 5


def _interval(key: Array, size: int, longest: int) -> Array:
    """Boolean mask [size] of a random interval of at most `longest` positions."""
    keys = jax.random.split(key)
    length = jax.random.randint(keys[0], (), 0, min(longest, size) + 1)
    start = jax.random.randint(keys[1], (), 0, size - length + 1)
    positions = jnp.arange(size)
    return (positions >= start) & (positions < start + length)
