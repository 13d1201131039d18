"""Convolutions, normalisation and phase shuffle on waveforms [batch, 1, time, channels].

Kernels have 16 taps. Upsampling and downsampling are written as plain convolutions at the lower rate, with pairs of
samples as channels: JAX's rules for strided convolutions lead to others that are several times slower on CPU in the
second derivative that the gradient penalty needs, and convolving repeated samples computes products twice.
"""

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.convolution import convolve

WIDTH = 16
# Below this length in samples, summing a kernel's taps costs more than it saves.
SHORT = 64


def same_convolution(x: Array, kernel: Array) -> Array:
    """Cross-correlation to the same length, with zero padding of 7 before and 8 after.

    Args:
        x: [batch, 1, time, in].
        kernel: [1, 16, in, out], float32; the convolution runs in the dtype of `x`.

    Returns:
        [batch, 1, time, out] in that dtype.
    """
    return convolve(x, kernel.astype(x.dtype))


def up_convolution(x: Array, kernel: Array) -> Array:
    """Upsample by repeating each sample, then apply `same_convolution`.

    For longer waveforms, taps on the same input sample are summed beforehand: output 2p depends on samples
    p - 4 .. p + 4, output 2p + 1 on samples from p - 3 on, so one convolution with 9 taps gives both, as channels.

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
    """Cross-correlation with stride 2 and zero padding of 6 before and 8 after.

    The samples 2p and 2p + 1 become one position with twice the channels, and a kernel of 16 taps one of 8 pairs. That
    needs an even padding; with 7 and 7 the kernel would have to be copied into one of 9 pairs.

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
        x: [batch, 1, time, channels], float32; normalised over time per example and channel.
        scale: standard deviation of the output [batch, channels].
        bias: mean of the output [batch, channels].

    Returns:
        [batch, 1, time, channels].
    """
    deviations = x - x.mean(axis=2, keepdims=True)
    unit = deviations * jax.lax.rsqrt(jnp.square(deviations).mean(axis=2, keepdims=True) + 1e-8)
    return unit * scale[:, None, None, :] + bias[:, None, None, :]


def shuffle_phase(x: Array, shifts: Array) -> Array:
    """Phase shuffle: delay each example, with reflection at the ends (Donahue et al. 2019, section 3.3).

    Args:
        x: [batch, 1, time, channels].
        shifts: delays in whole samples [batch], smaller than `time` in magnitude; negative shifts advance.

    Returns:
        [batch, 1, time, channels].
    """
    last = x.shape[2] - 1
    positions = last - jnp.abs(last - jnp.abs(jnp.arange(last + 1) - shifts[:, None]))
    return jnp.take_along_axis(x, positions[:, None, :, None], axis=2, mode="clip")
