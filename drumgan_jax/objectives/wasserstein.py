"""The Wasserstein objective with gradient penalty, drift, and an auxiliary loss on predicted labels."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.objectives.logistic import all_logits
from drumgan_jax.objectives.regularizer import Match, Metrics, ObjectiveState, Regularizer


@dataclasses.dataclass(frozen=True)
class Wasserstein:
    """WGAN-GP (Gulrajani et al. 2017), drift (Karras et al. 2018), and the error of labels that a critic predicts.

    Attributes:
        penalty_weight: weight of the gradient penalty (lambda); 0 for none.
        drift_weight: weight of the mean squared score of real examples.
        label_weight: weight of the mean squared error of the labels the critic predicts; above 0, it must predict them.

    Raises:
        BadInput: a weight is negative.
    """

    penalty_weight: float = 10.0
    drift_weight: float = 0.0
    label_weight: float = 0.0

    def __post_init__(self) -> None:
        for name in ("penalty_weight", "drift_weight", "label_weight"):
            if getattr(self, name) < 0:
                raise BadInput(f"config.objective.{name} is {getattr(self, name)}; it must be 0 or more.")

    @property
    def regularizers(self) -> tuple[Regularizer, ...]:
        """The gradient penalty in the critic's main loss, unless its weight is 0."""
        function = functools.partial(gradient_penalty_regularizer, self.penalty_weight)
        return (Regularizer("gradient_penalty", "discriminator", 1, function),) * (self.penalty_weight > 0)

    def initial_state(self) -> ObjectiveState:
        """Nothing is carried from step to step."""
        return {}

    def discriminator_loss(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, labels: Array | None
    ) -> tuple[Array, Metrics]:
        """Mean fake minus mean real score, plus drift and the label errors of both batches; a scalar, and metrics.

        Raises:
            BadInput: `label_weight` is above 0 and the labels, or the critic's predictions of them, are missing.
        """
        real_scores, fake_scores = all_logits(real), all_logits(fake)
        loss = fake_scores.mean() - real_scores.mean() + self.drift_weight * jnp.square(real_scores).mean()
        metrics = {"score/real": real_scores.mean(), "score/fake": fake_scores.mean()}
        if self.label_weight:
            metrics["loss/labels_real"] = label_error(real, labels)
            metrics["loss/labels_fake"] = label_error(fake, labels)
            loss += self.label_weight * (metrics["loss/labels_real"] + metrics["loss/labels_fake"])
        return loss, metrics

    def generator_loss(self, fake: DiscriminatorOutput, labels: Array | None) -> tuple[Array, Metrics]:
        """Minus the mean score, plus the label error; a scalar, and metrics.

        Raises:
            BadInput: `label_weight` is above 0 and the labels, or the critic's predictions of them, are missing.
        """
        score = all_logits(fake).mean()
        if not self.label_weight:
            return -score, {"score/fake": score}
        error = label_error(fake, labels)
        return self.label_weight * error - score, {"score/fake": score, "loss/labels_fake": error}


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


def gradient_norms(match: Match, key: Array) -> Array:
    """Norm of the score's gradient between real and generated examples [batch], at a uniform place for each pair.

    Nothing is differentiated through the examples, only through the critic; at a gradient of exactly 0 the derivative
    of the norm is taken as 0.

    Raises:
        BadInput: the match has no generated examples.
    """
    if match.fake is None:
        raise BadInput("the gradient penalty needs generated examples; evaluate it where the critic's loss is.")
    real, fake = jax.lax.stop_gradient((match.real, match.fake))
    alpha = jax.random.uniform(key, (real.shape[0], 1, 1, 1))
    gradient = jax.grad(lambda x: all_logits(match.discriminate(x)).sum())(real + alpha * (fake - real))
    squares = jnp.sum(jnp.square(gradient), axis=(1, 2, 3))
    # The inner choice keeps the root's infinite derivative at 0 out of the graph, the outer one gives its value there.
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)


def gradient_penalty_regularizer(
    weight: float, match: Match, statistics: ObjectiveState, key: Array
) -> tuple[Array, ObjectiveState, Metrics]:
    """`weight` times the mean over the batch of (gradient norm - 1)^2 (Gulrajani et al. 2017, equation 3).

    DrumGAN's release sums over the batch while it averages the scores, so that its weight grows with the batch size;
    this one does not.
    """
    norms = gradient_norms(match, key)
    penalty = jnp.square(norms - 1).mean()
    return penalty * weight, statistics, {"gradient_penalty/penalty": penalty, "gradient_penalty/norm": norms.mean()}
