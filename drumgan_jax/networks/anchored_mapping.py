"""From z and labels to w, near the w of recordings."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.mapping import check_labels

EXACT = jax.lax.Precision.HIGHEST
# Of the choice of anchors: the best product of hundreds is some 0.3 ahead of the next.
TEMPERATURE = 0.1


class AnchoredMapping(nn.Module):
    """From z and labels to w: near the w of a recording of the class, by the class's Gaussian.

    A class has many kinds of sounds, and most of a Gaussian of w is between them. So z chooses among a class's anchors,
    which are w of recordings at first, by its products with their keys. The choice is soft, so w is continuous in z; it
    is linear in labels. Anchor and Gaussian are weighed so that mean and covariance of a class are those of its
    recordings. Nothing here is trained: a residual network moved all w by one vector, away from those of recordings, to
    where discriminators do not look, and kicks swelled (docs/quality.md).

    Attributes:
        w_dim: size of z and w.
        num_labels: number of classes; 0 for none.
        anchors: number of anchors; 0 for the Gaussian alone.
        spread: deviation from the anchors as a share of the class's own, from 0 to 1.
    """

    w_dim: int
    num_labels: int
    anchors: int
    spread: float

    @nn.compact
    def __call__(self, z: Array, labels: Array | None) -> Array:
        """w [batch, w_dim] of normal z [batch, w_dim] and labels [batch, num_labels], the classes' weights.

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        classes = max(1, self.num_labels)
        means = self._fixed("class_means", (classes, self.w_dim))
        factors = self._fixed("class_factors", (classes, self.w_dim, self.w_dim))
        weights = check_labels(labels, self.num_labels) if self.num_labels else jnp.ones((len(z), 1))
        w = jnp.dot(weights, means, precision=EXACT)
        deviation = jnp.einsum("bc,cij,bj->bi", weights, factors, z, precision=EXACT)
        if not self.anchors:
            return w + deviation
        chosen = jnp.einsum("bc,bci->bi", weights, self._chosen(z, means), precision=EXACT)
        return w + self.spread * deviation + math.sqrt(1 - self.spread**2) * (chosen - w)

    def _chosen(self, z: Array, means: Array) -> Array:
        """An anchor of each class, or a few [batch, classes, w_dim], as far from the class's mean as one is."""
        size = (self.anchors, self.w_dim)
        values = self._fixed("anchors", size)
        # Of the lengths 1, so that the products with a normal z are normal.
        keys = self.variable("statistics", "keys", lambda: _unit_rows(self.make_rng("params"), size)).value
        members = self.variable("statistics", "anchor_classes", jnp.ones, (self.anchors, len(means))).value
        logits = jnp.dot(z, keys.T, precision=EXACT) / TEMPERATURE
        # Each class chooses on its own, so labels between two classes lead from the one's anchor to the other's.
        shares = jax.nn.softmax(logits[:, None] + jnp.log(members.T + 1e-9), axis=-1)
        chosen = jnp.einsum("bcn,ni->bci", shares, values, precision=EXACT)
        # A mean of several is nearer to the mean of all than one is.
        return means + (chosen - means) / jnp.linalg.norm(shares, axis=-1, keepdims=True)

    def _fixed(self, name: str, shape: tuple[int, ...]) -> Array:
        """An array that is not trained, zero before there are components."""
        value: Array = self.variable("statistics", name, jnp.zeros, shape).value
        return value


def _unit_rows(key: Array, shape: tuple[int, int]) -> Array:
    rows = jax.random.normal(key, shape)
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
