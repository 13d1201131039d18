"""MelGAN: a generator of waveforms from mel bands, and multi-scale waveform discriminators (Kumar et al. 2019).

Modules have the names of the authors' release.
"""

import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.core.settings import MOST_FEATURES, MOST_LAYERS, check_fields, sizes, whole
from drumgan_jax.networks.weight_normalized import Convolution, UpConvolution, reflect, zeros_around

_SLOPE = 0.2


class Generator(nn.Module):
    """Mel bands to waveforms: transposed convolutions, each followed by dilated residual blocks.

    Attributes:
        ratios: upsampling factor of each transposed convolution; their product is the hop length.
        width: number of channels at the end, doubled before each transposed convolution.
        residual_blocks: number of blocks after each transposed convolution, with dilations 1, 3, 9 and so on.

    Raises:
        BadInput: `residual_blocks` is not a whole number from 0 on.
    """

    ratios: tuple[int, ...] = sizes((5, 4, 4, 2), most=MOST_FEATURES)
    width: int = whole(1, 32, most=MOST_FEATURES)
    residual_blocks: int = whole(0, 3, most=MOST_LAYERS)

    def __post_init__(self) -> None:
        check_fields(self, "vocoder")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Waveforms [batch, frames * product of ratios] within [-1, 1] from mel bands [batch, bands, frames, 1]."""
        y = reflect(x[..., 0].swapaxes(1, 2), 3)
        channels, index = self.width * 2 ** len(self.ratios), 1
        y = Convolution(channels, 7, name=f"model.{index}")(y)
        for ratio in self.ratios:
            channels, index = channels // 2, index + 2
            y = UpConvolution(channels, ratio, name=f"model.{index}")(_leaky(y))
            for number in range(self.residual_blocks):
                index += 1
                y = _residual(y, 3**number, f"model.{index}")
        y = Convolution(1, 7, name=f"model.{index + 3}")(reflect(_leaky(y), 3))
        return jnp.tanh(y[..., 0])


def _residual(x: Array, dilation: int, name: str) -> Array:
    """Residual block on [batch, time, channels]: convolutions of width 3 (dilated) and 1, and a shortcut of width 1."""
    channels = x.shape[-1]
    y = Convolution(channels, 3, dilation, name=f"{name}.block.2")(reflect(_leaky(x), dilation))
    y = Convolution(channels, 1, name=f"{name}.block.4")(_leaky(y))
    return Convolution(channels, 1, name=f"{name}.shortcut")(x) + y


class Discriminator(nn.Module):
    """Multi-scale discriminator: networks of one architecture, each on a waveform of half the previous sample rate.

    Attributes:
        width: channels of the first convolution, multiplied by four by each strided one, up to `width_max`.
        width_max: largest number of channels.
        strided: number of convolutions with stride 4.
        scales: number of networks.

    Raises:
        BadInput: `strided` is not a whole number from 0 on, or `scales` not one from 1 on.
    """

    width: int = whole(1, 16, most=MOST_FEATURES)
    width_max: int = whole(1, 1024, most=MOST_FEATURES)
    strided: int = whole(0, 4, most=MOST_LAYERS)
    scales: int = whole(1, 3, most=MOST_LAYERS)

    def __post_init__(self) -> None:
        check_fields(self, "discriminator")
        super().__post_init__()

    @nn.compact
    def __call__(self, waveform: Array) -> tuple[tuple[Array, ...], ...]:
        """Output of every layer [batch, time, channels] at each scale; the last layer's are logits with one channel.

        Args:
            waveform: [batch, samples].
        """
        x, outputs = waveform[..., None], []
        for scale in range(self.scales):
            outputs.append(self._layers(x, f"model.disc_{scale}.model.layer"))
            x = average_pool(x)
        return tuple(outputs)

    def _layers(self, x: Array, name: str) -> tuple[Array, ...]:
        layers = [_leaky(Convolution(self.width, 15, name=f"{name}_0.1")(reflect(x, 7)))]
        width = self.width
        for number in range(1, self.strided + 1):
            groups, width = width // 4, min(4 * width, self.width_max)
            strided = Convolution(width, 41, stride=4, groups=groups, name=f"{name}_{number}.0")
            layers.append(_leaky(strided(zeros_around(layers[-1], 20))))
        width = min(2 * width, self.width_max)
        last = Convolution(width, 5, name=f"{name}_{self.strided + 1}.0")
        layers.append(_leaky(last(zeros_around(layers[-1], 2))))
        logits = Convolution(1, 3, name=f"{name}_{self.strided + 2}")
        return *layers, logits(zeros_around(layers[-1], 1))


def average_pool(x: Array) -> Array:
    """Average-pool x [batch, time, channels] with width 4 and stride 2; padding does not count in the means."""

    def sums(x: Array) -> Array:
        padded = zeros_around(x, 1)
        pairs = padded[:, 0 : padded.shape[1] // 2 * 2].reshape(len(x), -1, 2, x.shape[2]).sum(axis=2)
        return pairs[:, :-1] + pairs[:, 1:]

    return sums(x) / sums(jnp.ones((1, x.shape[1], 1)))


def _leaky(x: Array) -> Array:
    return jnp.where(x > 0.0, x, _SLOPE * x)
