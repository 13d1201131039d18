"""Input transforms of an encoder: pure jnp functions in float32, with finite gradients everywhere."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import check_fields, real

Array = jax.Array

# Examples with a peak power below this, in the units of x, count as silent; its quotients with the floor do not
# underflow.
SILENCE = 1e-12


@dataclasses.dataclass(frozen=True)
class Thresholded:
    """Log magnitude of a complex spectrum, scaled from 0 at a floor below the example's loudest bin to 1 at that bin.

    drumgan_vst (section 3.3) drops everything below -1.5 dB, in a scale that it does not state, so that an encoder
    cannot read latents from inaudible artefacts that real sounds lack. Here levels are relative to the loudest bin, so
    the level of a recording changes neither the view nor the bins below the floor.

    Attributes:
        floor_db: distance of the floor from the loudest bin, in dB; bins at or below it are 0.
    """

    floor_db: float = real(0.0, 200.0, 60.0, above=True)

    def __post_init__(self) -> None:
        check_fields(self, "encoder.view")

    def __call__(self, x: Array) -> Array:
        """View [batch, freq, time, 1] in [0, 1] of x [batch, freq, time, 2]; a silent example is 0 everywhere.

        Raises:
            BadInput: x does not have the two channels of a complex spectrum.
        """
        if x.shape[-1] != 2:
            raise BadInput(
                f"config.encoder.view.kind is 'thresholded', which takes a complex spectrum of 2 channels, not"
                f" {x.shape[-1]}; choose 'plain' for this representation."
            )
        # Computed from the power, because the magnitude's derivative is infinite at zero.
        power = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
        peak = jnp.maximum(jnp.max(power, axis=(1, 2, 3), keepdims=True), SILENCE)
        nepers = jnp.log(jnp.maximum(power / peak, 10.0 ** (-self.floor_db / 10.0)))
        return 1.0 + nepers * (10.0 / math.log(10.0) / self.floor_db)


@dataclasses.dataclass(frozen=True)
class Plain:
    """The unchanged example, such as a waveform (style_drumsynth)."""

    def __call__(self, x: Array) -> Array:
        """Return x [batch, freq, time, channels]."""
        return x


VIEWS = {"thresholded": Thresholded, "plain": Plain}
