"""The hinge objective, for a discriminator that its layers keep bounded (spectral norm); it has no regularisers."""

import dataclasses

import jax

from drumgan_jax.core.parts import Array
from drumgan_jax.objectives.objective import (
    LossContext,
    Metrics,
    ObjectiveState,
    Regularizer,
    all_logits,
    score_metrics,
)


@dataclasses.dataclass(frozen=True)
class Hinge:
    """Hinge losses (Lim and Ye 2017, "Geometric GAN"), as in projected GANs.

    Every logit of every map counts alike, as in the release. The paper sums over discriminators, which is the same up
    to a factor if all maps have the same number of logits.
    """

    @property
    def regularizers(self) -> tuple[Regularizer, ...]:
        """None."""
        return ()

    def initial_state(self) -> ObjectiveState:
        """Empty."""
        return {}

    def discriminator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """Mean of relu(1 - real) plus mean of relu(1 + fake), a scalar; mean logits as metrics."""
        real, fake = all_logits(context.real_output), all_logits(context.fake_output)
        loss = jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()
        return loss, score_metrics(real, fake, relative=False)

    def generator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """Minus the mean logit of the fakes, a scalar; the mean logit as a metric."""
        score = all_logits(context.fake_output).mean()
        return -score, {"score/fake": score}
