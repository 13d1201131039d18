"""Differentiable distances between the spectra of two sounds, for losses and metrics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.mel import mel_filterbank
from drumgan_jax.audio.stft import Framing, stft

Array = jax.Array

# Lower bound of unscaled magnitudes in logarithms. A full-scale sine has 512 with 2,048 samples, so the bound is 114 dB
# below it, above the float32 rounding noise between partials.
MAGNITUDE_FLOOR = 1e-3

SCALES = (2048, 1024, 512, 256, 128, 64)
# Upper limit of the bass in Hz, and the framing of its spectra.
BASS_LIMIT = 1000
BASS = Framing(512, 128)
# Bands of `log_mel_distance`, the lowest edge in Hz.
MEL_BANDS = 64
MEL_LOWEST = 20.0


def multi_scale_spectral_loss(reference: Array, decoded: Array, length: Array | None = None) -> Array:
    """Multi-scale spectral loss [batch] of waveforms [batch, samples], at six resolutions.

    Engel et al. 2020 (DDSP), eq. 4, with alpha 1: the mean absolute difference of |S| plus that of ln |S|, summed over
    windows of 2,048 to 64 samples with 75 % overlap. Means, not sums, so that the loss does not grow with length; |S|
    is clamped to at least 1e-3 in the logarithm; zero padding at both ends.

    Args:
        reference: waveforms [batch, samples].
        decoded: waveforms [batch, samples].
        length: number of samples that count, before the zero padding that lets sounds of many lengths share one
            program; None if there is no padding.
    """

    def at_scale(framing: Framing) -> Array:
        a, b = jnp.abs(stft(reference, framing)), jnp.abs(stft(decoded, framing))
        logarithms = jnp.log(jnp.maximum(a, MAGNITUDE_FLOOR)) - jnp.log(jnp.maximum(b, MAGNITUDE_FLOOR))
        return mean_over_frames(jnp.mean(jnp.abs(a - b) + jnp.abs(logarithms), axis=-1), framing, length)

    return functools.reduce(jnp.add, (at_scale(Framing(n, n // 4)) for n in SCALES))


def bass_distance(reference: Array, decoded: Array, sample_rate: int) -> Array:
    """Energy of the magnitude difference below 1 kHz relative to the energy of the reference [batch].

    The many quiet bins dominate the gradients of `multi_scale_spectral_loss`, and a network trained with it alone
    leaves out the few loud bins of a kick. The reference's mean power is offset by -40 dB to stay above zero.

    Args:
        reference: waveforms [batch, samples].
        decoded: waveforms [batch, samples].
        sample_rate: in Hz.
    """
    bins = BASS.n_fft * BASS_LIMIT // sample_rate + 1
    a, b = (jnp.abs(stft(waveform, BASS)[..., :bins]) for waveform in (reference, decoded))
    # Parseval's theorem for a one-sided spectrum, with a window energy of 3/8 per sample.
    energy = jnp.sum(jnp.square(a - b), axis=-1) / (0.1875 * BASS.n_fft**2)
    return jnp.mean(energy, axis=-1) / (jnp.mean(jnp.square(reference), axis=-1) + 1e-4)


def log_mel_distance(magnitude: Array, other: Array, sample_rate: int) -> Array:
    """Mean absolute difference of the log powers of 64 mel bands in dB [], of linear magnitudes [batch, time, freq].

    Powers have an offset 100 dB below a full-scale sine's.
    """
    n_fft = 2 * (magnitude.shape[-1] - 1)
    filters = jnp.asarray(mel_filterbank(sample_rate, n_fft, MEL_BANDS, MEL_LOWEST, sample_rate / 2, htk=True).T)
    floor = (1e-5 * n_fft / 4) ** 2
    a, b = (jnp.log10(jnp.square(one) @ filters + floor) for one in (magnitude, other))
    return 10.0 * jnp.mean(jnp.abs(a - b))


def level_features(waveforms: Array, sample_rate: int) -> Array:
    """Levels in mel bands [batch, features] of waveforms [batch, samples].

    Of windows of 2,048 and 512 samples, a quarter of one apart, in units of 10 dB and with an offset 60 dB below a
    full-scale sine. The Euclidean distance of two sounds is the root of the sum over both of the mean squared
    difference.
    """

    def of_windows(n_fft: int, bands: int) -> Array:
        filters = jnp.asarray(mel_filterbank(sample_rate, n_fft, bands, MEL_LOWEST, sample_rate / 2, htk=True).T)
        spectra = stft(waveforms, Framing(n_fft, n_fft // 4))
        # Not of magnitudes, whose gradient at 0 is none.
        power = (jnp.square(spectra.real) + jnp.square(spectra.imag)) @ filters
        levels = jnp.log10(power + (1e-3 * n_fft / 4) ** 2).reshape(len(waveforms), -1)
        return levels / np.sqrt(levels.shape[1])

    return jnp.concatenate([of_windows(2048, MEL_BANDS), of_windows(512, MEL_BANDS // 4)], axis=1)


def pooled_distance(magnitude: Array, other: Array) -> Array:
    """Mean absolute difference in dB [] of powers averaged over 4 frames, 2 x 2 cells and 4 bins; [batch, time, freq].

    What spectra of three lengths of window see, of the magnitudes of one; a mean over 4 cells keeps little of the
    chance in the spectrum of noise. Powers have an offset 100 dB below a full-scale sine's.
    """
    floor = (1e-5 * (magnitude.shape[-1] - 1) / 2) ** 2

    def at_size(time: int, freq: int) -> Array:
        a, b = (jnp.log10(_pooled(jnp.square(one), time, freq) + floor) for one in (magnitude, other))
        return 10.0 * jnp.mean(jnp.abs(a - b))

    return (at_size(4, 1) + at_size(2, 2) + at_size(1, 4)) / 3.0


def octaves_distance(magnitude: Array, other: Array) -> Array:
    """Mean absolute difference in dB [] of the powers of octaves in each frame, where they are loud.

    Distances that count all bins alike leave a kick's few loud ones, and the attack's few frames, to chance. Powers get
    an offset 40 dB below the loudest of the first sound's, at least 100 dB below a full-scale sine, so that nothing
    softer counts. The mean is over the cells of either sound that are above it; those of the first frame weigh four
    times as much, of the third twice.

    Args:
        magnitude: linear magnitudes [batch, time, freq].
        other: likewise.
    """
    bins = np.arange(magnitude.shape[-1])
    octaves = np.floor(np.log2(np.maximum(bins, 1))).astype(int) + (bins > 0)
    groups = (octaves[:, None] == np.arange(octaves[-1] + 1)).astype(np.float32)
    a, b = (jnp.square(one) @ groups for one in (magnitude, other))
    offset = jnp.maximum(1e-4 * a.max(axis=(1, 2), keepdims=True), (1e-5 * (magnitude.shape[-1] - 1) / 2) ** 2)
    weights = (1.0 + 3.0 * np.exp2(-0.79 * np.arange(magnitude.shape[1])))[:, None].astype(np.float32)
    counted = jnp.where(jnp.maximum(a, b) > offset, weights, 0.0)
    difference = counted * jnp.abs(jnp.log10(a + offset) - jnp.log10(b + offset))
    return 10.0 * jnp.mean(jnp.sum(difference, axis=(1, 2)) / jnp.maximum(jnp.sum(counted, axis=(1, 2)), 1.0))


def noisiness_distance(x: Array, plain: Array, noisy: Array) -> Array:
    """How differently noise and the examples stray from reconstructions without noise [].

    The mean absolute difference, over areas of 16 bins of a frame, of the means of |noisy - plain| and |x - plain|. Not
    over frames: an attack is as noisy as it is in one of them. The second mean is constant, so that reconstructions
    do not move away from the examples to excuse the noise.

    Args:
        x: examples [batch, freq, time, 1].
        plain: their reconstructions without noise.
        noisy: with noise.
    """
    stray = jnp.abs(noisy - plain)
    missed = jax.lax.stop_gradient(jnp.abs(x - plain))
    return jnp.mean(jnp.abs(_pooled(stray[..., 0], 16, 1) - _pooled(missed[..., 0], 16, 1)))


def _pooled(x: Array, first: int, second: int) -> Array:
    """Means over areas of [batch, rows, columns]; what does not fill an area is dropped."""
    batch, rows, columns = x.shape
    x = x[:, : rows // first * first, : columns // second * second]
    return x.reshape(batch, rows // first, first, columns // second, second).mean(axis=(2, 4))


def mean_over_frames(values: Array, framing: Framing, length: Array | None) -> Array:
    """Mean [batch] of values [batch, frames] over the frames of waveforms with `length` samples."""
    if length is None:
        return jnp.mean(values, axis=-1)
    # Frames are centred, so there is one at sample 0 and one after every whole hop.
    count = 1 + length // framing.hop_length
    counted = jnp.where(jnp.arange(values.shape[-1]) < count, values, 0.0)
    return jnp.sum(counted, axis=-1) / count.astype(jnp.float32)
