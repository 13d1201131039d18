"""The losses of MelGAN (Kumar et al. 2019, section 2.3): hinge over scales, and the distance of features."""

import jax.numpy as jnp

from drumgan_jax.core.parts import Array

# Of every scale, the outputs of all layers [batch, time, channels], the last one being scores.
Judgement = tuple[tuple[Array, ...], ...]


def discriminator_loss(real: Judgement, fake: Judgement) -> Array:
    """Sum over scales of mean relu(1 - real score) and mean relu(1 + fake score); a scalar."""
    losses = [jnp.mean(jnp.maximum(1.0 - one[-1], 0.0)) for one in real]
    losses += [jnp.mean(jnp.maximum(1.0 + one[-1], 0.0)) for one in fake]
    return sum(losses, jnp.zeros(()))


def generator_loss(fake: Judgement) -> Array:
    """Minus the sum over scales of the mean score; a scalar."""
    return -sum((jnp.mean(one[-1]) for one in fake), jnp.zeros(()))


def feature_matching_loss(real: Judgement, fake: Judgement) -> Array:
    """Mean absolute differences of the features below the scores, summed over layers, mean over scales; a scalar.

    The paper sums the layers' means over layers and scales. In the authors' release, which is followed here and which
    a weight of 10 belongs to, a layer weighs 4 over the number of strided convolutions and one: of the paper's
    discriminator, with 4 of them and so 6 layers below the scores, 0.8. Of the scales it takes the mean.
    """
    losses = [
        4.0 / (len(a) - 2) * jnp.mean(jnp.abs(one - other))
        for a, b in zip(real, fake, strict=True)
        for one, other in zip(a[:-1], b[:-1], strict=True)
    ]
    return sum(losses, jnp.zeros(())) / len(real)
