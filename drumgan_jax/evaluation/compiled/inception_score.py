"""Inception Scores, compiled; see `evaluation.inception_score` for the definition."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from drumgan_jax.evaluation.compiled.placing import WHOLE, over_devices, padded, place, product, split

Array = jax.Array

# Adds nothing to an entropy, and is within the range of a TPU's float64, which is that of float32.
_TINY = 1e-30


def scores_of_parts(mesh: Mesh, logits: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Scores [parts] of some of the samples, from logits [samples, classes]; samples are split over the devices."""
    weights = np.zeros((len(parts), len(logits)))
    for of_part, part in zip(weights, parts, strict=True):
        of_part[part] = 1 / len(part)
    with jax.enable_x64(True):
        return np.asarray(
            scores(
                mesh,
                place(mesh, split(mesh), padded(logits, mesh.size)),
                place(mesh, split(mesh, 1), padded(weights, mesh.size, 1)),
            )
        )


@functools.partial(jax.jit, static_argnums=0)
def scores(mesh: Mesh, logits: Array, weights: Array) -> Array:
    """`scores_of_parts` in float64, from weights [parts, samples] that are 1 / samples of the part, or 0."""

    @over_devices(mesh, (split(mesh), split(mesh, 1)), WHOLE)
    def of_device(logits: Array, weights: Array) -> Array:
        log_labels = jax.nn.log_softmax(logits.astype(jnp.float64))
        labels = jnp.exp(log_labels)
        negative_entropy = jnp.sum(labels * log_labels, axis=1, keepdims=True)
        sums = product(weights, jnp.concatenate([labels, negative_entropy], axis=1).T)
        sums = jax.lax.psum(sums, mesh.axis_names)
        marginal = sums[:, :-1]
        # The mean divergence from the marginal is the marginal's entropy less the labels' mean entropy.
        return jnp.exp(sums[:, -1] - jnp.sum(marginal * jnp.log(jnp.maximum(marginal, _TINY)), axis=1))

    return of_device(logits, weights)
