"""What an encoder sees of an example: pure jnp functions in float32, with gradients that are finite everywhere."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import check_fields, real

Array = jax.Array

# Peak power, in the units of x, below which an example is taken for silent; no quotient of it and the floor underflows.
SILENCE = 1e-12


@dataclasses.dataclass(frozen=True)
class Thresholded:
    """Log magnitude of real and imaginary parts, from 0 at a floor under the example's loudest bin to 1 at that bin.

    drumgan_vst (section 3.3) drops what is under -1.5 dB in a scale that it does not state, so that an encoder cannot
    read latents off inaudible artefacts that no real sound has. The loudest bin is our reference: the level of a
    recording changes neither the view nor what lies under the floor.

    Attributes:
        floor_db: decibels under the loudest bin, at and below which everything is 0.
    """

    floor_db: float = real(0.0, 200.0, 60.0, above=True)

    def __post_init__(self) -> None:
        check_fields(self, "encoder.view")

    def __call__(self, x: Array) -> Array:
        """[batch, freq, time, 1] in [0, 1] of x [batch, freq, time, 2]; 0 everywhere of a silent example.

        Raises:
            BadInput: x has not the two channels of a complex spectrum.
        """
        if x.shape[-1] != 2:
            raise BadInput(
                f"config.encoder.view.kind is 'thresholded', which takes a complex spectrum of 2 channels, not"
                f" {x.shape[-1]}; take 'plain' with this representation."
            )
        # Of the power: the magnitude's own derivative is infinite at zero.
        power = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
        peak = jnp.maximum(jnp.max(power, axis=(1, 2, 3), keepdims=True), SILENCE)
        nepers = jnp.log(jnp.maximum(power / peak, 10.0 ** (-self.floor_db / 10.0)))
        return 1.0 + nepers * (10.0 / math.log(10.0) / self.floor_db)


@dataclasses.dataclass(frozen=True)
class Plain:
    """The example as it is, such as a waveform (style_drumsynth)."""

    def __call__(self, x: Array) -> Array:
        """x [batch, freq, time, channels]."""
        return x


VIEWS = {"thresholded": Thresholded, "plain": Plain}
