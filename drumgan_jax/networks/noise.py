"""Noise inputs of a generator's layers."""

import itertools
import math
from collections.abc import Sequence

import jax

from drumgan_jax.core.parts import Array


def resolve_noise(
    noise: Array | Sequence[Array] | None, batch: int, sizes: Sequence[tuple[int, int]]
) -> Sequence[Array | None]:
    """Noise [batch, freq, time, 1] of each layer, from the `noise` argument of `synthesize` (parts.Generator).

    Args:
        noise: None for no noise, one PRNG key, one key per example [batch], or the layers' noise itself.
        batch: number of examples.
        sizes: (freq, time) of each layer.
    """
    if noise is None:
        return [None] * len(sizes)
    if isinstance(noise, jax.Array):
        return draw_noise(jax.random.split(noise, batch) if noise.ndim == 0 else noise, sizes)
    return noise


def draw_noise(keys: Array, sizes: Sequence[tuple[int, int]]) -> list[Array]:
    """Normal noise for several layers from one key per example, in a single draw, which compiles faster than many.

    Args:
        keys: PRNG keys [batch].
        sizes: (freq, time) of each layer.

    Returns:
        For each layer, noise [batch, freq, time, 1].
    """
    lengths = [math.prod(size) for size in sizes]
    row = jax.vmap(lambda key: jax.random.normal(key, (sum(lengths),)))(keys)
    ends = itertools.accumulate(lengths)
    pieces = [row[:, end - length : end] for end, length in zip(ends, lengths, strict=True)]
    return [piece.reshape(-1, *size, 1) for piece, size in zip(pieces, sizes, strict=True)]
