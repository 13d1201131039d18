"""The non-saturating logistic objective of StyleGAN2, with lazy R1 and path-length regularisation."""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.objectives.regularizer import Match, Metrics, ObjectiveState, Regularizer


@dataclasses.dataclass(frozen=True)
class Logistic:
    """Logistic losses (Goodfellow et al. 2014), R1 (Mescheder et al. 2018), path length (Karras et al. 2020).

    Attributes:
        r1_gamma: weight of R1, halved in the loss as in its equation; 0 for none.
        r1_interval: discriminator steps between evaluations of R1.
        path_length_weight: weight of the path-length penalty; 0 for none.
        path_length_interval: generator steps between its evaluations.
        path_length_decay: how fast the mean path length follows, per evaluation.
        path_length_batch_shrink: its batch is the training batch divided by this.

    Raises:
        BadInput: a value is out of range.
    """

    r1_gamma: float
    r1_interval: int = 16
    path_length_weight: float = 2.0
    path_length_interval: int = 4
    path_length_decay: float = 0.01
    path_length_batch_shrink: int = 2

    def __post_init__(self) -> None:
        for name in ("r1_gamma", "path_length_weight"):
            if getattr(self, name) < 0:
                raise BadInput(f"config.objective.{name} is {getattr(self, name)}; it must be 0 or more.")
        for name in ("r1_interval", "path_length_interval", "path_length_batch_shrink"):
            if getattr(self, name) < 1:
                raise BadInput(f"config.objective.{name} is {getattr(self, name)}; it must be 1 or more.")
        if not 0 < self.path_length_decay <= 1:
            raise BadInput(
                f"config.objective.path_length_decay is {self.path_length_decay}; it must be above 0 and at most 1."
            )

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
        return (r1,) * (self.r1_gamma > 0) + (path_length,) * (self.path_length_weight > 0)

    def initial_state(self) -> ObjectiveState:
        """The mean path length, which starts at 0."""
        return {"path_length_mean": jnp.zeros((), jnp.float32)}

    def discriminator_loss(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, labels: Array | None
    ) -> tuple[Array, Metrics]:
        """softplus(fake) + softplus(-real), averaged over the batch; mean scores as metrics. Labels are not used."""
        real_scores, fake_scores = all_logits(real), all_logits(fake)
        loss = jax.nn.softplus(fake_scores).mean() + jax.nn.softplus(-real_scores).mean()
        return loss, {"score/real": real_scores.mean(), "score/fake": fake_scores.mean()}

    def generator_loss(self, fake: DiscriminatorOutput, labels: Array | None) -> tuple[Array, Metrics]:
        """softplus(-fake), averaged over the batch; the mean score as a metric. Labels are not used."""
        scores = all_logits(fake)
        return jax.nn.softplus(-scores).mean(), {"score/fake": scores.mean()}


def all_logits(output: DiscriminatorOutput) -> Array:
    """All scores of all maps of a output in one row [scores]."""
    return jnp.concatenate([scores.ravel() for scores in output.logits])


def r1_penalty(discriminate: Callable[[Array], DiscriminatorOutput], real: Array) -> Array:
    """Squared gradient norm of the score at real examples (Mescheder et al. 2018, equation 9).

    Args:
        discriminate: output of examples [batch, freq, time, channels].
        real: examples [batch, freq, time, channels].

    Returns:
        Penalty of each example [batch], before the factor gamma / 2.
    """
    gradient = jax.grad(lambda x: all_logits(discriminate(x)).sum())(real)
    return jnp.sum(jnp.square(gradient), axis=(1, 2, 3))


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


def r1_regularizer(
    gamma: float, match: Match, statistics: ObjectiveState, key: Array
) -> tuple[Array, ObjectiveState, Metrics]:
    """gamma / 2 times the mean R1 penalty of the real examples; statistics and key are not used."""
    penalty = r1_penalty(match.discriminate, match.real).mean()
    return penalty * (gamma / 2), statistics, {"r1/penalty": penalty}


def path_length_regularizer(
    weight: float, decay: float, batch_shrink: int, match: Match, statistics: ObjectiveState, key: Array
) -> tuple[Array, ObjectiveState, Metrics]:
    """`weight` times the mean squared deviation of path lengths from their running mean.

    The mean is over the global batch (the reference keeps one per device). The loss is also differentiated through the
    new mean; the one that is kept is not.
    """
    ws_key, noise_key, direction_key = jax.random.split(key, 3)
    ws = match.draw_ws(ws_key, max(1, match.real.shape[0] // batch_shrink))
    lengths = path_lengths(lambda ws: match.synthesize(ws, noise_key), ws, direction_key)
    old = statistics["path_length_mean"]
    mean = old + decay * (lengths.mean() - old)
    penalty = jnp.square(lengths - mean).mean()
    kept = jax.lax.stop_gradient(mean)
    metrics = {"path_length/penalty": penalty, "path_length/mean": kept, "path_length/length": lengths.mean()}
    return penalty * weight, {**statistics, "path_length_mean": kept}, metrics
