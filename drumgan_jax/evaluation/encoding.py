"""Metrics of an encoder: the error of its latents, and of the sounds generated from them."""

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.evaluation.reconstruction import (
    log_spectral_distance,
    mean_squared_error,
    multi_scale_spectral_loss,
    signal_to_noise,
)

Array = jax.Array


def latent_scores(target: np.ndarray, predicted: np.ndarray, num_z: int) -> dict[str, float]:
    """Errors of predicted latents against the latents that generated the sounds.

    Args:
        target: w that the sounds were generated from [sounds, w_dim].
        predicted: w predicted from the sounds [sounds, w_dim].
        num_z: number of leading dimensions of w compared by direction, which leaves out any labels appended to them.

    Returns:
        "mse", over sounds and dimensions; "ratio", the mse divided by the mse of always predicting the mean of `target`
        (1 at chance); "cosine", the mean over sounds of the cosine similarity of target and predicted z, after the mean
        of `target` is subtracted from both (0 at chance).
    """
    target, predicted = np.asarray(target, np.float64), np.asarray(predicted, np.float64)
    mean = target.mean(axis=0)
    error = np.mean(np.square(predicted - target))
    a, b = (target - mean)[:, :num_z], (predicted - mean)[:, :num_z]
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return {
        "mse": float(error),
        "ratio": float(error / max(np.mean(np.square(target - mean)), np.finfo(np.float64).tiny)),
        "cosine": float(np.mean(np.sum(a * b, axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny))),
    }


@jax.jit
def sound_figures(reference: Array, decoded: Array) -> Array:
    """FIGURES [figures, batch] of each pair of waveforms [batch, samples]."""
    return jnp.stack([function(reference, decoded) for function in FIGURES.values()])


# The fast metrics of drumgan_jax.evaluation.reconstruction; `drumgan evaluate` also measures PEAQ.
FIGURES = {
    "mse": mean_squared_error,
    "snr_db": signal_to_noise,
    "log_spectral_distance": log_spectral_distance,
    "multi_scale_spectral": multi_scale_spectral_loss,
}
