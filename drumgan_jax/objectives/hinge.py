"""The hinge objective of a discriminator that is held in bounds by its layers, without regularisers."""

import dataclasses

import jax

from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.objectives.logistic import all_logits
from drumgan_jax.objectives.regularizer import Metrics, ObjectiveState, Regularizer


@dataclasses.dataclass(frozen=True)
class Hinge:
    """Hinge losses (Lim and Ye 2017, "Geometric GAN"), as projected GANs have them.

    Every score of every map counts alike, as in the release; the paper's sum over discriminators is that, up to a
    factor, where all maps have as many scores.
    """

    @property
    def regularizers(self) -> tuple[Regularizer, ...]:
        """None."""
        return ()

    def initial_state(self) -> ObjectiveState:
        """Nothing is carried from step to step."""
        return {}

    def discriminator_loss(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput, labels: Array | None
    ) -> tuple[Array, Metrics]:
        """Mean of relu(1 - real) plus mean of relu(1 + fake); mean scores as metrics. Labels are not used."""
        real_scores, fake_scores = all_logits(real), all_logits(fake)
        loss = jax.nn.relu(1 - real_scores).mean() + jax.nn.relu(1 + fake_scores).mean()
        return loss, {"score/real": real_scores.mean(), "score/fake": fake_scores.mean()}

    def generator_loss(self, fake: DiscriminatorOutput, labels: Array | None) -> tuple[Array, Metrics]:
        """Minus the mean score, and the mean score as a metric. Labels are not used."""
        score = all_logits(fake).mean()
        return -score, {"score/fake": score}
