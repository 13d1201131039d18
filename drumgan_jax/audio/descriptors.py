"""What one hears of a sound, as numbers: brightness, level, decay, pitch, noisiness; pure jnp in float32."""

import functools

import jax
import jax.numpy as jnp

from drumgan_jax.audio.stft import Framing, stft

Array = jax.Array

# By name, the unit of what `describe` says; empty for shares.
UNITS = {"brightness": "Hz", "level": "dB", "decay": "s", "pitch": "Hz", "confidence": "", "noisiness": ""}

# Long enough to tell the tones of a kick apart from 0 Hz.
_WINDOW_SECONDS = 0.08
_PITCH_RANGE = (30.0, 1000.0)
# Half the width of the main lobe of a Hann window, in bins.
_LOBE = 2
_FLOOR_DB = -120.0
# What of the energy is passed over at either end of a sound: the last of it, 20 dB below the whole.
_TAIL = 0.01


@functools.partial(jax.jit, static_argnums=1)
def describe(waveform: Array, sample_rate: int) -> dict[str, Array]:
    """All descriptors of UNITS by name, each [batch], of waveforms [batch, samples] at a rate in Hz."""
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
    """Power at each frequency, 0 Hz to Nyquist, summed over time [batch, bins], of waveforms [batch, samples]."""
    n_fft = 1 << (int(_WINDOW_SECONDS * sample_rate) - 1).bit_length()
    spectra = stft(waveform, Framing(n_fft, n_fft // 4))
    return jnp.sum(jnp.square(jnp.real(spectra)) + jnp.square(jnp.imag(spectra)), axis=1)


def brightness(power: Array, sample_rate: int) -> Array:
    """Centroid of a power spectrum [batch, bins] in Hz [batch]; 0 of silence."""
    moment = jnp.matmul(power, _frequencies(power, sample_rate), precision=jax.lax.Precision.HIGHEST)
    return _share(moment, jnp.sum(power, axis=1))


def level(waveform: Array) -> Array:
    """Root mean square of waveforms [batch, samples] in dB, 0 dB that of a constant 1 [batch]; -120 dB at least."""
    mean = jnp.mean(jnp.square(waveform), axis=1)
    return 10.0 * jnp.log10(jnp.maximum(mean, 10.0 ** (_FLOOR_DB / 10.0)))


def decay(waveform: Array, sample_rate: int) -> Array:
    """Seconds from where 1 % of the energy of waveforms [batch, samples] has come to where 1 % is left [batch].

    So silence before and after a sound makes no difference, nor does its level. Backward integration (Schroeder 1965)
    makes the energy left a falling curve, of which the end is where it is 20 dB down; 0 of silence.
    """
    energy = jnp.square(waveform)
    whole = jnp.sum(energy, axis=1, keepdims=True)
    come = _share(jnp.cumsum(energy, axis=1), whole)
    inside = (come >= _TAIL) & (come < 1.0 - _TAIL)
    return jnp.sum(inside, axis=1).astype(jnp.float32) / sample_rate


def pitch(power: Array, sample_rate: int) -> tuple[Array, Array]:
    """The strongest tone from 30 Hz to 1 kHz of a power spectrum [batch, bins].

    Returns:
        Its frequency in Hz [batch], by the parabola through the logarithm of the highest bin and its neighbours; and
        how far to trust it: the share of all power that is in its lobe [batch], 1 of a sine and near 0 of noise. Both
        are 0 of silence.
    """
    hertz = _frequencies(power, sample_rate)
    inside = (hertz >= _PITCH_RANGE[0]) & (hertz <= _PITCH_RANGE[1]) & (jnp.arange(len(hertz)) < len(hertz) - 1)
    peak = jnp.argmax(jnp.where(inside, power, -1.0), axis=1)
    whole = jnp.sum(power, axis=1)
    around = jnp.take_along_axis(power, peak[:, None] + jnp.arange(-1, 2), axis=1)
    before, at, after = jnp.moveaxis(jnp.log(jnp.maximum(around, jnp.finfo(jnp.float32).tiny)), 1, 0)
    bend = before - 2.0 * at + after
    # A highest bin at the end of the range need not be a peak; then half a bin is as far as it goes.
    offset = jnp.clip(0.5 * _share(before - after, bend), -0.5, 0.5)
    near = jnp.abs(jnp.arange(len(hertz)) - peak[:, None]) <= _LOBE
    confidence = _share(jnp.sum(jnp.where(near, power, 0.0), axis=1), whole)
    return jnp.where(whole > 0.0, (peak.astype(jnp.float32) + offset) * hertz[1], 0.0), confidence


def noisiness(power: Array) -> Array:
    """Flatness of a power spectrum [batch, bins]: geometric over arithmetic mean [batch]; 1 of white noise, 0 of tones.

    Frequencies 100 dB and more below the mean count as that, so that silence (0) and missing bands are defined.
    """
    mean = jnp.mean(power, axis=1, keepdims=True)
    floored = jnp.maximum(_share(power, mean), 1e-10)
    return jnp.where(mean[:, 0] > 0.0, jnp.exp(jnp.mean(jnp.log(floored), axis=1)), 0.0)


def _frequencies(power: Array, sample_rate: int) -> Array:
    bins = power.shape[1]
    return jnp.arange(bins, dtype=jnp.float32) * (sample_rate / (2.0 * (bins - 1)))


def _share(part: Array, whole: Array) -> Array:
    """part / whole, and 0 where the whole is 0."""
    there = whole != 0.0
    return jnp.where(there, part / jnp.where(there, whole, 1.0), 0.0)
