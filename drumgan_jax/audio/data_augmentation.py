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
# A peak that stands for a silent recording's, so that nothing is divided by zero.
_SILENT = 1e-9


class DataAugmentation(Protocol):
    """A random change of recordings; frozen and hashable."""

    @property
    def reconstructions_only(self) -> bool:
        """Whether changed recordings are reconstructed only, and the discriminator sees them as they are."""

    def __call__(self, waveforms: Array, sample_rate: int, keys: Array, labels: Array | None) -> Array:
        """Changed recordings [batch, samples] of recordings of that form.

        Args:
            waveforms: [batch, samples].
            sample_rate: in Hz.
            keys: of each recording [batch].
            labels: of each [batch, labels]; None if all recordings are of one class.
        """


@dataclasses.dataclass(frozen=True)
class NoDataAugmentation:
    """The recordings as they are."""

    reconstructions_only: ClassVar[bool] = False

    def __call__(self, waveforms: Array, sample_rate: int, keys: Array, labels: Array | None) -> Array:
        """See DataAugmentation."""
        return waveforms


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrumAugmentation:
    """Layers, speed, decay, tilt, start and gain of one-shot sounds, each with a probability, in this order.

    The peak stays as it was, but for the gain.

    Attributes:
        layer_probability: of a second recording of the same class from the batch under the first.
        layer: lowest level of its peak relative to the first's in dB; the highest is half of that.
        speed_probability: of a change of speed (pitch and length together, as of a tape).
        speed: greatest change of speed in semitones, to either side.
        decay_probability: of a faster decay.
        decay: greatest rate of the exponential that the sound is multiplied by, in 1 / s.
        tilt_probability: of a tilt of the spectrum.
        tilt: greatest tilt in dB per octave around 1 kHz, to either side.
        start_probability: of a later start.
        start: greatest delay in seconds; recordings begin with their onset.
        gain_probability: of a lower level.
        gain: greatest attenuation in dB.
        fade: length of the fade at the end in seconds, which a changed sound needs.
        reconstructions_only: see DataAugmentation.

    Raises:
        BadInput: a value is out of range.
    """

    layer_probability: float = real(0.0, 1.0, 0.0)
    layer: float = real(-100.0, 0.0, -18.0)
    speed_probability: float = real(0.0, 1.0, 0.6)
    speed: float = real(0.0, 24.0, 2.0)
    decay_probability: float = real(0.0, 1.0, 0.4)
    decay: float = real(0.0, 1e3, 6.0)
    tilt_probability: float = real(0.0, 1.0, 0.0)
    tilt: float = real(0.0, 12.0, 1.0)
    start_probability: float = real(0.0, 1.0, 0.0)
    start: float = real(0.0, 1.0, 0.005)
    gain_probability: float = real(0.0, 1.0, 0.0)
    gain: float = real(0.0, 100.0, 12.0)
    fade: float = real(0.0, 1.0, 0.01)
    reconstructions_only: bool = flag(False)

    def __post_init__(self) -> None:
        check_fields(self, "data_augmentation")

    def __call__(self, waveforms: Array, sample_rate: int, keys: Array, labels: Array | None) -> Array:
        """See DataAugmentation."""
        if self.layer_probability:
            waveforms = self._layered(waveforms, jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys), labels)
        return jax.vmap(lambda one, key: self._change(one, sample_rate, key))(waveforms, keys)

    def _layered(self, waveforms: Array, keys: Array, labels: Array | None) -> Array:
        """Recordings [batch, samples], some with another of their class under them; the peak stays."""
        count = len(waveforms)
        alike = jnp.ones((count, count)) if labels is None else jnp.dot(labels, labels.T, precision="highest")
        alike = jnp.where(jnp.eye(count, dtype=bool), 0.0, alike)
        peaks = jnp.maximum(jnp.max(jnp.abs(waveforms), axis=1), _SILENT)

        def layered(row: Array, peak: Array, chances: Array, key: Array) -> Array:
            which, whether, level = jax.random.split(key, 3)
            partner = jax.random.categorical(which, jnp.log(chances))
            gain = 10.0 ** (jax.random.uniform(level, minval=self.layer, maxval=self.layer / 2) / 20.0)
            mixed = row + waveforms[partner] * (gain * peak / peaks[partner])
            mixed = mixed * (peak / jnp.maximum(jnp.max(jnp.abs(mixed)), _SILENT))
            chosen = jax.random.bernoulli(whether, self.layer_probability) & (jnp.max(chances) > 0)
            return jnp.where(chosen, mixed, row)

        return jax.vmap(layered)(waveforms, peaks, alike, keys)

    def _change(self, waveform: Array, sample_rate: int, key: Array) -> Array:
        """One recording [samples]."""
        keys = jax.random.split(key, 10)
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
        if self.start_probability and self.start:
            delay = drawn(keys[6:8], self.start_probability, 0.0, self.start)
            changed = delayed(
                changed, jnp.round(delay * sample_rate).astype(jnp.int32), round(self.start * sample_rate)
            )
        if self.fade:
            changed = changed * jnp.minimum(1.0, (seconds[-1] - seconds) / self.fade)
        peak = jnp.max(jnp.abs(waveform))
        if self.gain_probability and self.gain:
            peak = peak * 10.0 ** (drawn(keys[8:10], self.gain_probability, -self.gain, 0.0) / 20.0)
        return changed * (peak / jnp.maximum(jnp.max(jnp.abs(changed)), _SILENT))


def delayed(waveform: Array, delay: Array, longest: int) -> Array:
    """A recording [samples] that begins `delay` [] samples later, at most `longest`, after zeros."""
    return jax.lax.dynamic_slice(jnp.pad(waveform, (longest, 0)), (longest - delay,), waveform.shape)


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
