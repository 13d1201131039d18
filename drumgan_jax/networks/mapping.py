"""Mapping from z and labels to w, truncation and style mixing."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array
from drumgan_jax.core.settings import MOST_LAYERS, real, whole, width
from drumgan_jax.networks.layers import Dense


class Mapping(nn.Module):
    """Mapping network (Karras et al. 2019, section 2; labels as in Karras et al. 2020, "ADA").

    Attributes:
        w_dim: size of w, of the hidden layers and of the label embedding.
        num_layers: number of dense layers, each with a leaky ReLU.
        num_labels: number of classes; 0 for none.
        lr_multiplier: learning rate of the dense layers relative to the optimiser's; the embedding's is 1.
    """

    w_dim: int
    num_layers: int
    num_labels: int = 0
    lr_multiplier: float = 0.01

    @nn.compact
    def __call__(self, z: Array | None, labels: Array | None) -> Array:
        """Latents w [batch, w_dim].

        Args:
            z: [batch, z_dim], or None to map labels alone.
            labels: one-hot or soft [batch, num_labels]; ignored without labels.

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        parts = [] if z is None else [normalize_second_moment(z)]
        if self.num_labels:
            labels = check_labels(labels, self.num_labels)
            parts.append(normalize_second_moment(Dense(self.w_dim, name="embed")(labels)))
        x = jnp.concatenate(parts, axis=-1)
        for i in range(self.num_layers):
            x = Dense(self.w_dim, self.lr_multiplier, activate=True, name=f"dense_{i}")(x)
        return x


class LabelProjection(nn.Module):
    """What labels add to a discriminator's logits: the features' product with a direction for each class.

    Miyato and Koyama 2018, "cGANs with projection discriminator", eq. 3; over the root of the number of features.
    """

    @nn.compact
    def __call__(self, features: Array, labels: Array) -> Array:
        """[batch] of features [batch, features] and labels [batch, labels], float32."""
        size = features.shape[-1]
        directions = nn.Dense(size, use_bias=False, precision=jax.lax.Precision.HIGHEST, name="directions")(labels)
        return jnp.sum(features * directions, axis=-1) / math.sqrt(size)


def normalize_second_moment(x: Array) -> Array:
    """Divide each row of x [batch, features] by its RMS (1e-8 under the root)."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)


def check_labels(labels: Array | None, num_labels: int) -> Array:
    """Return labels of shape [batch, num_labels].

    Raises:
        BadInput: labels are missing or have another shape.
    """
    if labels is None:
        raise BadInput(f"labels are missing; this network needs [batch, {num_labels}], one-hot or soft.")
    if labels.ndim != 2 or labels.shape[1] != num_labels:
        raise BadInput(f"labels are {labels.shape}; this network needs [batch, {num_labels}], one-hot or soft.")
    return labels


def truncate(ws: Array, w_average: Array, psi: float | Array, cutoff: int | None = None) -> Array:
    """Pull w towards its average: less variety, fewer failures (Karras et al. 2019, appendix B).

    Args:
        ws: [batch, layers, w_dim].
        w_average: running mean of w [w_dim].
        psi: 1 leaves w unchanged, 0 gives the average.
        cutoff: number of leading layers to truncate; None for all.

    Returns:
        [batch, layers, w_dim].
    """
    truncated = w_average + psi * (ws - w_average)
    if cutoff is None:
        return truncated
    return jnp.where(jnp.arange(ws.shape[1])[:, None] < cutoff, truncated, ws)


def mix_styles(ws_a: Array, ws_b: Array, key: Array, probability: float) -> Array:
    """Style mixing: give the layers from a random cutoff, the same for the batch, another w.

    (Karras et al. 2019, section 3.1.)

    Args:
        ws_a: [batch, layers, w_dim], used below the cutoff.
        ws_b: [batch, layers, w_dim], used from the cutoff on.
        key: PRNG key.
        probability: probability of mixing; the cutoff is then uniform in 1 .. layers - 1.

    Returns:
        [batch, layers, w_dim].
    """
    num_ws = ws_a.shape[1]
    mixing_key, cutoff_key = jax.random.split(key)
    cutoff = jax.random.randint(cutoff_key, (), 1, num_ws)
    cutoff = jnp.where(jax.random.bernoulli(mixing_key, probability), cutoff, num_ws)
    return jnp.where(jnp.arange(num_ws)[:, None] < cutoff, ws_a, ws_b)


class StyleGenerator(nn.Module):
    """Base class of generators with a mapping network: maps z to ws and truncates ws towards the average w.

    A generator adds `mapping`, created in `setup`, `num_ws`, `noise_sizes` and `synthesize`.

    Variables: "params", and "statistics" with the running mean of w, `w_average` [w_dim]. The trainer updates it once
    per generator step from the global batch (decay 0.995); nothing here changes it.

    Attributes:
        shape: (freq, time, channels) of an example.
        num_labels: number of labels that condition the mapping, classes and then attributes; 0 for none.
        num_attributes: how many of them are attributes.
        z_dim: size of z.
        w_dim: size of w.
        mapping_layers: number of dense layers in the mapping.
        style_mixing: probability of style mixing in training, which the trainer applies; see `mix_styles`.
        compute_dtype: dtype of the convolutions; everything else is float32.
    """

    shape: tuple[int, int, int]
    num_labels: int = 0
    num_attributes: int = 0
    z_dim: int = width(512)
    w_dim: int = width(512)
    mapping_layers: int = whole(0, 8, most=MOST_LAYERS)
    style_mixing: float = real(0.0, 1.0, 0.9)
    compute_dtype: jnp.dtype = jnp.float32

    learns_w: ClassVar[bool] = True
    truncates: ClassVar[bool] = True

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(freq, time) of the output at each stage; there is only one stage."""
        return (self.shape[:2],)

    def make_average(self) -> None:
        """Create `w_average` as zeros on initialisation; to be called in `setup`."""
        if self.is_initializing():
            self.variable("statistics", "w_average", jnp.zeros, (self.w_dim,))

    def __call__(self, z: Array, labels: Array | None, noise: Array | None) -> Array:
        """Generate examples [batch, freq, time, channels] from z [batch, z_dim]; see `map` and `synthesize`."""
        x: Array = self.synthesize(self.map(z, labels), noise)
        return x

    def map(self, z: Array, labels: Array | None) -> Array:
        """Latents ws [batch, num_ws, w_dim], the same for all layers.

        Args:
            z: normal [batch, z_dim], float32.
            labels: one-hot or soft [batch, num_labels]; None without labels.

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        w: Array = self.mapping(z, labels)
        return jnp.broadcast_to(w[:, None, :], (w.shape[0], self.num_ws, self.w_dim))

    def truncate(self, ws: Array, psi: float | Array, labels: Array | None = None) -> Array:
        """Truncate ws [batch, num_ws, w_dim] towards the average w of all classes by `psi`; see `mapping.truncate`."""
        return truncate(ws, self.get_variable("statistics", "w_average"), psi)
