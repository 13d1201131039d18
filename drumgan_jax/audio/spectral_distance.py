"""How far two sounds are from each other by their spectra at several resolutions; differentiable, as a loss must be."""

import functools

import jax
import jax.numpy as jnp

from drumgan_jax.audio.stft import Framing, stft

Array = jax.Array

# Unscaled magnitudes below are taken for this in every logarithm. A sine at full scale has 512 in 2,048 samples, so
# this lies 114 dB under it, above what rounding in float32 leaves between the partials.
MAGNITUDE_FLOOR = 1e-3

SCALES = (2048, 1024, 512, 256, 128, 64)
# Hz, and the frames in which what lies below is found.
BASS_LIMIT = 1000
BASS = Framing(512, 128)


def multi_scale_spectral_loss(reference: Array, decoded: Array, length: Array | None = None) -> Array:
    """Differences of magnitudes and of their logarithms at six resolutions [batch], of waveforms [batch, samples].

    Engel et al. 2020 (DDSP), eq. 4, with alpha 1: the sum over windows of 2,048 to 64 samples, three quarters of them
    overlapping, of the mean absolute difference of |S| and of ln |S|. Means, not sums, so that it does not grow with
    length; |S| of at least 1e-3 in the logarithm; zeros at both ends.

    Args:
        reference: waveforms [batch, samples].
        decoded: waveforms [batch, samples].
        length: samples that count, the rest being zeros put behind, so that sounds of many lengths share one program;
            None for all.
    """

    def at_scale(framing: Framing) -> Array:
        a, b = jnp.abs(stft(reference, framing)), jnp.abs(stft(decoded, framing))
        logarithms = jnp.log(jnp.maximum(a, MAGNITUDE_FLOOR)) - jnp.log(jnp.maximum(b, MAGNITUDE_FLOOR))
        return mean_over_frames(jnp.mean(jnp.abs(a - b) + jnp.abs(logarithms), axis=-1), framing, length)

    return functools.reduce(jnp.add, (at_scale(Framing(n, n // 4)) for n in SCALES))


def bass_distance(reference: Array, decoded: Array, sample_rate: int) -> Array:
    """Energy of the difference of magnitudes below 1 kHz over the energy of the first sound [batch].

    In `multi_scale_spectral_loss` the many soft bins have the larger gradients, and a network that follows it alone
    leaves out the few loud ones of a kick. A sound below -40 dB is taken to have that energy.

    Args:
        reference: waveforms [batch, samples].
        decoded: waveforms [batch, samples].
        sample_rate: in Hz.
    """
    below = BASS.n_fft * BASS_LIMIT // sample_rate + 1
    a, b = (jnp.abs(stft(waveform, BASS)[..., :below]) for waveform in (reference, decoded))
    # Of a spectrum with half of its bins, by Parseval: the window's energy is 3/8 a sample.
    energy = jnp.sum(jnp.square(a - b), axis=-1) / (0.1875 * BASS.n_fft**2)
    return jnp.mean(energy, axis=-1) / (jnp.mean(jnp.square(reference), axis=-1) + 1e-4)


def mean_over_frames(values: Array, framing: Framing, length: Array | None) -> Array:
    """Mean [batch] of values [batch, frames] over the frames that waveforms of `length` samples have."""
    if length is None:
        return jnp.mean(values, axis=-1)
    # With a centred frame, one more frame begins with every whole hop.
    count = 1 + length // framing.hop_length
    counted = jnp.where(jnp.arange(values.shape[-1]) < count, values, 0.0)
    return jnp.sum(counted, axis=-1) / count.astype(jnp.float32)
