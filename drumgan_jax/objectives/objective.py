"""The protocol of an objective: its losses, the regularisers beside them, and the batch that both see."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import jax.numpy as jnp

from drumgan_jax.core.parts import Array, DiscriminatorOutput

__all__ = ["LossContext", "Objective", "Regularizer"]

Metrics = dict[str, Array]
ObjectiveState = dict[str, Array]
SIGN = "score/sign"


@dataclasses.dataclass(frozen=True)
class LossContext:
    """One batch of a training step, as losses and regularisers see it.

    The functions close over the parameters of both players, so that the gradient of a loss flows through them. Fakes
    and outputs are computed once, when a loss first uses them: take them outside any transformation of its own.

    Attributes:
        discriminate: discriminator output for examples [batch, freq, time, channels], augmented if the config says so.
        draw_ws: fresh ws [rows, layers, w_dim] for a key and a count, with style mixing. Rows are the count, or as many
            more as give each device whole ones; the first are the same on any number of devices.
        synthesize: examples [batch, freq, time, channels] for ws [batch, layers, w_dim] and a noise key.
        real: real examples [batch, freq, time, channels].
        make_fake: the step's generated examples, of the same shape and labels.
        labels: of the real examples [batch, labels]; None without labels.
        images: real examples seen before this step [], int32, for schedules.
        reconstruct: examples made again by the generator from the w that it finds for them, plus normal noise of a
            given standard deviation: without the noise of its layers, and with it; None if it has no encoder.
        varied: what is reconstructed: the real examples, or changed ones; None for the real ones.
        features: of examples, [batch, features], whose Euclidean distances tell how unlike two sounds are; None if
            their representation has none.
        distances: of a batch of examples to its reconstructions without and with noise [], by name.
    """

    discriminate: Callable[[Array], DiscriminatorOutput]
    draw_ws: Callable[[Array, int], Array]
    synthesize: Callable[[Array, Array], Array]
    real: Array
    make_fake: Callable[[], Array]
    labels: Array | None
    images: Array
    reconstruct: Callable[[Array, float], tuple[Array, Array]] | None = None
    varied: Array | None = None
    features: Callable[[Array], Array] | None = None
    distances: Mapping[str, Callable[[Array, Array, Array], Array]] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def fake(self) -> Array:
        """Generated examples [batch, freq, time, channels]."""
        return self.make_fake()

    @functools.cached_property
    def real_output(self) -> DiscriminatorOutput:
        """Discriminator output for the real examples."""
        return self.discriminate(self.real)

    @functools.cached_property
    def fake_output(self) -> DiscriminatorOutput:
        """Discriminator output for the generated examples."""
        return self.discriminate(self.fake)


RegularizerFunction = Callable[[LossContext, ObjectiveState, Array], tuple[Array, ObjectiveState, Metrics]]


@dataclasses.dataclass(frozen=True)
class Regularizer:
    """A term of one player's loss, possibly evaluated at some steps only (lazily).

    Attributes:
        name: names the term in metrics and messages.
        player: the player whose parameters it is differentiated by.
        interval: steps between evaluations. The task multiplies the loss by it; at 1 the term joins the main loss.
        function: from context, objective state and key to the loss (weighted, without the interval), the new objective
            state, and metrics.
    """

    name: str
    player: Literal["generator", "discriminator"]
    interval: int
    function: RegularizerFunction


class Objective(Protocol):
    """The losses of both players; frozen and hashable."""

    @property
    def regularizers(self) -> tuple[Regularizer, ...]:
        """The terms beside the losses."""

    def initial_state(self) -> ObjectiveState:
        """Values that regularisers carry from step to step, float32."""

    def discriminator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """The discriminator's loss, a scalar, and metrics, among them those of `score_metrics`."""

    def generator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """The generator's loss, a scalar, and metrics."""


def all_logits(output: DiscriminatorOutput) -> Array:
    """All logits of all maps of a discriminator output in one row [logits]."""
    return jnp.concatenate([logits.ravel() for logits in output.logits])


def score_metrics(real: Array, fake: Array, relative: bool) -> Metrics:
    """Mean logits, and SIGN: the mean sign of real ones, by which adaptive augmentation sees how much is overfitted.

    Args:
        real: logits of real examples [logits].
        fake: of generated ones [logits].
        relative: whether only differences mean something, as of a critic without a threshold; then the sign of these.
    """
    sign = jnp.sign(real - fake if relative else real).mean()
    return {"score/real": real.mean(), "score/fake": fake.mean(), SIGN: sign}
