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
# Least weight of a class by which an anchor is one of it.
MEMBER = 1e-3
BARRED = -1e9


class AnchoredMapping(nn.Module):
    """From z and labels to w: near the w of a recording of the class, by the class's Gaussian.

    A class has many kinds of sounds, and most of a Gaussian of w is between them. So z chooses among a class's anchors,
    which are w of recordings, by its products with their keys. The choice is soft, so w is continuous in z; it is
    linear in labels. Anchor and Gaussian are weighed so that mean and covariance of a class are about those of its
    recordings; only about, because z drives both. Nothing here is trained: a residual network moved all w by one vector
    away from those of recordings, to where discriminators do not look, and kicks swelled (docs/quality.md).

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

    def setup(self) -> None:
        classes, size = max(1, self.num_labels), (self.anchors, self.w_dim)
        self.class_means = self._fixed("class_means", (classes, self.w_dim))
        self.class_factors = self._fixed("class_factors", (classes, self.w_dim, self.w_dim))
        if self.anchors:
            self.values = self._fixed("anchors", size)
            # Of the lengths 1, so that the products with a normal z are normal.
            self.keys = self.variable("statistics", "keys", lambda: _unit_rows(self.make_rng("params"), size)).value
            self.members = self.variable("statistics", "anchor_classes", jnp.ones, (self.anchors, classes)).value

    def __call__(self, z: Array, labels: Array | None) -> Array:
        """w [batch, w_dim] of normal z [batch, w_dim] and labels [batch, num_labels], the classes' weights.

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        weights = self._weights(labels, len(z))
        w = jnp.dot(weights, self.class_means, precision=EXACT)
        deviation = jnp.einsum("bc,cij,bj->bi", weights, self.class_factors, z, precision=EXACT)
        if not self.anchors:
            return w + deviation
        chosen = jnp.einsum("bc,bci->bi", weights, self._chosen(z), precision=EXACT)
        return w + self.spread * deviation + math.sqrt(1 - self.spread**2) * (chosen - w)

    def means(self, labels: Array) -> Array:
        """Mean w [batch, w_dim] of labels [batch, num_labels].

        Raises:
            BadInput: labels have the wrong shape.
        """
        return jnp.dot(self._weights(labels, len(labels)), self.class_means, precision=EXACT)

    def near(self, w: Array) -> Array:
        """w [batch, w_dim] no further from zero than the furthest anchor, if there are any.

        What is no drum is outside of all that the synthesis has learned, and would come out at any level.
        """
        if not self.anchors:
            return w
        furthest = jnp.linalg.norm(self.values, axis=1).max()
        length = jnp.linalg.norm(w, axis=1, keepdims=True)
        # Before a start from components all anchors are zero.
        return jnp.where((length > furthest) & (furthest > 0), w * (furthest / jnp.maximum(length, 1e-9)), w)

    def _weights(self, labels: Array | None, batch: int) -> Array:
        return check_labels(labels, self.num_labels) if self.num_labels else jnp.ones((batch, 1))

    def _chosen(self, z: Array) -> Array:
        """An anchor of each class, or a few [batch, classes, w_dim], as far from the class's mean as one is."""
        logits = jnp.dot(z, self.keys.T, precision=EXACT) / TEMPERATURE
        # Each class chooses on its own, so labels between two classes lead from the one's anchor to the other's.
        # Barred, not only unlikely: the best of many hundred others is further ahead than any small logarithm.
        allowed = jnp.where(self.members > MEMBER, jnp.log(jnp.maximum(self.members, MEMBER)), BARRED)
        shares = jax.nn.softmax(logits[:, None] + allowed.T, axis=-1)
        chosen = jnp.einsum("bcn,ni->bci", shares, self.values, precision=EXACT)
        # A mean of several is nearer to the mean of all than one is.
        return self.class_means + (chosen - self.class_means) / jnp.linalg.norm(shares, axis=-1, keepdims=True)

    def _fixed(self, name: str, shape: tuple[int, ...]) -> Array:
        """An array that is not trained, zero before there are components."""
        value: Array = self.variable("statistics", name, jnp.zeros, shape).value
        return value


def _unit_rows(key: Array, shape: tuple[int, int]) -> Array:
    rows = jax.random.normal(key, shape)
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
