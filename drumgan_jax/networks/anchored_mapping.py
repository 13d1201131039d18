"""From z and labels to w, near the w of recordings."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.mapping import check_labels

ATTRIBUTE_STATISTICS = ("attribute_means", "attribute_deviations", "attribute_slopes")
EXACT = jax.lax.Precision.HIGHEST
# Of the choice of anchors: the best product of hundreds is some 0.3 ahead of the next.
TEMPERATURE = 0.1
# Mean squared difference of attributes, in deviates, that weighs as much as a product of 1.
NEARNESS = 0.1
# Deviations of a class beyond which its w no longer move: the sounds of straight lines turn back there.
REACH = 5.0
# Rank of a normal deviate of -2.
ENDS = 0.02275


class AnchoredMapping(nn.Module):
    """From z and labels to w: near the w of a recording of the class, by the class's Gaussian.

    A class has many kinds of sounds, and most of a Gaussian of w is between them. So z chooses among a class's anchors,
    which are w of recordings at first, by its products with their keys. The choice is soft, so w is continuous in z; it
    is linear in labels. Anchor and Gaussian are weighed so that mean and covariance of a class are those of its
    recordings. Nothing here is trained: a residual network moved all w by one vector, away from those of recordings, to
    where discriminators do not look, and kicks swelled (docs/quality.md).

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

    @nn.compact
    def __call__(self, z: Array, labels: Array | None) -> Array:
        """w [batch, w_dim] of normal z [batch, w_dim] and labels: weights of classes, then ranks of attributes.

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        classes = max(1, self.num_labels)
        means = self._fixed("class_means", (classes, self.w_dim))
        factors = self._fixed("class_factors", (classes, self.w_dim, self.w_dim))
        width = self.num_labels + self.num_attributes
        labels = check_labels(labels, width) if width else jnp.ones((len(z), 1))
        weights = labels[:, : self.num_labels] if self.num_labels else jnp.ones((len(z), 1))
        asked = deviates(labels[:, self.num_labels :])
        w = jnp.dot(weights, means, precision=EXACT)
        moved = self._mover(classes)
        if self.num_attributes:
            w = w + jnp.einsum("bc,bci->bi", weights, moved(asked[:, None]), precision=EXACT)
        deviation = jnp.einsum("bc,cij,bj->bi", weights, factors, z, precision=EXACT)
        if not self.anchors:
            return w + deviation
        chosen = jnp.einsum("bc,bci->bi", weights, self._chosen(z, means, asked, moved), precision=EXACT)
        return w + self.spread * deviation + math.sqrt(1 - self.spread**2) * chosen

    def _mover(self, classes: int) -> Callable[[Array], Array]:
        """From attributes [batch, 1 or classes, attributes] to how far means are moved [batch, classes, w_dim]."""
        if not self.num_attributes:
            return jnp.zeros_like
        centres = self._fixed("attribute_means", (classes, self.num_attributes))
        reach = REACH * self._fixed("attribute_deviations", (classes, self.num_attributes))
        slopes = self._fixed("attribute_slopes", (classes, self.num_attributes, self.w_dim))

        def moved(attributes: Array) -> Array:
            away = jnp.clip(attributes - centres, -reach, reach)
            return jnp.einsum("bca,cai->bci", away, slopes, precision=EXACT)

        return moved

    def _chosen(self, z: Array, means: Array, asked: Array, moved: Callable[[Array], Array]) -> Array:
        """What makes an anchor of each class, or a few, differ from its mean [batch, classes, w_dim]."""
        size = (self.anchors, self.w_dim)
        values = self._fixed("anchors", size)
        # Of the lengths 1, so that the products with a normal z are normal.
        keys = self.variable("statistics", "keys", lambda: _unit_rows(self.make_rng("params"), size)).value
        members = self.variable("statistics", "anchor_classes", jnp.ones, (self.anchors, len(means))).value
        logits = jnp.dot(z, keys.T, precision=EXACT) / TEMPERATURE
        of_class = jnp.log(members.T + 1e-9)
        if self.num_attributes:
            theirs = deviates(self._fixed("anchor_attributes", (self.anchors, self.num_attributes)))
            far = jnp.mean(jnp.square(asked[:, None] - theirs), axis=-1)
            logits = logits - far / (TEMPERATURE * NEARNESS)
            # A recording of another class is never nearer.
            of_class = jnp.where(members.T > 0.0, of_class, -1e6)
        # Each class chooses on its own, so labels between two classes lead from the one's anchor to the other's.
        shares = jax.nn.softmax(logits[:, None] + of_class, axis=-1)
        of_attributes = means
        if self.num_attributes:
            of_attributes = means + moved(jnp.einsum("bcn,na->bca", shares, theirs, precision=EXACT))
        chosen = jnp.einsum("bcn,ni->bci", shares, values, precision=EXACT)
        # A mean of several is nearer to the mean of all than one is.
        return (chosen - of_attributes) / jnp.linalg.norm(shares, axis=-1, keepdims=True)

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
