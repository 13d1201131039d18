"""Weight-normalised convolutions along time, [batch, time, channels], in the forms that vocoders need.

Weight normalisation (Salimans and Kingma 2016): kernel = g v / |v|, with a length g and a direction v of each output
channel. Lengths are of the channels that they are of in the published codes. Of MelGAN, layers have the names of its
release too, so that its weights can be taken over; HiFi-GAN's differ (networks/hifigan.py).

Zeros are put around the input before a convolution, never by it, neither strides nor zeros between samples are left to
it, and its kernel's gradient is a product of matrices: XLA's own gradients on CPU take up to ten times as long, and in
some programs a hundred times (benchmarks/bench_vocoder.py).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Convolutions that a grouped one is made of on CPU, at most: more take longer to compile than they save.
_PIECES = 4


class Convolution(nn.Module):
    """Correlation without padding; `v` [width, in / groups, out], `g` [out], `bias` [out].

    Attributes:
        features: output channels.
        width: of the kernel, in samples.
        dilation: samples from one tap to the next.
        stride: samples from one output to the next.
        groups: of channels, each of which sees its own alone; of strided convolutions only.
    """

    features: int
    width: int
    dilation: int = 1
    stride: int = 1
    groups: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, shorter time, features] of x [batch, time, channels]."""
        shape = (self.width, x.shape[-1] // self.groups, self.features)
        kernel = _normalized(self, shape, shape[0] * shape[1], axes=(0, 1))
        if self.stride > 1:
            y = strided_convolution(x, kernel, self.stride, self.groups)
        else:
            y = convolution(x, kernel, self.dilation)
        return y + self.param("bias", _uniform(shape[0] * shape[1]), (self.features,))


class UpConvolution(nn.Module):
    """Transposed convolution to `factor` times the length; `v` [2 * factor, in, out], `g` [in], `bias` [out].

    As in the published codes, the length `g` is of each input channel.
    """

    features: int
    factor: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, factor * time, features] of x [batch, time, channels]."""
        shape = (2 * self.factor, x.shape[-1], self.features)
        # An output is a sum over two of the taps. PyTorch takes out * 2 * factor, the reverse's.
        kernel = _normalized(self, shape, 2 * x.shape[-1], axes=(0, 2))
        return up_convolution(x, kernel) + self.param("bias", _uniform(2 * x.shape[-1]), (self.features,))


def reflect(x: Array, samples: int) -> Array:
    """x [batch, time, channels], mirrored by so many samples at both ends, again and again where it is shorter."""
    return jnp.pad(x, ((0, 0), (samples, samples), (0, 0)), mode="reflect")


def zeros_around(x: Array, samples: int) -> Array:
    """x [batch, time, channels] with so many zeros at both ends."""
    return jnp.pad(x, ((0, 0), (samples, samples), (0, 0)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolution(x: Array, kernel: Array, dilation: int = 1) -> Array:
    """Correlation without padding.

    Args:
        x: [batch, time, in].
        kernel: [width, in, out].
        dilation: samples from one tap to the next.

    Returns:
        [batch, time - dilation * (width - 1), out].
    """
    if kernel.shape[0] == 1:
        return jnp.matmul(x, kernel[0])
    # With an axis of height 1: the convolutions of images are the ones that are fast.
    return jax.lax.conv_general_dilated(
        x[:, None], kernel[None], (1, 1), "VALID", rhs_dilation=(1, dilation), dimension_numbers=_DIMENSIONS
    )[:, 0]


def _convolution_gradients(dilation: int, kept: tuple[Array, Array], y: Array) -> tuple[Array, Array]:
    x, kernel = kept
    width, time = len(kernel), y.shape[1]
    by_x = convolution(zeros_around(y, dilation * (width - 1)), kernel[::-1].swapaxes(1, 2), dilation)
    taps = jnp.concatenate([x[:, dilation * tap : dilation * tap + time] for tap in range(width)], axis=-1)
    # Each example's product on its own: one long product is slower where channels are few.
    by_kernel = jnp.einsum("bti,bto->bio", taps, y).sum(axis=0)
    return by_x, by_kernel.reshape(kernel.shape)


convolution.defvjp(lambda x, kernel, dilation: (convolution(x, kernel, dilation), (x, kernel)), _convolution_gradients)


def strided_convolution(x: Array, kernel: Array, stride: int, groups: int) -> Array:
    """Correlation without padding at every `stride`-th sample, of groups of channels.

    Args:
        x: [batch, time, in].
        kernel: [width, in / groups, out].
        stride: samples from one output to the next.
        groups: of channels.

    Returns:
        [batch, 1 + (time - width) // stride, out].
    """

    def plain(x: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(
            x[:, None],
            kernel[None],
            (1, stride),
            "VALID",
            feature_group_count=groups,
            dimension_numbers=_DIMENSIONS,
        )[:, 0]

    def in_pieces(x: Array, kernel: Array) -> Array:
        return _strided_in_pieces(x, kernel, stride, groups)

    return jax.lax.platform_dependent(x, kernel, cpu=in_pieces, default=plain)


def _strided_in_pieces(x: Array, kernel: Array, stride: int, groups: int) -> Array:
    """`strided_convolution` as plain ones, of blocks of `stride` samples, for one part of the channels after the other.

    Where there are many groups, several of them make a part, and the kernel between them is zero.
    """
    batch, time, channels = x.shape
    width, inputs, features = kernel.shape
    count, taps = 1 + (time - width) // stride, -(-width // stride)
    length = stride * (count + taps - 1)
    x = jnp.pad(x, ((0, 0), (0, max(0, length - time)), (0, 0)))[:, :length]
    kernel = jnp.pad(kernel, ((0, stride * taps - width), (0, 0), (0, 0)))
    pieces = max(n for n in range(1, _PIECES + 1) if groups % n == 0)
    joined = groups // pieces
    kernel = kernel.reshape(stride * taps, inputs, pieces, joined, features // groups)
    apart = jnp.eye(joined)[None, :, None, None, :, None]
    kernel = kernel[:, None] * apart
    kernel = kernel.reshape(taps, stride * joined * inputs, pieces, features // pieces)
    parts = x.reshape(batch, count + taps - 1, stride, pieces, channels // pieces)
    outputs = [
        convolution(parts[:, :, :, piece].reshape(batch, count + taps - 1, -1), kernel[:, :, piece])
        for piece in range(pieces)
    ]
    return jnp.concatenate(outputs, axis=-1)


def up_convolution(x: Array, kernel: Array) -> Array:
    """Transposed convolution, twice as wide as its stride, to exactly `factor` times the length.

    As if `factor` - 1 zeros were put after each sample, each then spread by the kernel, and what is beyond the length
    cut off, factor // 2 + factor % 2 samples of it at the start. Of each output only two taps meet samples that are not
    zero: so it is a convolution two wide to `factor` phases, which are then laid in a row.

    Args:
        x: [batch, time, in].
        kernel: [2 * factor, in, out].

    Returns:
        [batch, factor * time, out].
    """
    batch, time, channels = x.shape
    factor, features = kernel.shape[0] // 2, kernel.shape[2]
    start = factor // 2 + factor % 2
    # [2, in, factor * out]: the later taps are for the sample before.
    phases = jnp.stack([kernel[factor:], kernel[:factor]]).transpose(0, 2, 1, 3)
    y = convolution(zeros_around(x, 1), phases.reshape(2, channels, factor * features))
    return y.reshape(batch, factor * (time + 1), features)[:, start : start + factor * time]


def _normalized(module: nn.Module, shape: tuple[int, int, int], fan_in: int, axes: tuple[int, int]) -> Array:
    """The kernel of parameters `v`, of a shape, and `g`, a length for each place of the third axis."""

    def length(v: Array) -> Array:
        return jnp.sqrt(jnp.sum(jnp.square(v), axis=axes, keepdims=True))

    v: Any = module.param("v", _uniform(fan_in), shape)
    norm = length(v)
    g: Any = module.param("g", lambda _: norm.reshape(-1))
    return v * (g.reshape(norm.shape) / norm)


def _uniform(fan_in: int) -> Any:
    """Uniform up to one over the root of `fan_in`.

    It is PyTorch's own, which is in force in the published codes, but for another `fan_in` of transposed convolutions.
    """
    return lambda key, shape: jax.random.uniform(key, shape, jnp.float32, -(fan_in**-0.5), fan_in**-0.5)
