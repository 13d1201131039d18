"""How good an encoder is: how near its latents are, and how near the sounds that they make."""

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


def latent_scores(wanted: np.ndarray, found: np.ndarray, num_z: int) -> dict[str, float]:
    """How near predicted latents are to those that sounds were made of.

    Args:
        wanted: w that sounds were made of [sounds, w_dim].
        found: w predicted from them [sounds, w_dim].
        num_z: the first of w that are compared by direction: all but the labels that may be joined with them.

    Returns:
        "mse", over sounds and dimensions; "ratio", that over the error of always predicting the mean of `wanted`, 1 at
        chance; "cosine", between wanted and found z less the mean of the wanted, mean over sounds: 0 at chance.
    """
    wanted, found = np.asarray(wanted, np.float64), np.asarray(found, np.float64)
    mean = wanted.mean(axis=0)
    error = np.mean(np.square(found - wanted))
    a, b = (wanted - mean)[:, :num_z], (found - mean)[:, :num_z]
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return {
        "mse": float(error),
        "ratio": float(error / max(np.mean(np.square(wanted - mean)), np.finfo(np.float64).tiny)),
        "cosine": float(np.mean(np.sum(a * b, axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny))),
    }


@jax.jit
def sound_figures(reference: Array, decoded: Array) -> Array:
    """FIGURES of each pair [figures, batch] of waveforms [batch, samples] that are alike in length."""
    return jnp.stack([function(reference, decoded) for function in FIGURES.values()])


# Those of drumgan_jax.evaluation.reconstruction that take no time; `drumgan evaluate` measures PEAQ's too.
FIGURES = {
    "mse": mean_squared_error,
    "snr_db": signal_to_noise,
    "log_spectral_distance": log_spectral_distance,
    "multi_scale_spectral": multi_scale_spectral_loss,
}
