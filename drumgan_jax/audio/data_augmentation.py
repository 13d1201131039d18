"""Random changes of recordings that leave them recordings of the same class; on the device, from a key.

They make more of few recordings. A discriminator that sees changed recordings as real teaches the generator the changed
sounds too, at the share in which they come; `reconstructions_only` shows them to an encoder alone. What a discriminator
sees of both sides is changed by `objectives.augmentation`.
"""

import dataclasses
import math
from typing import ClassVar, Protocol

import jax
import jax.numpy as jnp

from drumgan_jax.core.settings import check_fields, flag, real

Array = jax.Array

# Half the length of the interpolation filter, in samples.
_REACH = 8


class DataAugmentation(Protocol):
    """A random change of recordings; frozen and hashable."""

    @property
    def reconstructions_only(self) -> bool:
        """Whether changed recordings are reconstructed only, and the discriminator sees them as they are."""

    def __call__(self, waveforms: Array, sample_rate: int, keys: Array) -> Array:
        """Changed recordings [batch, samples] of recordings of that form, by a key for each [batch]."""


@dataclasses.dataclass(frozen=True)
class NoDataAugmentation:
    """The recordings as they are."""

    reconstructions_only: ClassVar[bool] = False

    def __call__(self, waveforms: Array, sample_rate: int, keys: Array) -> Array:
        """See DataAugmentation."""
        return waveforms


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrumAugmentation:
    """Speed, decay and tilt of one-shot sounds, each with a probability; the peak stays as it was.

    Attributes:
        speed_probability: of a change of speed (pitch and length together, as of a tape).
        speed: greatest change of speed in semitones, to either side.
        decay_probability: of a faster decay.
        decay: greatest rate of the exponential that the sound is multiplied by, in 1 / s.
        tilt_probability: of a tilt of the spectrum.
        tilt: greatest tilt in dB per octave around 1 kHz, to either side.
        fade: length of the fade at the end in seconds, which a changed sound needs.
        reconstructions_only: see DataAugmentation.

    Raises:
        BadInput: a value is out of range.
    """

    speed_probability: float = real(0.0, 1.0, 0.6)
    speed: float = real(0.0, 24.0, 2.0)
    decay_probability: float = real(0.0, 1.0, 0.4)
    decay: float = real(0.0, 1e3, 6.0)
    tilt_probability: float = real(0.0, 1.0, 0.0)
    tilt: float = real(0.0, 12.0, 1.0)
    fade: float = real(0.0, 1.0, 0.01)
    reconstructions_only: bool = flag(False)

    def __post_init__(self) -> None:
        check_fields(self, "data_augmentation")

    def __call__(self, waveforms: Array, sample_rate: int, keys: Array) -> Array:
        """See DataAugmentation."""
        return jax.vmap(lambda one, key: self._change(one, sample_rate, key))(waveforms, keys)

    def _change(self, waveform: Array, sample_rate: int, key: Array) -> Array:
        """One recording [samples]."""
        keys = jax.random.split(key, 6)
        seconds = jnp.arange(len(waveform), dtype=jnp.float32) / sample_rate

        def drawn(pair: Array, probability: float, least: float, most: float) -> Array:
            value = jax.random.uniform(pair[0], minval=least, maxval=most)
            return jnp.where(jax.random.bernoulli(pair[1], probability), value, 0.0)

        changed = waveform
        if self.speed_probability and self.speed:
            semitones = drawn(keys[0:2], self.speed_probability, -self.speed, self.speed)
            changed = play_at_speed(changed, 2.0 ** (semitones / 12.0))
        if self.decay_probability and self.decay:
            changed = changed * jnp.exp(-seconds * drawn(keys[2:4], self.decay_probability, 0.0, self.decay))
        if self.tilt_probability and self.tilt:
            changed = tilted(changed, drawn(keys[4:6], self.tilt_probability, -self.tilt, self.tilt), sample_rate)
        if self.fade:
            changed = changed * jnp.minimum(1.0, (seconds[-1] - seconds) / self.fade)
        peak = jnp.max(jnp.abs(changed))
        return changed * (jnp.max(jnp.abs(waveform)) / jnp.maximum(peak, 1e-9))


def play_at_speed(waveform: Array, speed: Array) -> Array:
    """A recording [samples] played at `speed` [], zeros after its end; by a windowed sinc of 16 samples.

    At speeds above 1 what exceeds half the sample rate is mirrored, which is inaudible up to a few semitones.
    """
    positions = jnp.arange(len(waveform), dtype=jnp.float32) * speed
    whole = jnp.floor(positions)
    offsets = jnp.arange(1 - _REACH, _REACH + 1)
    distance = (positions - whole)[:, None] - offsets.astype(jnp.float32)
    window = jnp.square(jnp.cos(jnp.pi * distance / (2 * _REACH)))
    weights = jnp.where(jnp.abs(distance) < _REACH, jnp.sinc(distance) * window, 0.0)
    index = whole.astype(jnp.int32)[:, None] + offsets
    samples = jnp.where((index >= 0) & (index < len(waveform)), waveform[jnp.clip(index, 0, len(waveform) - 1)], 0.0)
    return jnp.sum(weights * samples, axis=1)


def tilted(waveform: Array, tilt: Array, sample_rate: int) -> Array:
    """A recording [samples] whose spectrum rises by `tilt` [] dB per octave, unchanged at 1 kHz, flat below 20 Hz."""
    length = len(waveform)
    # Twice the length, so that what the filter spreads does not come round to the start.
    spectrum = jnp.fft.rfft(waveform, 2 * length)
    frequencies = jnp.arange(length + 1, dtype=jnp.float32) * (sample_rate / (2 * length))
    octaves = jnp.log2(jnp.maximum(frequencies, 20.0) / 1000.0)
    gain = jnp.exp(octaves * tilt * (math.log(10.0) / 20.0))
    return jnp.fft.irfft(spectrum * gain.astype(spectrum.dtype), 2 * length)[:length]
