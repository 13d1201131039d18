"""From z and labels to w, near the w of recordings."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.mapping import check_labels

ATTRIBUTE_STATISTICS = ("attribute_means", "attribute_deviations", "attribute_slopes")
EXACT = jax.lax.Precision.HIGHEST
# Of the choice of anchors: the best product of hundreds is some 0.3 ahead of the next.
TEMPERATURE = 0.1
# Least weight of a class by which an anchor is one of it.
MEMBER = 1e-3
BARRED = -1e9
# Mean squared difference of attributes, in deviates, that weighs as much as a product of 1.
NEARNESS = 0.1
# Deviations of a class beyond which its w no longer move: the sounds of straight lines turn back there.
REACH = 5.0
# Rank of a normal deviate of -2.
ENDS = 0.02275


class AnchoredMapping(nn.Module):
    """From z and labels to w: near the w of a recording of the class, by the class's Gaussian.

    A class has many kinds of sounds, and most of a Gaussian of w is between them. So z chooses among a class's anchors,
    which are w of recordings, by its products with their keys. The choice is soft, so w is continuous in z; it is
    linear in labels. Anchor and Gaussian are weighed so that mean and covariance of a class are about those of its
    recordings; only about, because z drives both. Nothing here is trained: a residual network moved all w by one vector
    away from those of recordings, to where discriminators do not look, and kicks swelled (docs/quality.md).

    With attributes, w and attributes of a class are jointly normal, and all of the above is of w given the attributes:
    the mean moves linearly with them, the Gaussian is what they leave open, and z chooses among recordings whose
    attributes are near, each moved by the difference. Attributes are normal deviates of their ranks here.

    Attributes:
        w_dim: size of z and w.
        num_labels: number of classes; 0 for none.
        anchors: number of anchors; 0 for the Gaussian alone.
        spread: deviation from the anchors as a share of the class's own, from 0 to 1.
        num_attributes: number of attributes; 0 for none.
    """

    w_dim: int
    num_labels: int
    anchors: int
    spread: float
    num_attributes: int = 0

    def setup(self) -> None:
        classes, size = max(1, self.num_labels), (self.anchors, self.w_dim)
        self.class_means = self._fixed("class_means", (classes, self.w_dim))
        self.class_factors = self._fixed("class_factors", (classes, self.w_dim, self.w_dim))
        if self.anchors:
            self.values = self._fixed("anchors", size)
            # Of the lengths 1, so that the products with a normal z are normal.
            self.keys = self.variable("statistics", "keys", lambda: _unit_rows(self.make_rng("params"), size)).value
            self.members = self.variable("statistics", "anchor_classes", jnp.ones, (self.anchors, classes)).value
        if self.num_attributes:
            self.attribute_means = self._fixed("attribute_means", (classes, self.num_attributes))
            self.reach = REACH * self._fixed("attribute_deviations", (classes, self.num_attributes))
            self.attribute_slopes = self._fixed("attribute_slopes", (classes, self.num_attributes, self.w_dim))
        if self.num_attributes and self.anchors:
            self.theirs = deviates(self._fixed("anchor_attributes", (self.anchors, self.num_attributes)))

    def __call__(self, z: Array, labels: Array | None) -> Array:
        """w [batch, w_dim] of normal z [batch, w_dim] and labels: weights of classes, then ranks of attributes.

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        weights, asked = self._parts(labels, len(z))
        w = self._means(weights, asked)
        deviation = jnp.einsum("bc,cij,bj->bi", weights, self.class_factors, z, precision=EXACT)
        if not self.anchors:
            return w + deviation
        chosen = jnp.einsum("bc,bci->bi", weights, self._chosen(z, asked), precision=EXACT)
        return w + self.spread * deviation + math.sqrt(1 - self.spread**2) * chosen

    def means(self, labels: Array) -> Array:
        """Mean w [batch, w_dim] of labels, as `__call__` takes them.

        Raises:
            BadInput: labels have the wrong shape.
        """
        return self._means(*self._parts(labels, len(labels)))

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

    def _parts(self, labels: Array | None, batch: int) -> tuple[Array, Array]:
        """Weights of classes [batch, classes], one class if there are none, and deviates of attributes."""
        width = self.num_labels + self.num_attributes
        labels = check_labels(labels, width) if width else jnp.ones((batch, 1))
        weights = labels[:, : self.num_labels] if self.num_labels else jnp.ones((batch, 1))
        return weights, deviates(labels[:, self.num_labels :])

    def _means(self, weights: Array, asked: Array) -> Array:
        w = jnp.dot(weights, self.class_means, precision=EXACT)
        if not self.num_attributes:
            return w
        return w + jnp.einsum("bc,bci->bi", weights, self._moved(asked[:, None]), precision=EXACT)

    def _moved(self, attributes: Array) -> Array:
        """How far attributes [batch, 1 or classes, attributes] move the means of classes [batch, classes, w_dim]."""
        away = jnp.clip(attributes - self.attribute_means, -self.reach, self.reach)
        return jnp.einsum("bca,cai->bci", away, self.attribute_slopes, precision=EXACT)

    def _chosen(self, z: Array, asked: Array) -> Array:
        """What makes an anchor of each class, or a few, differ from its mean [batch, classes, w_dim]."""
        logits = jnp.dot(z, self.keys.T, precision=EXACT) / TEMPERATURE
        if self.num_attributes:
            far = jnp.mean(jnp.square(asked[:, None] - self.theirs), axis=-1)
            logits = logits - far / (TEMPERATURE * NEARNESS)
        # Each class chooses on its own, so labels between two classes lead from the one's anchor to the other's.
        # Barred, not only unlikely: the best of many hundred others is further ahead than any small logarithm.
        allowed = jnp.where(self.members > MEMBER, jnp.log(jnp.maximum(self.members, MEMBER)), BARRED)
        shares = jax.nn.softmax(logits[:, None] + allowed.T, axis=-1)
        centres = self.class_means
        if self.num_attributes:
            centres = centres + self._moved(jnp.einsum("bcn,na->bca", shares, self.theirs, precision=EXACT))
        chosen = jnp.einsum("bcn,ni->bci", shares, self.values, precision=EXACT)
        # A mean of several is nearer to the mean of all than one is.
        return (chosen - centres) / jnp.linalg.norm(shares, axis=-1, keepdims=True)

    def _fixed(self, name: str, shape: tuple[int, ...]) -> Array:
        """An array that is not trained, zero before there are components."""
        value: Array = self.variable("statistics", name, jnp.zeros, shape).value
        return value


def deviates(ranks: Array) -> Array:
    """Normal deviates of ranks from 0 to 1, of any shape; those of the ends are -2 and 2."""
    return jax.scipy.special.ndtri(ENDS + (1.0 - 2.0 * ENDS) * jnp.clip(ranks, 0.0, 1.0))


def _unit_rows(key: Array, shape: tuple[int, int]) -> Array:
    rows = jax.random.normal(key, shape)
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
