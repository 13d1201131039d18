"""The losses of MelGAN (Kumar et al. 2019, section 2.3): hinge over scales, and feature matching."""

import jax.numpy as jnp

from drumgan_jax.core.parts import Array

# For each scale, the outputs of all layers [batch, time, channels]; the last output is the scores.
LayerOutputs = tuple[tuple[Array, ...], ...]


def discriminator_loss(real: LayerOutputs, fake: LayerOutputs) -> Array:
    """Sum over scales of mean relu(1 - real score) and mean relu(1 + fake score); a scalar."""
    losses = [jnp.mean(jnp.maximum(1.0 - one[-1], 0.0)) for one in real]
    losses += [jnp.mean(jnp.maximum(1.0 + one[-1], 0.0)) for one in fake]
    return sum(losses, jnp.zeros(()))


def generator_loss(fake: LayerOutputs) -> Array:
    """Minus the sum over scales of the mean score; a scalar."""
    return -sum((jnp.mean(one[-1]) for one in fake), jnp.zeros(()))


def feature_matching_loss(real: LayerOutputs, fake: LayerOutputs) -> Array:
    """Mean absolute differences of the layers' outputs below the scores: sum over layers, mean over scales; a scalar.

    The paper sums over layers and scales. This is the authors' release, to which the weight of 10 belongs: it averages
    over scales, and weighs a layer by 4 over one more than the number of strided convolutions. For the paper's
    discriminator (4 strided convolutions, 6 layers below the scores) the weight is 0.8.
    """
    losses = [
        4.0 / (len(a) - 2) * jnp.mean(jnp.abs(one - other))
        for a, b in zip(real, fake, strict=True)
        for one, other in zip(a[:-1], b[:-1], strict=True)
    ]
    return sum(losses, jnp.zeros(())) / len(real)
