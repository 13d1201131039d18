"""Zero-centred gradient penalties of a discriminator: R1 at real examples, R2 at generated ones."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.core.schedules import Scheduled, traced_value
from drumgan_jax.objectives.objective import LossContext, Metrics, ObjectiveState, all_logits


def squared_gradient_norm(discriminate: Callable[[Array], DiscriminatorOutput], x: Array) -> Array:
    """Squared norm of the logits' gradient at examples (Mescheder et al. 2018, equation 9).

    Args:
        discriminate: discriminator output for examples [batch, freq, time, channels].
        x: examples [batch, freq, time, channels].

    Returns:
        Penalty of each example [batch], before the factor gamma / 2.
    """
    gradient = jax.grad(lambda x: all_logits(discriminate(x)).sum())(x)
    return jnp.sum(jnp.square(gradient), axis=(1, 2, 3))


def r1_regularizer(
    gamma: Scheduled, context: LossContext, state: ObjectiveState, key: Array
) -> tuple[Array, ObjectiveState, Metrics]:
    """gamma / 2 times the mean penalty of the real examples; the key is not used."""
    penalty = squared_gradient_norm(context.discriminate, context.real).mean()
    return penalty * (traced_value(gamma, context.images) / 2), state, {"r1/penalty": penalty}


def r2_regularizer(
    gamma: Scheduled, context: LossContext, state: ObjectiveState, key: Array
) -> tuple[Array, ObjectiveState, Metrics]:
    """gamma / 2 times the mean penalty of the generated examples; the key is not used."""
    penalty = squared_gradient_norm(context.discriminate, jax.lax.stop_gradient(context.fake)).mean()
    return penalty * (traced_value(gamma, context.images) / 2), state, {"r2/penalty": penalty}
