"""The relativistic pairing objective with R1 and R2, which converges without other tricks (R3GAN)."""

import dataclasses
import functools

import jax

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array
from drumgan_jax.core.schedules import Scheduled, is_zero, traced_value
from drumgan_jax.core.settings import check_fields, real, whole
from drumgan_jax.objectives.energy_distance import energy_distance
from drumgan_jax.objectives.gradient_penalties import r1_regularizer, r2_regularizer
from drumgan_jax.objectives.objective import (
    LossContext,
    Metrics,
    ObjectiveState,
    Regularizer,
    all_logits,
    score_metrics,
)


@dataclasses.dataclass(frozen=True)
class Relativistic:
    """softplus of differences of paired logits (Jolicoeur-Martineau 2019), R1 and R2 (Huang et al. 2024).

    Attributes:
        r1_gamma: weight of R1, halved in the loss; 0 for none; may be a schedule.
        r2_gamma: weight of R2, likewise.
        interval: discriminator steps between evaluations of both.
        energy: weight of the energy distance of the spectra of both, by class, in the generator's loss; 0 for none.

    Raises:
        BadInput: a value is out of range.
    """

    r1_gamma: Scheduled = real(0.0, 1e9, scheduled=True)
    r2_gamma: Scheduled = real(0.0, 1e9, scheduled=True)
    interval: int = whole(1, 1)
    energy: Scheduled = real(0.0, 1e9, 0.0, scheduled=True)

    def __post_init__(self) -> None:
        check_fields(self, "objective")

    @property
    def regularizers(self) -> tuple[Regularizer, ...]:
        """R1 and R2, unless their weight is 0."""
        weighted = (("r1", self.r1_gamma, r1_regularizer), ("r2", self.r2_gamma, r2_regularizer))
        return tuple(
            Regularizer(name, "discriminator", self.interval, functools.partial(function, gamma))
            for name, gamma, function in weighted
            if not is_zero(gamma)
        )

    def initial_state(self) -> ObjectiveState:
        """Empty."""
        return {}

    def discriminator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """Mean of softplus(fake - real) over pairs of the batch, a scalar; mean logits as metrics."""
        real_logits, fake_logits = all_logits(context.real_output), all_logits(context.fake_output)
        loss = jax.nn.softplus(fake_logits - real_logits).mean()
        return loss, score_metrics(real_logits, fake_logits, relative=True)

    def generator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """Mean of softplus(real - fake) over pairs of the batch, a scalar; the fakes' mean logit as a metric."""
        real_logits, fake_logits = all_logits(context.real_output), all_logits(context.fake_output)
        loss, metrics = jax.nn.softplus(real_logits - fake_logits).mean(), {"score/fake": fake_logits.mean()}
        if is_zero(self.energy):
            return loss, metrics
        if context.features is None:
            raise BadInput("config.objective.energy needs a representation that keeps phases; set it to 0.")
        distance = energy_distance(context.features(context.real), context.features(context.fake), context.labels)
        return loss + traced_value(self.energy, context.images) * distance, metrics | {"energy": distance}
