"""Convolutions, normalisation and phase shuffle on waveforms [batch, 1, time, channels].

Convolutions are 16 wide. Doubling and halving are written as plain convolutions at the lower rate, with the samples of
a pair as channels: JAX's rules for strided convolutions reach, at the second derivative that the gradient penalty
needs, others that are several times slower on CPU, and a convolution of repeated samples computes products twice.
"""

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.convolution import convolve

WIDTH = 16
# Below so many samples, summing the taps of a kernel costs more than it saves: there are far more taps than samples.
SHORT = 64


def same_convolution(x: Array, kernel: Array) -> Array:
    """Correlation with zero padding, 7 before and 8 after, to the same length.

    Args:
        x: [batch, 1, time, in].
        kernel: [1, 16, in, out], float32; the convolution runs in the dtype of `x`.

    Returns:
        [batch, 1, time, out] in that dtype.
    """
    return convolve(x, kernel.astype(x.dtype))


def up_convolution(x: Array, kernel: Array) -> Array:
    """Repeat each sample, then `same_convolution`.

    Of waveforms that are not short, taps that meet the same sample are summed beforehand: output 2p sees samples
    p - 4 .. p + 4, output 2p + 1 those from p - 3 on. So one convolution 9 wide gives both, as channels.

    Args:
        x: [batch, 1, time, in].
        kernel: [1, 16, in, out], float32; the convolution runs in the dtype of `x`.

    Returns:
        [batch, 1, 2 * time, out] in that dtype.
    """
    batch, _, time, channels = x.shape
    features = kernel.shape[3]
    if time < SHORT:
        return same_convolution(jnp.repeat(x, 2, axis=2), kernel)
    padded = [jnp.pad(kernel, ((0, 0), pad, (0, 0), (0, 0))) for pad in ((1, 1), (2, 0))]
    phases = jnp.stack([k.reshape(1, WIDTH // 2 + 1, 2, channels, features).sum(axis=2) for k in padded], axis=3)
    y = same_convolution(x, phases.reshape(1, WIDTH // 2 + 1, channels, 2 * features))
    return y.reshape(batch, 1, 2 * time, features)


def down_convolution(x: Array, kernel: Array) -> Array:
    """Correlation at every second sample, with zero padding, 6 before and 8 after.

    A pair of samples 2p, 2p + 1 becomes one of twice the channels, a kernel 16 wide one of 8 pairs. The padding is even
    for that; with 7 and 7 the kernel would have to be copied into one of 9.

    Args:
        x: [batch, 1, time, in], time even.
        kernel: [1, 16, in, out], float32; the convolution runs in the dtype of `x`.

    Returns:
        [batch, 1, time / 2, out] in that dtype.
    """
    batch, _, time, channels = x.shape
    kernel = kernel.reshape(1, WIDTH // 2, 2 * channels, kernel.shape[3])
    return same_convolution(x.reshape(batch, 1, time // 2, 2 * channels), kernel)


def adaptive_normalization(x: Array, scale: Array, bias: Array) -> Array:
    """Adaptive instance normalisation (Huang & Belongie 2017; Karras et al. 2019, equation 8).

    Args:
        x: [batch, 1, time, channels], float32; mean and deviation are each example's and channel's own, over time.
        scale: [batch, channels]; the deviation of the output.
        bias: [batch, channels]; its mean.

    Returns:
        [batch, 1, time, channels].
    """
    deviations = x - x.mean(axis=2, keepdims=True)
    unit = deviations * jax.lax.rsqrt(jnp.square(deviations).mean(axis=2, keepdims=True) + 1e-8)
    return unit * scale[:, None, None, :] + bias[:, None, None, :]


def shuffle_phase(x: Array, shifts: Array) -> Array:
    """Delay each example, which is reflected where it has no samples (phase shuffle, Donahue et al. 2019, section 3.3).

    Args:
        x: [batch, 1, time, channels].
        shifts: whole samples [batch], below `time` in size; negative ones advance.

    Returns:
        [batch, 1, time, channels].
    """
    last = x.shape[2] - 1
    places = last - jnp.abs(last - jnp.abs(jnp.arange(last + 1) - shifts[:, None]))
    return jnp.take_along_axis(x, places[:, None, :, None], axis=2, mode="clip")
