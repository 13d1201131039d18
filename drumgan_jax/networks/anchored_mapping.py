"""From z and labels to w, near the w of recordings."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.frames import ZERO, activate
from drumgan_jax.networks.mapping import check_labels

EXACT = jax.lax.Precision.HIGHEST
# Of the choice of anchors: the best product of hundreds is some 0.3 ahead of the next.
TEMPERATURE = 0.1
# Of the residual network, which learns as much slower: as fast as the others, it moves all w to where discriminators do
# not look, and attacks get soft. The factor is that of StyleGAN's mapping (Karras, Laine and Aila 2019, appendix C).
RESIDUAL = 0.01


class AnchoredMapping(nn.Module):
    """From z and labels to w: near the w of a recording of the class, by the class's Gaussian, plus a residual network.

    A class has many kinds of sounds, and most of a Gaussian of w is between them. So z chooses among a class's anchors,
    which are w of recordings at first, by its products with their keys. The choice is soft, so w is continuous in z; it
    is linear in labels, but for the residual network. Anchor and Gaussian are weighed so that mean and covariance of a
    class stay those of its recordings.

    Attributes:
        w_dim: size of z and w.
        num_labels: number of classes; 0 for none.
        hidden: size of the residual network's layers.
        anchors: number of anchors; 0 for the Gaussian alone.
        spread: deviation from the anchors as a share of the class's own, from 0 to 1.
    """

    w_dim: int
    num_labels: int
    hidden: int
    anchors: int
    spread: float

    @nn.compact
    def __call__(self, z: Array, labels: Array | None) -> Array:
        """w [batch, w_dim] of normal z [batch, w_dim] and labels [batch, num_labels], the classes' weights.

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        classes = max(1, self.num_labels)
        means = self.param("class_means", ZERO, (classes, self.w_dim))
        factors = self.param("class_factors", ZERO, (classes, self.w_dim, self.w_dim))
        weights = check_labels(labels, self.num_labels) if self.num_labels else jnp.ones((len(z), 1))
        w = jnp.dot(weights, means, precision=EXACT)
        deviation = jnp.einsum("bc,cij,bj->bi", weights, factors, z, precision=EXACT)
        if self.anchors:
            chosen = jnp.einsum("bc,bci->bi", weights, self._chosen(z, means), precision=EXACT)
            w = w + self.spread * deviation + math.sqrt(1 - self.spread**2) * (chosen - w)
        else:
            w = w + deviation
        x = jnp.concatenate([z, 2 * weights], axis=-1)
        for layer in range(2):
            x = activate(nn.Dense(self.hidden, precision=EXACT, name=f"dense_{layer}")(x))
        return w + RESIDUAL * nn.Dense(self.w_dim, precision=EXACT, kernel_init=ZERO, name="residual")(x)

    def _chosen(self, z: Array, means: Array) -> Array:
        """An anchor of each class, or a few [batch, classes, w_dim], as far from the class's mean as one is."""
        size = (self.anchors, self.w_dim)
        values = self.param("anchors", ZERO, size)
        # Of the lengths 1, so that the products with a normal z are normal.
        keys = self.variable("statistics", "keys", lambda: _unit_rows(self.make_rng("params"), size)).value
        members = self.variable("statistics", "anchor_classes", jnp.ones, (self.anchors, len(means))).value
        logits = jnp.dot(z, keys.T, precision=EXACT) / TEMPERATURE
        # Each class chooses on its own, so labels between two classes lead from the one's anchor to the other's.
        shares = jax.nn.softmax(logits[:, None] + jnp.log(members.T + 1e-9), axis=-1)
        chosen = jnp.einsum("bcn,ni->bci", shares, values, precision=EXACT)
        # A mean of several is nearer to the mean of all than one is.
        return means + (chosen - means) / jnp.linalg.norm(shares, axis=-1, keepdims=True)


def _unit_rows(key: Array, shape: tuple[int, int]) -> Array:
    rows = jax.random.normal(key, shape)
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
