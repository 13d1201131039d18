"""Bands of frequency bins on a logarithmic scale."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array

# A band's upper edge over its lower one.
WIDENING = 1.05


def band_edges(freq: int) -> list[int]:
    """Edges of bands of bins: single bins at first, then bands of a fourteenth of an octave."""
    edges = [0]
    while edges[-1] < freq:
        edges.append(min(freq, max(edges[-1] + 1, round(edges[-1] * WIDENING))))
    return edges


def band_averages(freq: int) -> np.ndarray:
    """Matrix [bands, freq] that takes the mean of each band's bins."""
    edges = band_edges(freq)
    averages = np.zeros((len(edges) - 1, freq), np.float32)
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        averages[band, low:high] = 1 / (high - low)
    return averages


def bands_of(x: Array) -> Array:
    """Means and mean absolute deviations of bands of bins [batch, bands, time, 2], of [batch, freq, time, 1]."""
    averages = band_averages(x.shape[1])
    means = jnp.einsum("bf,nft->nbt", averages, x[..., 0])
    spread = jnp.abs(x[..., 0] - jnp.einsum("bf,nbt->nft", (averages > 0).astype(np.float32), means))
    return jnp.stack([means, jnp.einsum("bf,nft->nbt", averages, spread)], axis=-1)
