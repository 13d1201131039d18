"""Weight-normalised convolutions along time, [batch, time, channels], as vocoders need them.

Weight normalisation (Salimans and Kingma 2016): kernel = g v / |v|, with a norm g and a direction v per channel. Norms
are per output or input channel as in the published implementations. MelGAN's layers have the names of its release, so
that its weights can be loaded; HiFi-GAN's differ (networks/hifigan.py).

Padding is done before a convolution rather than by it, strides and transposed convolutions are expressed by plain
convolutions, and the kernel gradient is a matrix product: on CPU, XLA's own gradients take up to ten times as long, and
in some programs a hundred times (benchmarks/bench_vocoder.py).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks import convolution_on_cpu
from drumgan_jax.networks.convolution import plain
from drumgan_jax.networks.convolution_on_cpu import DIMENSIONS, Geometry

# Largest number of plain convolutions that replace a grouped one on CPU: more take longer to compile than they save.
_PIECES = 4


class Convolution(nn.Module):
    """Cross-correlation without padding; parameters `v` [width, in / groups, out], `g` [out], `bias` [out].

    Attributes:
        features: output channels.
        width: kernel size in samples.
        dilation: samples between successive taps.
        stride: samples between successive outputs.
        groups: number of channel groups convolved separately; used by strided convolutions only.
    """

    features: int
    width: int
    dilation: int = 1
    stride: int = 1
    groups: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, shorter time, features] from x [batch, time, channels]."""
        shape = (self.width, x.shape[-1] // self.groups, self.features)
        kernel = _normalized(self, shape, shape[0] * shape[1], axes=(0, 1))
        if self.stride > 1:
            y = strided_convolution(x, kernel, self.stride, self.groups)
        else:
            y = convolution(x, kernel, self.dilation)
        return y + self.param("bias", _uniform(shape[0] * shape[1]), (self.features,))


class UpConvolution(nn.Module):
    """Transposed convolution to `factor` times the length; `v` [2 * factor, in, out], `g` [in], `bias` [out].

    As in the published implementations, the norm `g` is per input channel.
    """

    features: int
    factor: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, factor * time, features] from x [batch, time, channels]."""
        shape = (2 * self.factor, x.shape[-1], self.features)
        # Each output sums over two taps. PyTorch uses out * 2 * factor, the fan in of the reverse direction.
        kernel = _normalized(self, shape, 2 * x.shape[-1], axes=(0, 2))
        return up_convolution(x, kernel) + self.param("bias", _uniform(2 * x.shape[-1]), (self.features,))


def reflect(x: Array, samples: int) -> Array:
    """Reflect-pad x [batch, time, channels] by `samples` at both ends, repeatedly if x is shorter than that."""
    return jnp.pad(x, ((0, 0), (samples, samples), (0, 0)), mode="reflect")


def zeros_around(x: Array, samples: int) -> Array:
    """Zero-pad x [batch, time, channels] by `samples` at both ends."""
    return jnp.pad(x, ((0, 0), (samples, samples), (0, 0)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolution(x: Array, kernel: Array, dilation: int = 1) -> Array:
    """Cross-correlation without padding.

    Args:
        x: [batch, time, in].
        kernel: [width, in, out].
        dilation: samples between successive taps.

    Returns:
        [batch, time - dilation * (width - 1), out].
    """
    if kernel.shape[0] == 1:
        return jnp.matmul(x, kernel[0])
    # Two-dimensional with height 1, because XLA's image convolutions are the fast ones.
    return plain(x[:, None], kernel[None], Geometry(dilation=(1, dilation)))[:, 0]


def _convolution_gradients(dilation: int, residuals: tuple[Array, Array], y: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    width, time = len(kernel), y.shape[1]
    by_x = convolution(zeros_around(y, dilation * (width - 1)), kernel[::-1].swapaxes(1, 2), dilation)

    def at_once(x: Array, y: Array) -> Array:
        taps = jnp.concatenate([x[:, dilation * tap : dilation * tap + time] for tap in range(width)], axis=-1)
        return jnp.einsum("bti,bto->bio", taps, y).sum(axis=0).reshape(kernel.shape)

    def on_cpu(x: Array, y: Array) -> Array:
        geometry = Geometry(dilation=(1, dilation))
        return convolution_on_cpu.kernel_gradient(x[:, None], y[:, None], geometry, (1, width))[0]

    return by_x, jax.lax.platform_dependent(x, y, cpu=on_cpu, default=at_once)


convolution.defvjp(lambda x, kernel, dilation: (convolution(x, kernel, dilation), (x, kernel)), _convolution_gradients)


def strided_convolution(x: Array, kernel: Array, stride: int, groups: int) -> Array:
    """Strided, grouped cross-correlation without padding.

    Args:
        x: [batch, time, in].
        kernel: [width, in / groups, out].
        stride: samples between successive outputs.
        groups: number of channel groups.

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
            dimension_numbers=DIMENSIONS,
        )[:, 0]

    def in_pieces(x: Array, kernel: Array) -> Array:
        return _strided_in_pieces(x, kernel, stride, groups)

    return jax.lax.platform_dependent(x, kernel, cpu=in_pieces, default=plain)


