"""Perceptual descriptors of a sound: brightness, depth, boominess, hardness, decay, ...; pure jnp in float32.

Depth, boominess and hardness are ours, after what the AudioCommons timbral models measure (Pearce, Brookes and Mason
2017, deliverable D5.2): the models themselves are regressions on listening tests of other sounds than drums.
"""

import functools
import math

import jax
import jax.numpy as jnp

from drumgan_jax.audio.stft import Framing, stft

Array = jax.Array

# Units of the descriptors by name; empty for ratios.
UNITS = {"brightness": "Hz", "level": "dB", "decay": "s", "pitch": "Hz", "confidence": "", "noisiness": ""}

# Long enough to resolve the low tones of a kick from 0 Hz.
_WINDOW_SECONDS = 0.08
_PITCH_RANGE = (30.0, 1000.0)
# Hz; where a sound is deep, and below which nothing is heard.
_DEEP = (30.0, 200.0)
# Hz: half octaves from 28 Hz on; those from 40 to 160 Hz boom.
_LOWEST_BAND, _BOOMING = 28.3, (40.0, 160.0)
# Loudness of a band grows with its power to this (Stevens 1957).
_LOUDNESS = 0.3
# Seconds of an envelope's frame, and of the attack that hardness looks at.
_ENVELOPE_FRAME, _ATTACK = 0.001, 0.025
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


def depth(power: Array, sample_rate: int) -> Array:
    """Share [batch] of a power spectrum [batch, bins] from 30 to 200 Hz in what is above 30 Hz; 0 for silence.

    The AudioCommons model of depth has this share, beside a centroid, as its strongest term.
    """
    hertz = _frequencies(power, sample_rate)
    heard = jnp.where(hertz >= _DEEP[0], power, 0.0)
    return _ratio(jnp.sum(jnp.where(hertz <= _DEEP[1], heard, 0.0), axis=1), jnp.sum(heard, axis=1))


def boominess(power: Array, sample_rate: int) -> Array:
    """Share [batch] of the loudness of a power spectrum [batch, bins] from 40 to 160 Hz; 0 for silence.

    Loudness is power^0.3 in half octaves, summed. After the booming index (Hatano and Hashimoto 2000), which weighs
    third octaves of a full loudness model.
    """
    hertz = _frequencies(power, sample_rate)
    count = int(2.0 * math.log2(sample_rate / 2.0 / _LOWEST_BAND))
    edges = _LOWEST_BAND * 2.0 ** (jnp.arange(count + 1, dtype=jnp.float32) / 2.0)
    inside = (hertz[:, None] >= edges[:-1]) & (hertz[:, None] < edges[1:])
    bands = jnp.matmul(power, inside.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST)
    # Relative to all power, so that the level does not matter to float32.
    loudness = _ratio(bands, jnp.sum(bands, axis=1, keepdims=True)) ** _LOUDNESS
    centres = jnp.sqrt(edges[:-1] * edges[1:])
    booming = jnp.where((centres >= _BOOMING[0]) & (centres <= _BOOMING[1]), loudness, 0.0)
    return _ratio(jnp.sum(booming, axis=1), jnp.sum(loudness, axis=1))


def hardness(waveform: Array, sample_rate: int) -> Array:
    """Octaves [batch] from 1 Hz to the attack's centroid, less those from 1 ms to its length, of [batch, samples].

    The attack's length is the time in which the envelope (RMS of 1 ms) goes from 10 to 90 % of its peak; its centroid
    is that of the power in the 25 ms from its beginning. The AudioCommons model of hardness has both of them. 0 for
    silence.
    """
    frame = max(1, round(_ENVELOPE_FRAME * sample_rate))
    padded = jnp.pad(waveform, ((0, 0), (0, -waveform.shape[1] % frame)))
    envelope = jnp.sqrt(jnp.mean(jnp.square(padded.reshape(len(waveform), -1, frame)), axis=2))
    peak = jnp.max(envelope, axis=1, keepdims=True)
    begin, end = (jnp.argmax(envelope >= share * peak, axis=1) for share in (0.1, 0.9))
    milliseconds = jnp.maximum(end - begin, 1).astype(jnp.float32) * (1000.0 * frame / sample_rate)
    samples = round(_ATTACK * sample_rate)
    places = begin[:, None] * frame + jnp.arange(samples)
    attack = jnp.take_along_axis(jnp.pad(waveform, ((0, 0), (0, samples))), places, axis=1)
    # Half a Hann window: the attack begins at its top.
    window = 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.arange(samples, dtype=jnp.float32) / samples)
    spectrum = jnp.fft.rfft(attack * window, n=2 * (samples // 2), axis=1)
    power = jnp.square(jnp.real(spectrum)) + jnp.square(jnp.imag(spectrum))
    centroid = jnp.maximum(brightness(power, sample_rate), 1.0)
    return jnp.where(peak[:, 0] > 0.0, jnp.log2(centroid) - jnp.log2(milliseconds), 0.0)


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
