"""HiFi-GAN's generator, with several receptive fields in parallel at every sample rate (Kong et al. 2020)."""

from flax import linen as nn
from jax import numpy as jnp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array
from drumgan_jax.core.settings import MOST_FEATURES, sizes, whole
from drumgan_jax.networks.weight_normalized import Convolution, UpConvolution, zeros_around

_SLOPE = 0.1


class HifiGan(nn.Module):
    """Mel bands to waveforms: transposed convolutions, each followed by the mean of parallel residual blocks.

    Transposed convolutions are MelGAN's, twice as wide as their ratio, which gives whole hops with odd ratios too. The
    defaults are the paper's V2 except for the ratios, whose product is 256 there; V3 has ratios (8, 8, 4), width 256,
    kernels 3, 5, 7, dilations (1, 2), (2, 6), (3, 12), and is `shallow`.

    The authors' released weights do not match by name: the release numbers residual blocks across all levels, and names
    V3's convolutions `convs`. Its leaky ReLU before `conv_post` has slope 0.01, not 0.1.

    Attributes:
        ratios: upsampling factor of each transposed convolution; their product is the hop length.
        width: number of channels at first, halved by each transposed convolution.
        kernels: kernel size of each residual block.
        dilations: dilations of the successive convolutions of each residual block.
        shallow: whether to leave out the undilated convolution after each dilated one.

    Raises:
        BadInput: a residual block has no dilations.
    """

    ratios: tuple[int, ...] = sizes((5, 4, 4, 2), most=MOST_FEATURES)
    width: int = whole(1, 128, most=MOST_FEATURES)
    kernels: tuple[int, ...] = sizes((3, 7, 11), most=MOST_FEATURES)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    shallow: bool = False

    def __post_init__(self) -> None:
        # Values of other types are rejected when the network is built.
        if isinstance(self.dilations, tuple) and () in self.dilations:
            raise BadInput("config.vocoder.dilations has an empty block; give each block one dilation or more.")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Waveforms [batch, frames * product of ratios] within [-1, 1] from mel bands [batch, bands, frames, 1]."""
        y = _same(self.width, 7, 1, "conv_pre", x[..., 0].swapaxes(1, 2))
        for level, ratio in enumerate(self.ratios):
            y = UpConvolution(self.width // 2 ** (level + 1), ratio, name=f"ups.{level}")(_leaky(y))
            blocks = [
                self._residual(y, width, dilations, f"resblocks.{level}.{number}")
                for number, (width, dilations) in enumerate(zip(self.kernels, self.dilations, strict=True))
            ]
            y = sum(blocks[1:], blocks[0]) / float(len(blocks))
        return jnp.tanh(_same(1, 7, 1, "conv_post", _leaky(y))[..., 0])

    def _residual(self, x: Array, width: int, dilations: tuple[int, ...], name: str) -> Array:
        for number, dilation in enumerate(dilations):
            y = _same(x.shape[-1], width, dilation, f"{name}.convs1.{number}", _leaky(x))
            if not self.shallow:
                y = _same(x.shape[-1], width, 1, f"{name}.convs2.{number}", _leaky(y))
            x = x + y
        return x


def _same(features: int, width: int, dilation: int, name: str, x: Array) -> Array:
    """A zero-padded convolution to the same length."""
    return Convolution(features, width, dilation, name=name)(zeros_around(x, dilation * (width // 2)))


def _leaky(x: Array) -> Array:
    return jnp.where(x > 0.0, x, _SLOPE * x)
