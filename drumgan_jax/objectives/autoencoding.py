"""The relativistic pairing objective of a generator that also encodes: it has to make the real examples again."""

import dataclasses

import jax

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array
from drumgan_jax.core.schedules import Scheduled, is_zero, traced_value
from drumgan_jax.core.settings import real
from drumgan_jax.objectives.objective import LossContext, Metrics, all_logits
from drumgan_jax.objectives.relativistic import Relativistic

DISTANCES = ("log_magnitude", "log_mel", "spectra", "octaves", "noisiness")


@dataclasses.dataclass(frozen=True)
class Autoencoding(Relativistic):
    """`Relativistic`, plus distances of real examples to their reconstructions, which the discriminator judges too.

    A reconstruction is synthesised from the w that the generator's encoder finds, plus normal noise, so that neighbours
    of a real example's w sound right too. If the data are augmented for reconstructions only, they are of the changed
    examples. The distances are those of `Gan.distances`.

    Attributes:
        log_magnitude: weight of the mean absolute difference of the examples, of a synthesis without noise; a schedule
            is possible, as for all weights.
        log_mel: weight of that in 64 mel bands, in dB.
        spectra: weight of that of powers averaged over 4 cells in three ways, in dB.
        octaves: weight of that of powers in octaves of each frame, where they are loud, in dB.
        noisiness: weight of the difference between how far a reconstruction strays by its noise and how far the example
            is from it without noise.
        adversarial: weight of the generator's adversarial loss on reconstructions.
        latent_noise: standard deviation of the noise on w.

    Raises:
        BadInput: a value is out of range.
    """

    log_magnitude: Scheduled = real(0.0, 1e9, 3.0, scheduled=True)
    log_mel: Scheduled = real(0.0, 1e9, 0.0, scheduled=True)
    spectra: Scheduled = real(0.0, 1e9, 0.0, scheduled=True)
    octaves: Scheduled = real(0.0, 1e9, 0.0, scheduled=True)
    noisiness: Scheduled = real(0.0, 1e9, 0.0, scheduled=True)
    adversarial: Scheduled = real(0.0, 1e9, 0.3, scheduled=True)
    latent_noise: float = real(0.0, 1e3, 0.1)

    def generator_loss(self, context: LossContext) -> tuple[Array, Metrics]:
        """See Relativistic; plus the reconstructions' terms.

        Raises:
            BadInput: the generator has no encoder, or the representation lacks a distance.
        """
        loss, metrics = super().generator_loss(context)
        if context.reconstruct is None:
            raise BadInput("config.objective.kind 'autoencoding' needs a generator that encodes, such as 'frames'.")
        wanted = context.real if context.varied is None else context.varied
        plain, noisy = context.reconstruct(wanted, self.latent_noise)
        for name in DISTANCES:
            if is_zero(getattr(self, name)):
                continue
            if name not in context.distances:
                raise BadInput(f"config.objective.{name} needs a representation of log magnitudes; set it to 0.")
            distance = context.distances[name](wanted, plain, noisy)
            loss = loss + traced_value(getattr(self, name), context.images) * distance
            metrics |= {f"reconstruction/{name}": distance}
        if not is_zero(self.adversarial):
            difference = all_logits(context.real_output) - all_logits(context.discriminate(noisy))
            loss = loss + traced_value(self.adversarial, context.images) * jax.nn.softplus(difference).mean()
        return loss, metrics
