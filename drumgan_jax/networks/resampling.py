"""Up- and downsampling by two with the blur filter [1, 3, 3, 1], alone and combined with a convolution.

The blur (Karras et al. 2020, appendix B) is a sum of shifted slices over both axes, because a depthwise convolution is
many times slower on CPU. Its taps are symmetric, so its transpose is the same sum with other padding, and up- and
downsampling are each other's transpose up to a factor; derivatives of any order use this
(benchmarks/bench_resampling.py compares the forms).
"""

import functools

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.convolution import double, halve

# [1, 3, 3, 1], normalised to unit gain per axis.
BLUR = (0.125, 0.375, 0.375, 0.125)


@jax.custom_vjp
def upsample(x: Array) -> Array:
    """Double both axes by inserting zeros between samples and blurring with gain four; zero padding.

    Args:
        x: [batch, freq, time, channels].

    Returns:
        [batch, 2 * freq, 2 * time, channels]; a constant 1 stays 1 inside, with 0.5625 in the corners.
    """
    batch, freq, time, channels = x.shape
    padded = _pad(x.astype(jnp.float32), 1)

    def tap(i: int, j: int) -> Array:
        return padded[:, i : i + freq, j : j + time]

    def phase(i: int, j: int) -> Array:
        return 0.5625 * tap(1, 1) + 0.1875 * (tap(i, 1) + tap(1, j)) + 0.0625 * tap(i, j)

    # Even outputs interpolate towards the previous sample, odd ones towards the next.
    rows = [jnp.stack([phase(i, 0), phase(i, 2)], axis=3) for i in (0, 2)]
    return jnp.stack(rows, axis=2).reshape(batch, 2 * freq, 2 * time, channels).astype(x.dtype)


@jax.custom_vjp
def downsample(x: Array) -> Array:
    """Halve both axes by blurring with unit gain and keeping every second sample from the first; zero padding.

    Args:
        x: [batch, freq, time, channels], freq and time even.

    Returns:
        [batch, freq / 2, time / 2, channels].
    """
    return _blurred_slices(x, 1, 2)


upsample.defvjp(lambda x: (upsample(x), None), lambda _, y: (4 * downsample(y),))
downsample.defvjp(lambda x: (downsample(x), None), lambda _, y: (0.25 * upsample(y),))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def blur(x: Array, padding: int) -> Array:
    """Blur with unit gain, after padding with `padding` zeros (1 or 2) on every side.

    Args:
        x: [batch, freq, time, channels].
        padding: zeros before and after both axes.

    Returns:
        [batch, freq + 2 * padding - 3, time + 2 * padding - 3, channels].
    """
    return _blurred_slices(x, padding, 1)


blur.defvjp(lambda x, padding: (blur(x, padding), None), lambda padding, _, y: (blur(y, 3 - padding),))


def up_convolution(x: Array, kernel: Array) -> Array:
    """Double both axes and convolve with a 3 x 3 kernel.

    Equivalent to inserting zeros between samples, applying all padding at once, blurring with gain four and convolving
    without further padding; computed with the convolution first. The kernel is flipped, unlike in all other layers, as
    in the reference.

    Args:
        x: [batch, freq, time, in].
        kernel: [3, 3, in, out], in the dtype of `x`.

    Returns:
        [batch, 2 * freq, 2 * time, out].
    """
    return 4 * blur(double(x, kernel.swapaxes(2, 3)), 1)


def down_convolution(x: Array, kernel: Array) -> Array:
    """Halve both axes: pad, blur, and cross-correlate with a 3 x 3 kernel and stride 2.

    Args:
        x: [batch, freq, time, in], freq and time even.
        kernel: [3, 3, in, out], in the dtype of `x`.

    Returns:
        [batch, freq / 2, time / 2, out].
    """
    return halve(blur(x, 2), kernel)


def _blurred_slices(x: Array, padding: int, stride: int) -> Array:
    """Weighted sum of the sixteen shifted slices, in float32."""
    padded = _pad(x.astype(jnp.float32), padding)
    spans = [size - len(BLUR) + 1 for size in padded.shape[1:3]]
    total = sum(
        (row * column) * padded[:, i : i + spans[0] : stride, j : j + spans[1] : stride]
        for i, row in enumerate(BLUR)
        for j, column in enumerate(BLUR)
    )
    return jnp.asarray(total).astype(x.dtype)


def _pad(x: Array, padding: int) -> Array:
    return jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
