"""Random z, labels, noise and directions from seeds; a seed gives the same values in any batch."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.keys import Purpose, sound_key, sound_keys
from drumgan_jax.networks.noise import draw_noise

Array = jax.Array


def check_seeds(seeds: Sequence[int]) -> np.ndarray:
    """Seeds as an array [batch] uint32; BadInput unless there is one and all are in range."""
    if not len(seeds) or min(seeds) < 0 or max(seeds) >= 2**32:
        raise BadInput("seeds must be at least one whole number from 0 to 4294967295.")
    return np.asarray(seeds, np.uint32)


@functools.partial(jax.jit, static_argnums=1)
def z_of(seeds: Array, z_dim: int) -> Array:
    """Draw normal z [batch, z_dim] from seeds [batch] uint32."""
    return jax.vmap(lambda key: jax.random.normal(key, (z_dim,)))(sound_keys(seeds, Purpose.Z))


@functools.partial(jax.jit, static_argnums=1)
def labels_of(seeds: Array, count: int) -> Array:
    """Draw uniform one-hot labels [batch, count] from seeds [batch] uint32."""
    if not count:
        return jnp.zeros((len(seeds), 0))
    return jax.vmap(lambda key: jax.nn.one_hot(jax.random.randint(key, (), 0, count), count))(
        sound_keys(seeds, Purpose.LABEL)
    )


@functools.partial(jax.jit, static_argnums=1)
def items_of(seeds: Array, count: int) -> Array:
    """Draw the recordings [batch], from 0 to count - 1, whose attributes sounds have, from seeds [batch] uint32."""
    return jax.vmap(lambda key: jax.random.randint(key, (), 0, count))(sound_keys(seeds, Purpose.ATTRIBUTES))


@functools.partial(jax.jit, static_argnums=1)
def noise_of(seeds: Array, sizes: Sequence[tuple[int, int]]) -> tuple[Array, ...]:
    """Draw normal noise [batch, freq, time, 1] per layer from seeds [batch] uint32; `sizes` has (freq, time) each."""
    return tuple(draw_noise(sound_keys(seeds, Purpose.NOISE), sizes)) if sizes else ()


@functools.partial(jax.jit, static_argnums=1)
def direction_of(seed: Array, z_dim: int) -> Array:
    """Draw two normal z [2, z_dim] from a seed [] uint32; their difference is a direction."""
    return jax.random.normal(sound_key(seed, Purpose.DIRECTION), (2, z_dim))


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def sample_of(chunk: Array, rows: int, z_dim: int, count: int, typical: Array | None = None) -> tuple[Array, Array]:
    """Chunk number `chunk` [] of an infinite sample: normal z [rows, z_dim] and one-hot labels [rows, count].

    With typical attributes [classes, recordings, attributes], the labels are followed by those of a recording of the
    class [rows, count + attributes].
    """
    normal, uniform = jax.random.split(jax.random.fold_in(sound_key(0, Purpose.COMPONENT_SAMPLES), chunk))
    z = jax.random.normal(normal, (rows, z_dim))
    classes = jax.random.randint(uniform, (rows,), 0, max(count, 1))
    labels = jax.nn.one_hot(classes, count) if count else jnp.zeros((rows, 0))
    if typical is None:
        return z, labels
    items = jax.random.randint(jax.random.fold_in(uniform, 1), (rows,), 0, typical.shape[1])
    return z, jnp.concatenate([labels, typical[classes, items]], axis=1)
