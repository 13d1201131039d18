"""The non-saturating logistic objective of StyleGAN2, with lazy R1 and path-length regularisation."""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.core.schedules import Scheduled, is_zero, traced_value
from drumgan_jax.core.settings import check_fields, real, whole
from drumgan_jax.objectives.gradient_penalties import r1_regularizer
from drumgan_jax.objectives.objective import (
    LossContext,
    Metrics,
    ObjectiveState,
    Regularizer,
    all_logits,
    score_metrics,
)


@dataclasses.dataclass(frozen=True)
class Logistic:
    """Logistic losses (Goodfellow et al. 2014), R1 (Mescheder et al. 2018), path length (Karras et al. 2020).

    Attributes:
        r1_gamma: weight of R1, halved in the loss as in its equation; 0 for none; may be a schedule.
        r1_interval: discriminator steps between evaluations of R1.
        path_length_weight: weight of the path-length penalty; 0 for none; may be a schedule.
        path_length_interval: generator steps between its evaluations.
        path_length_decay: how fast the mean path length follows, per evaluation.
        path_length_batch_shrink: its batch is the training batch divided by this.

    Raises:
        BadInput: a value is out of range.
    """

    r1_gamma: Scheduled = real(0.0, 1e9, scheduled=True)
    r1_interval: int = whole(1, 16)
    path_length_weight: Scheduled = real(0.0, 1e9, 2.0, scheduled=True)
    path_length_interval: int = whole(1, 4)
    path_length_decay: float = real(0.0, 1.0, 0.01, above=True)
    path_length_batch_shrink: int = whole(1, 2)

    def __post_init__(self) -> None:
        check_fields(self, "objective")

    @property
    def regularizers(self) -> tuple[Regularizer, ...]:
        """R1 and path length, unless their weight is 0."""
        r1 = Regularizer("r1", "discriminator", self.r1_interval, functools.partial(r1_regularizer, self.r1_gamma))
        path_length = Regularizer(
            "path_length",
            "generator",
            self.path_length_interval,
            functools.partial(
                path_length_regularizer,
                self.path_length_weight,
                self.path_length_decay,
                self.path_length_batch_shrink,
            ),
        )
        return (r1,) * (not is_zero(self.r1_gamma)) + (path_length,) * (not is_zero(self.path_length_weight))

    def initial_state(self) -> ObjectiveState:
        """The mean path length, which starts at 0."""
        return {"path_length_mean": jnp.zeros((), jnp.float32)}

    def discriminator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """softplus(fake) + softplus(-real), averaged over the batch, a scalar; mean logits as metrics."""
        real_logits, fake_logits = all_logits(context.real_output), all_logits(context.fake_output)
        loss = jax.nn.softplus(fake_logits).mean() + jax.nn.softplus(-real_logits).mean()
        return loss, score_metrics(real_logits, fake_logits, relative=False)

    def generator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """softplus(-fake), averaged over the batch, a scalar; the mean logit as a metric."""
        logits = all_logits(context.fake_output)
        return jax.nn.softplus(-logits).mean(), {"score/fake": logits.mean()}


def path_lengths(synthesize: Callable[[Array], Array], ws: Array, key: Array) -> Array:
    """How far a unit step in w moves the example, in a random direction (Karras et al. 2020, equation 4).

    Args:
        synthesize: examples [batch, freq, time, channels] of latents [batch, layers, w_dim].
        ws: [batch, layers, w_dim].
        key: draws the direction.

    Returns:
        Length of each example [batch]: root over the mean over layers of the squared gradient norm.
    """
    x, pull_back = jax.vjp(synthesize, ws)
    direction = jax.random.normal(key, x.shape) / math.sqrt(x.shape[1] * x.shape[2])
    (gradient,) = pull_back(direction)
    return jnp.sqrt(jnp.square(gradient).sum(axis=2).mean(axis=1))


def path_length_regularizer(
    weight: Scheduled, decay: float, batch_shrink: int, context: LossContext, state: ObjectiveState, key: Array
) -> tuple[Array, ObjectiveState, Metrics]:
    """`weight` times the mean squared deviation of path lengths from their running mean.

    The mean is over the global batch (the reference keeps one per device). The loss is also differentiated through the
    new mean; the one that is kept is not.
    """
    ws_key, noise_key, direction_key = jax.random.split(key, 3)
    count = max(1, context.real.shape[0] // batch_shrink)
    ws = context.draw_ws(ws_key, count)
    lengths = path_lengths(lambda ws: context.synthesize(ws, noise_key), ws, direction_key)[:count]
    old = state["path_length_mean"]
    mean = old + decay * (lengths.mean() - old)
    penalty = jnp.square(lengths - mean).mean()
    kept = jax.lax.stop_gradient(mean)
    metrics = {"path_length/penalty": penalty, "path_length/mean": kept, "path_length/length": lengths.mean()}
    return penalty * traced_value(weight, context.images), {**state, "path_length_mean": kept}, metrics
