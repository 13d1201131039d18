"""The energy distance of real and generated examples, which only a generator as various as they are makes least."""

import jax.numpy as jnp

from drumgan_jax.core.parts import Array

# Below it, the gradient of a distance would grow without limit.
_LEAST = 1e-6


def energy_distance(real: Array, fake: Array, labels: Array | None) -> Array:
    """Energy distance [] of features [batch, features], of examples of one class each.

    2 E|x - g| - E|g - g'| - E|x - x'| over pairs of different examples (Székely and Rizzo 2013; of spectra, to train a
    generator of sounds: Gritsenko et al. 2020). Its expectation is 0 where both distributions are equal, and above 0
    elsewhere: the first term alone would make all examples their median.

    Args:
        real: features of real examples.
        fake: of generated ones, with the same labels.
        labels: [batch, labels]; a pair counts by the product of its labels. None counts all alike.
    """
    alike = jnp.ones((len(real), len(real))) if labels is None else labels @ labels.T
    others = alike * (1.0 - jnp.eye(len(real)))
    across = _mean(_distances(real, fake), alike)
    return 2.0 * across - _mean(_distances(fake, fake), others) - _mean(_distances(real, real), others)


def _distances(x: Array, y: Array) -> Array:
    return jnp.sqrt(jnp.square(x[:, None] - y[None]).sum(axis=-1) + _LEAST)


def _mean(values: Array, weights: Array) -> Array:
    return jnp.sum(weights * values) / jnp.maximum(jnp.sum(weights), 1e-3)
