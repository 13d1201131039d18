"""Waveform, spectral and perceptual distances of decoded sounds from their originals, for encoders and vocoders.

All but the PEAQ grade are pure functions of waveforms in float32; sums of 2^22 samples agree with float64 to 1e-6.
"""

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.spectral_distance import MAGNITUDE_FLOOR, mean_over_frames, multi_scale_spectral_loss
from drumgan_jax.audio.stft import Framing, stft
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.peaq import peaq

Array = jax.Array

# Added to both sums of a signal-to-noise ratio, which is then finite for equal and for silent sounds.
ENERGY_FLOOR = 1e-10

FRAMING = Framing(2048, 512)


def mean_squared_error(reference: Array, decoded: Array) -> Array:
    """Mean squared difference over samples [batch] of waveforms [batch, samples]."""
    return _noise_energy(reference, decoded) / float(reference.shape[-1])


def signal_to_noise(reference: Array, decoded: Array) -> Array:
    """Signal-to-noise ratio in dB [batch] of waveforms [batch, samples]; the noise is their difference.

    10 log10((sum r^2 + 1e-10) / (sum (r - d)^2 + 1e-10)).
    """
    signal = jnp.sum(jnp.square(reference), axis=-1)
    return 10.0 * jnp.log10((signal + ENERGY_FLOOR) / (_noise_energy(reference, decoded) + ENERGY_FLOOR))


def _noise_energy(reference: Array, decoded: Array) -> Array:
    return jnp.sum(jnp.square(reference - decoded), axis=-1)


def centred_signal_to_noise(reference: Array, decoded: Array, length: Array | None = None) -> Array:
    """`signal_to_noise` [batch] after each waveform's mean is subtracted, so that a DC offset counts as neither.

    Args:
        reference: waveforms [batch, samples].
        decoded: waveforms [batch, samples].
        length: number of samples that count, before the zero padding that lets sounds of many lengths share one
            program; None if there is no padding.
    """
    samples = reference.shape[-1] if length is None else length
    counted = jnp.arange(reference.shape[-1]) < samples

    def centred(waveform: Array) -> Array:
        mean = jnp.sum(waveform, axis=-1, keepdims=True) / jnp.asarray(samples, jnp.float32)
        return jnp.where(counted, waveform - mean, 0.0)

    return signal_to_noise(centred(reference), centred(decoded))


def log_spectral_distance(reference: Array, decoded: Array, length: Array | None = None) -> Array:
    """Distance of log power spectra [batch] of waveforms [batch, samples], in units of 10 dB.

    Root mean square over the 1,025 frequencies, then mean over frames, of the difference of log10(|S|^2): periodic Hann
    window of 2,048 samples, hop length 512, zero padding at both ends, unscaled, |S|^2 clamped to at least 1e-6. Other
    definitions differ in each of these. For `length` see `centred_signal_to_noise`.
    """

    def log_power(waveform: Array) -> Array:
        return 2.0 * jnp.log10(jnp.maximum(jnp.abs(stft(waveform, FRAMING)), MAGNITUDE_FLOOR))

    squared = jnp.mean(jnp.square(log_power(reference) - log_power(decoded)), axis=-1)
    return mean_over_frames(jnp.sqrt(squared), FRAMING, length)


def spectral_convergence(reference: Array, decoded: Array, length: Array | None = None) -> Array:
    """Norm of the magnitude difference over the norm of the reference's magnitudes [batch], of [batch, samples].

    `drumgan_jax.audio.phase.spectral_convergence` on the frames of `log_spectral_distance`; for `length` see
    `centred_signal_to_noise`. Two silent waveforms give 0.
    """
    target, magnitude = jnp.abs(stft(reference, FRAMING)), jnp.abs(stft(decoded, FRAMING))
    distance = mean_over_frames(jnp.sum(jnp.square(magnitude - target), axis=-1), FRAMING, length)
    size = mean_over_frames(jnp.sum(jnp.square(target), axis=-1), FRAMING, length)
    return jnp.sqrt(distance) / jnp.maximum(jnp.sqrt(size), jnp.finfo(jnp.float32).tiny)


@jax.jit
def _signal_metrics(reference: Array, decoded: Array, length: Array) -> dict[str, Array]:
    scale = reference.shape[-1] / length.astype(jnp.float32)
    return {
        "mse": mean_squared_error(reference, decoded) * scale,
        "snr_db": signal_to_noise(reference, decoded),
        "snr_centred_db": centred_signal_to_noise(reference, decoded, length),
        "log_spectral_distance": log_spectral_distance(reference, decoded, length),
        "spectral_convergence": spectral_convergence(reference, decoded, length),
        "multi_scale_spectral": multi_scale_spectral_loss(reference, decoded, length),
    }


def _padded(waveforms: np.ndarray) -> np.ndarray:
    """Zero-pad waveforms to one of four lengths per octave, because compiling for a length takes 1.5 s or more."""
    samples = waveforms.shape[-1]
    step = 1 << max(samples.bit_length() - 3, 0)
    return np.pad(waveforms, ((0, 0), (0, -samples % step)))


def reconstruction_metrics(reference: np.ndarray, decoded: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    """Every reconstruction metric of each pair of waveforms.

    Args:
        reference: original waveforms [batch, samples], full scale 1.
        decoded: decoded waveforms [batch, samples].
        sample_rate: in Hz.

    Returns:
        By name, float64 [batch]: "mse"; "snr_db" and "snr_centred_db" (higher is better); "log_spectral_distance";
        "spectral_convergence"; "multi_scale_spectral"; "peaq_odg" and "peaq_di" (higher is better; NaN if a sound is
        silent); "peaq_missing", the number of model output variables that are not defined on the pair, as on every
        sound shorter than about 0.6 s (`peaq` returns their names and replacements).

    Raises:
        BadInput: the shapes differ or are not [batch, samples], or a waveform holds NaN or infinite samples.
    """
    reference, decoded = np.asarray(reference, np.float32), np.asarray(decoded, np.float32)
    if reference.shape != decoded.shape or reference.ndim != 2 or not reference.size:
        raise BadInput(
            f"the reference has shape {reference.shape} and the decoded sound {decoded.shape}; give both as"
            " [batch, samples] of the same shape."
        )
    for name, waveforms in (("reference", reference), ("decoded", decoded)):
        broken = np.flatnonzero(~np.isfinite(waveforms).all(axis=1))
        if broken.size:
            raise BadInput(f"{name} waveform {broken[0]} holds NaN or infinite samples; leave it out.")
    signals = _signal_metrics(_padded(reference), _padded(decoded), jnp.int32(reference.shape[-1]))
    metrics = {name: np.asarray(value, np.float64) for name, value in signals.items()}
    grades = [peaq(a, b, sample_rate) for a, b in zip(reference, decoded, strict=True)]
    metrics["peaq_odg"] = np.array([np.nan if g.odg is None else g.odg for g in grades])
    metrics["peaq_di"] = np.array([np.nan if g.di is None else g.di for g in grades])
    metrics["peaq_missing"] = np.array([float(len(g.missing)) for g in grades])
    return metrics
