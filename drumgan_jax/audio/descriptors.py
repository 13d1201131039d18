"""Perceptual descriptors of a sound: brightness, level, decay, pitch, noisiness; pure jnp in float32."""

import functools

import jax
import jax.numpy as jnp

from drumgan_jax.audio.stft import Framing, stft

Array = jax.Array

# Units of the descriptors by name; empty for ratios.
UNITS = {"brightness": "Hz", "level": "dB", "decay": "s", "pitch": "Hz", "confidence": "", "noisiness": ""}

# Long enough to resolve the low tones of a kick from 0 Hz.
_WINDOW_SECONDS = 0.08
_PITCH_RANGE = (30.0, 1000.0)
# Half width of the main lobe of a Hann window, in bins.
_LOBE = 2
_FLOOR_DB = -120.0
# Share of the energy ignored at each end of a sound: 20 dB below the total.
_TAIL = 0.01


@functools.partial(jax.jit, static_argnums=1)
def describe(waveform: Array, sample_rate: int) -> dict[str, Array]:
    """All descriptors in UNITS by name, each [batch], of waveforms [batch, samples] at a sample rate in Hz."""
    power = power_spectrum(waveform, sample_rate)
    hertz, confidence = pitch(power, sample_rate)
    return {
        "brightness": brightness(power, sample_rate),
        "level": level(waveform),
        "decay": decay(waveform, sample_rate),
        "pitch": hertz,
        "confidence": confidence,
        "noisiness": noisiness(power),
    }


def power_spectrum(waveform: Array, sample_rate: int) -> Array:
    """Power spectrum [batch, bins], 0 Hz to Nyquist, summed over time, of waveforms [batch, samples]."""
    n_fft = 1 << (int(_WINDOW_SECONDS * sample_rate) - 1).bit_length()
    spectra = stft(waveform, Framing(n_fft, n_fft // 4))
    return jnp.sum(jnp.square(jnp.real(spectra)) + jnp.square(jnp.imag(spectra)), axis=1)


def brightness(power: Array, sample_rate: int) -> Array:
    """Centroid of a power spectrum [batch, bins] in Hz [batch]; 0 for silence."""
    moment = jnp.matmul(power, _frequencies(power, sample_rate), precision=jax.lax.Precision.HIGHEST)
    return _ratio(moment, jnp.sum(power, axis=1))


def level(waveform: Array) -> Array:
    """RMS level of waveforms [batch, samples] in dB relative to a constant 1 [batch]; at least -120 dB."""
    mean = jnp.mean(jnp.square(waveform), axis=1)
    return 10.0 * jnp.log10(jnp.maximum(mean, 10.0 ** (_FLOOR_DB / 10.0)))


def decay(waveform: Array, sample_rate: int) -> Array:
    """Seconds in which the cumulative energy of waveforms [batch, samples] rises from 1 % to 99 % [batch].

    Silence before or after a sound, and its level, do not matter. The end is the point where Schroeder's backward
    integral (1965) has fallen by 20 dB. 0 for silence.
    """
    energy = jnp.square(waveform)
    total = jnp.sum(energy, axis=1, keepdims=True)
    cumulative = _ratio(jnp.cumsum(energy, axis=1), total)
    inside = (cumulative >= _TAIL) & (cumulative < 1.0 - _TAIL)
    return jnp.sum(inside, axis=1).astype(jnp.float32) / sample_rate


def pitch(power: Array, sample_rate: int) -> tuple[Array, Array]:
    """The strongest tone from 30 Hz to 1 kHz in a power spectrum [batch, bins].

    Returns:
        Its frequency in Hz [batch], from a parabola through the log power of the highest bin and its neighbours; and a
        confidence [batch], the share of all power in its main lobe: 1 for a sine, near 0 for noise. Both are 0 for
        silence.
    """
    hertz = _frequencies(power, sample_rate)
    inside = (hertz >= _PITCH_RANGE[0]) & (hertz <= _PITCH_RANGE[1]) & (jnp.arange(len(hertz)) < len(hertz) - 1)
    peak = jnp.argmax(jnp.where(inside, power, -1.0), axis=1)
    total = jnp.sum(power, axis=1)
    around = jnp.take_along_axis(power, peak[:, None] + jnp.arange(-1, 2), axis=1)
    before, at, after = jnp.moveaxis(jnp.log(jnp.maximum(around, jnp.finfo(jnp.float32).tiny)), 1, 0)
    curvature = before - 2.0 * at + after
    # The highest bin is not always a peak at the ends of the range; the offset is then limited to half a bin.
    offset = jnp.clip(0.5 * _ratio(before - after, curvature), -0.5, 0.5)
    near = jnp.abs(jnp.arange(len(hertz)) - peak[:, None]) <= _LOBE
    confidence = _ratio(jnp.sum(jnp.where(near, power, 0.0), axis=1), total)
    return jnp.where(total > 0.0, (peak.astype(jnp.float32) + offset) * hertz[1], 0.0), confidence


def noisiness(power: Array) -> Array:
    """Spectral flatness [batch] of a power spectrum [batch, bins], its geometric over its arithmetic mean.

    1 for a flat spectrum, near 0 for tones. Bins are clamped at 100 dB below the mean, so that missing bands and
    silence (0) are defined.
    """
    mean = jnp.mean(power, axis=1, keepdims=True)
    floored = jnp.maximum(_ratio(power, mean), 1e-10)
    return jnp.where(mean[:, 0] > 0.0, jnp.exp(jnp.mean(jnp.log(floored), axis=1)), 0.0)


def _frequencies(power: Array, sample_rate: int) -> Array:
    bins = power.shape[1]
    return jnp.arange(bins, dtype=jnp.float32) * (sample_rate / (2.0 * (bins - 1)))


def _ratio(part: Array, total: Array) -> Array:
    """part / total, or 0 where total is 0."""
    defined = total != 0.0
    return jnp.where(defined, part / jnp.where(defined, total, 1.0), 0.0)
