"""From z and labels to w, and the ways to change w that need no training."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array
from drumgan_jax.networks.layers import Dense


class Mapping(nn.Module):
    """Mapping network (Karras et al. 2019, section 2; labels as in Karras et al. 2020, "ADA").

    Attributes:
        w_dim: size of w, of the hidden layers and of the label embedding.
        num_layers: dense layers, each with a leaky rectifier.
        num_labels: classes; 0 for none.
        lr_multiplier: learning rate of the dense layers relative to the optimiser's; the embedding has 1.
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
            labels: one-hot or soft [batch, num_labels]; ignored where there are no labels.

        Raises:
            BadInput: labels are missing or of another number.
        """
        parts = [] if z is None else [normalize_second_moment(z)]
        if self.num_labels:
            labels = check_labels(labels, self.num_labels)
            parts.append(normalize_second_moment(Dense(self.w_dim, name="embed")(labels)))
        x = jnp.concatenate(parts, axis=-1)
        for i in range(self.num_layers):
            x = Dense(self.w_dim, self.lr_multiplier, activate=True, name=f"dense_{i}")(x)
        return x


def normalize_second_moment(x: Array) -> Array:
    """Each row divided by its root mean square (plus 1e-8 under the root); [batch, features]."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)


def check_labels(labels: Array | None, num_labels: int) -> Array:
    """The labels, if they are [batch, num_labels].

    Raises:
        BadInput: labels are missing or of another number.
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
        psi: 1 leaves w as it is, 0 gives the average.
        cutoff: how many of the first layers to change; None for all.

    Returns:
        [batch, layers, w_dim].
    """
    truncated = w_average + psi * (ws - w_average)
    if cutoff is None:
        return truncated
    return jnp.where(jnp.arange(ws.shape[1])[:, None] < cutoff, truncated, ws)


def mix_styles(ws_a: Array, ws_b: Array, key: Array, probability: float) -> Array:
    """Give the later layers another w, from one layer on for the whole batch (Karras et al. 2019, section 3.1).

    Args:
        ws_a: [batch, layers, w_dim], kept below the cutoff.
        ws_b: [batch, layers, w_dim], taken from the cutoff on.
        key: random key.
        probability: of mixing at all; the cutoff is then uniform in 1 .. layers - 1.

    Returns:
        [batch, layers, w_dim].
    """
    num_ws = ws_a.shape[1]
    whether, where = jax.random.split(key)
    cutoff = jax.random.randint(where, (), 1, num_ws)
    cutoff = jnp.where(jax.random.bernoulli(whether, probability), cutoff, num_ws)
    return jnp.where(jnp.arange(num_ws)[:, None] < cutoff, ws_a, ws_b)


class StyleGenerator(nn.Module):
    """What generators with a mapping network share: ws of z, all layers alike, and the average that truncation seeks.

    A generator adds `mapping`, made in `setup`, `num_ws`, `noise_sizes` and `synthesize`.

    Variables: "params", and "statistics" with the running mean of w, `w_average` [w_dim], which whoever trains updates
    once per generator step from the global batch (decay 0.995); nothing here changes it.

    Attributes:
        shape: (freq, time, channels) of an example.
        num_labels: classes that condition the mapping; 0 for none.
        z_dim: size of z.
        w_dim: size of w.
        mapping_layers: dense layers of the mapping.
        style_mixing: probability of mixing styles while training; for whoever draws ws, see `mix_styles`.
        compute_dtype: what convolutions run in; everything else is float32.
    """

    shape: tuple[int, int, int]
    num_labels: int = 0
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    style_mixing: float = 0.9
    compute_dtype: jnp.dtype = jnp.float32

    learns_w: ClassVar[bool] = True
    truncates: ClassVar[bool] = True

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(freq, time) of the output, which does not grow."""
        return (self.shape[:2],)

    def make_average(self) -> None:
        """The average, as the mapping is new; for `setup`."""
        if self.is_initializing():
            self.variable("statistics", "w_average", jnp.zeros, (self.w_dim,))

    def __call__(self, z: Array, labels: Array | None, noise: Array | None) -> Array:
        """Examples [batch, freq, time, channels] of z [batch, z_dim]; see `map` and `synthesize`."""
        x: Array = self.synthesize(self.map(z, labels), noise)
        return x

    def map(self, z: Array, labels: Array | None) -> Array:
        """Latents ws [batch, num_ws, w_dim], all layers alike.

        Args:
            z: normal [batch, z_dim], float32.
            labels: one-hot or soft [batch, num_labels]; None where there are no labels.

        Raises:
            BadInput: labels are missing or of another number.
        """
        w: Array = self.mapping(z, labels)
        return jnp.broadcast_to(w[:, None, :], (w.shape[0], self.num_ws, self.w_dim))

    def truncate(self, ws: Array, psi: float | Array) -> Array:
        """ws [batch, num_ws, w_dim] pulled towards the average w by `psi`; see `mapping.truncate`."""
        return truncate(ws, self.get_variable("statistics", "w_average"), psi)
