"""The Wasserstein objective with gradient penalty, drift, and an auxiliary loss on predicted labels."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.core.schedules import Scheduled, is_zero, traced_value
from drumgan_jax.core.settings import check_fields, real
from drumgan_jax.objectives.objective import (
    LossContext,
    Metrics,
    ObjectiveState,
    Regularizer,
    all_logits,
    score_metrics,
)


@dataclasses.dataclass(frozen=True)
class Wasserstein:
    """WGAN-GP (Gulrajani et al. 2017), drift (Karras et al. 2018), and the error of labels that a critic predicts.

    All weights may be schedules.

    Attributes:
        penalty_weight: weight of the gradient penalty (lambda); 0 for none.
        drift_weight: weight of the mean squared score of real examples.
        label_weight: weight of the mean squared error of the labels the critic predicts; above 0, it must predict them.

    Raises:
        BadInput: a weight is negative.
    """

    penalty_weight: Scheduled = real(0.0, 1e9, 10.0, scheduled=True)
    drift_weight: Scheduled = real(0.0, 1e9, 0.0, scheduled=True)
    label_weight: Scheduled = real(0.0, 1e9, 0.0, scheduled=True)

    def __post_init__(self) -> None:
        check_fields(self, "objective")

    @property
    def regularizers(self) -> tuple[Regularizer, ...]:
        """The gradient penalty in the critic's main loss, unless its weight is 0."""
        function = functools.partial(gradient_penalty_regularizer, self.penalty_weight)
        return (Regularizer("gradient_penalty", "discriminator", 1, function),) * (not is_zero(self.penalty_weight))

    def initial_state(self) -> ObjectiveState:
        """Nothing is carried from step to step."""
        return {}

    def discriminator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """Mean fake minus mean real score, plus drift and the label errors of both batches; a scalar, and metrics.

        Raises:
            BadInput: `label_weight` is above 0 and the labels, or the critic's predictions of them, are missing.
        """
        real_scores, fake_scores = all_logits(context.real_output), all_logits(context.fake_output)
        drift = traced_value(self.drift_weight, context.images) * jnp.square(real_scores).mean()
        loss = fake_scores.mean() - real_scores.mean() + drift
        metrics = score_metrics(real_scores, fake_scores, relative=True)
        if not is_zero(self.label_weight):
            metrics["loss/labels_real"] = label_error(context.real_output, context.labels)
            metrics["loss/labels_fake"] = label_error(context.fake_output, context.labels)
            errors = metrics["loss/labels_real"] + metrics["loss/labels_fake"]
            loss += traced_value(self.label_weight, context.images) * errors
        return loss, metrics

    def generator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """Minus the mean score, plus the label error; a scalar, and metrics.

        Raises:
            BadInput: `label_weight` is above 0 and the labels, or the critic's predictions of them, are missing.
        """
        score = all_logits(context.fake_output).mean()
        if is_zero(self.label_weight):
            return -score, {"score/fake": score}
        error = label_error(context.fake_output, context.labels)
        loss = traced_value(self.label_weight, context.images) * error - score
        return loss, {"score/fake": score, "loss/labels_fake": error}


def label_error(output: DiscriminatorOutput, labels: Array | None) -> Array:
    """Mean squared error between the labels a critic predicts and those asked for, both [batch, labels]; a scalar.

    Raises:
        BadInput: either is missing.
    """
    if labels is None:
        raise BadInput(
            "config.objective.label_weight is above 0, but there are no labels: the task is not conditional."
        )
    if output.labels is None:
        raise BadInput(
            "config.objective.label_weight is above 0, but the discriminator predicts no labels; make the weight 0 or "
            "take a discriminator that does."
        )
    return jnp.square(output.labels.astype(jnp.float32) - labels).mean()


def gradient_norms(context: LossContext, key: Array) -> Array:
    """Norm of the score's gradient between real and generated examples [batch], at a uniform place for each pair.

    The gradient flows through the critic only, not through the examples; at a gradient of exactly 0 the derivative of
    the norm is taken as 0.
    """
    real, fake = jax.lax.stop_gradient((context.real, context.fake))
    alpha = jax.random.uniform(key, (real.shape[0], 1, 1, 1))
    gradient = jax.grad(lambda x: all_logits(context.discriminate(x)).sum())(real + alpha * (fake - real))
    squares = jnp.sum(jnp.square(gradient), axis=(1, 2, 3))
    # The inner choice keeps the root's infinite derivative at 0 out of the graph, the outer one gives its value there.
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)


def gradient_penalty_regularizer(
    weight: Scheduled, context: LossContext, state: ObjectiveState, key: Array
) -> tuple[Array, ObjectiveState, Metrics]:
    """`weight` times the mean over the batch of (gradient norm - 1)^2 (Gulrajani et al. 2017, equation 3).

    DrumGAN's release sums over the batch while it averages the scores, so that its weight grows with the batch size;
    this one does not.
    """
    norms = gradient_norms(context, key)
    penalty = jnp.square(norms - 1).mean()
    metrics = {"gradient_penalty/penalty": penalty, "gradient_penalty/norm": norms.mean()}
    return penalty * traced_value(weight, context.images), state, metrics
