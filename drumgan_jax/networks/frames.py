"""Networks over the frames of log-magnitude spectrograms, frequency bins as channels.

Convolutions over frames only are some fifty times cheaper than two-dimensional ones at 512 bins x 48 frames.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array
from drumgan_jax.networks.bands import band_averages
from drumgan_jax.networks.layers import LEAK

ZERO = nn.initializers.zeros
# A residual block adds little at first.
SMALL = nn.initializers.variance_scaling(0.1, "fan_in", "normal")
# Examples are in units of three standard deviations (audio.spectrograms.LogMagnitude), and networks like them in one.
UNIT = 3.0
# Halvings of the frames in the encoder and the discriminator, and doublings in the synthesis.
LEVELS = 2


def activate(x: Array) -> Array:
    """Leaky ReLU."""
    return jax.nn.leaky_relu(x, LEAK)


def as_frames(x: Array) -> Array:
    """[batch, time, freq] of examples [batch, freq, time, 1], at about unit variance."""
    return UNIT * jnp.swapaxes(x[..., 0], 1, 2)


def with_bands(x: Array) -> Array:
    """Frames [batch, time, freq], and their means in bands [batch, time, freq + bands], which weigh as much together.

    A kick is in the few lowest of a thousand bins. Each of these is a band of its own, and so seen.
    """
    averages = band_averages(x.shape[2])
    weight = math.sqrt(x.shape[2] / len(averages))
    return jnp.concatenate([x, weight * jnp.einsum("bf,ntf->ntb", averages, x)], axis=2)


class FrameBlock(nn.Module):
    """Residual block of two convolutions over frames; the first is scaled by a style and has noise, if they are given.

    Attributes:
        features: channels.
        compute_dtype: dtype of the convolutions.
    """

    features: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, style: Array | None = None, noise: Array | None = None) -> Array:
        """[batch, time, features] in float32.

        Args:
            x: [batch, time, features].
            style: [batch, hidden].
            noise: [batch, 1, time, 1].
        """
        y = nn.Conv(self.features, (3,), dtype=self.compute_dtype, name="first")(activate(x)).astype(jnp.float32)
        if style is not None:
            y = y * (1 + nn.Dense(self.features, name="style")(style))[:, None]
            strength = self.param("noise_strength", ZERO, (self.features,))
            if noise is not None:
                y = y + strength * noise[:, 0]
        y = nn.Conv(self.features, (3,), dtype=self.compute_dtype, kernel_init=SMALL, name="second")(activate(y))
        return x + y.astype(jnp.float32)


class FrameTrunk(nn.Module):
    """Features of an example: convolutions over frames, halved twice.

    Attributes:
        features: channels of the convolutions.
        hidden: size of the features that are returned.
        compute_dtype: dtype of the convolutions.
    """

    features: int
    hidden: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, hidden] in float32 of examples [batch, freq, time, 1]."""
        x = nn.Conv(self.features, (3,), dtype=self.compute_dtype, name="input")(with_bands(as_frames(x)))
        x = x.astype(jnp.float32)
        x = FrameBlock(self.features, self.compute_dtype, name="block_0")(x)
        for level in range(LEVELS):
            down = nn.Conv(self.features, (4,), (2,), dtype=self.compute_dtype, name=f"down_{level}")
            x = down(activate(x))
            x = FrameBlock(self.features, self.compute_dtype, name=f"block_{level + 1}")(x.astype(jnp.float32))
        x = activate(x).reshape(len(x), -1)
        return activate(nn.Dense(self.hidden, name="dense")(x))


def check_frames(shape: tuple[int, int, int]) -> None:
    """Raise BadInput unless an example [freq, time, channels] is a spectrogram with one channel."""
    if shape[0] == 1 or shape[2] != 1:
        raise BadInput(
            f"an example of {shape[0]} x {shape[1]} x {shape[2]} is no spectrogram of magnitudes; networks over frames "
            "need config.representation.kind 'log_magnitude'."
        )
