"""What an objective is, and the regularisers it adds to its losses."""

import dataclasses
from collections.abc import Callable
from typing import Literal, Protocol

from drumgan_jax.core.parts import Array, DiscriminatorOutput

Metrics = dict[str, Array]
ObjectiveState = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Match:
    """One batch between the two players, as a regulariser sees it.

    The functions close over the parameters, so that differentiating the loss differentiates through them.

    Attributes:
        discriminate: output of examples [batch, freq, time, channels].
        draw_ws: from a key and a number, that many latents [number, layers, w_dim], style mixing included.
        synthesize: from latents and a key for noise, examples [batch, freq, time, channels].
        real: real examples [batch, freq, time, channels].
        fake: generated ones, where the step has any.
        labels: of the real examples [batch, labels].
    """

    discriminate: Callable[[Array], DiscriminatorOutput]
    draw_ws: Callable[[Array, int], Array]
    synthesize: Callable[[Array, Array], Array]
    real: Array
    fake: Array | None = None
    labels: Array | None = None


RegularizerFunction = Callable[[Match, ObjectiveState, Array], tuple[Array, ObjectiveState, Metrics]]


@dataclasses.dataclass(frozen=True)
class Regularizer:
    """A term of one player's loss, possibly evaluated at some steps only.

    Attributes:
        name: what the term is called in messages.
        player: whose parameters it is differentiated by.
        interval: steps between evaluations. The task multiplies the loss by it; at 1 the term is part of the main loss.
        function: from match, statistics and key to the loss (with its weight, without the interval), the new
            statistics, and metrics.
    """

    name: str
    player: Literal["generator", "discriminator"]
    interval: int
    function: RegularizerFunction


class Objective(Protocol):
    """What the players minimise."""

    @property
    def regularizers(self) -> tuple[Regularizer, ...]:
        """The terms beside the losses."""

    def initial_state(self) -> ObjectiveState:
        """What the regularisers carry from step to step, float32."""

    def discriminator_loss(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, labels: Array | None
    ) -> tuple[Array, Metrics]:
        """Loss of the discriminator, a scalar, and metrics."""

    def generator_loss(self, fake: DiscriminatorOutput, labels: Array | None) -> tuple[Array, Metrics]:
        """Loss of the generator, a scalar, and metrics."""