def _strided_in_pieces(x: Array, kernel: Array, stride: int, groups: int) -> Array:
    """`strided_convolution` as plain convolutions over blocks of `stride` samples, one per part of the channels.

    If there are many groups, a part joins several of them, with zeros in the kernel between groups.
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
    block_diagonal = jnp.eye(joined)[None, :, None, None, :, None]
    kernel = kernel[:, None] * block_diagonal
    kernel = kernel.reshape(taps, stride * joined * inputs, pieces, features // pieces)
    parts = x.reshape(batch, count + taps - 1, stride, pieces, channels // pieces)
    outputs = [
        convolution(parts[:, :, :, piece].reshape(batch, count + taps - 1, -1), kernel[:, :, piece])
        for piece in range(pieces)
    ]
    return jnp.concatenate(outputs, axis=-1)


def up_convolution(x: Array, kernel: Array) -> Array:
    """Transposed convolution, twice as wide as its stride, to exactly `factor` times the length.

    Equivalent to inserting `factor` - 1 zeros after each sample, convolving, and cropping factor // 2 + factor % 2
    samples at the start and the rest at the end. Only two taps of each output meet nonzero samples, so it is computed
    as a convolution of width two to `factor` phases, which are then interleaved.

    Args:
        x: [batch, time, in].
        kernel: [2 * factor, in, out].

    Returns:
        [batch, factor * time, out].
    """
    batch, time, channels = x.shape
    factor, features = kernel.shape[0] // 2, kernel.shape[2]
    start = factor // 2 + factor % 2
    # [2, in, factor * out]: the later taps apply to the previous sample.
    phases = jnp.stack([kernel[factor:], kernel[:factor]]).transpose(0, 2, 1, 3)
    y = convolution(zeros_around(x, 1), phases.reshape(2, channels, factor * features))
    return y.reshape(batch, factor * (time + 1), features)[:, start : start + factor * time]


def _normalized(module: nn.Module, shape: tuple[int, int, int], fan_in: int, axes: tuple[int, int]) -> Array:
    """The kernel g v / |v| from parameters `v`, of the given shape, and `g`; norms are over `axes`."""
    v: Any = module.param("v", _uniform(fan_in), shape)
    norm = jnp.sqrt(jnp.sum(jnp.square(v), axis=axes, keepdims=True))
    g: Any = module.param("g", lambda _: norm.reshape(-1))
    return v * (g.reshape(norm.shape) / norm)


def _uniform(fan_in: int) -> Any:
    """Uniform initialiser within 1 / sqrt(fan_in).

    This is PyTorch's default, as used by the published implementations, except for transposed convolutions' `fan_in`.
    """
    return lambda key, shape: jax.random.uniform(key, shape, jnp.float32, -(fan_in**-0.5), fan_in**-0.5)
