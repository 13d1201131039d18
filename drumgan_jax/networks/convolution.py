"""The three convolutions of the networks: to the same size, to half of it, and to twice.

The plain one is XLA's, as are its derivatives. Halving and doubling are written with their derivatives, because the
rules JAX has for them reach, at the second derivative that R1 and path length need, convolutions that run ten times
slower on CPU (benchmarks/bench_resampling.py). Both come from one form, linear in a large image x, a small image y and
a kernel k:

    sum over places p, taps t, channels i, o of  x[2p + t, i] k[t, i, o] y[p, o]

Its derivative by y is `halve`, by x `double`, by k `_kernel_gradient`; and the derivatives of these three are again
these three, so that any order of differentiation meets no other function.
"""

import jax
import jax.numpy as jnp

from drumgan_jax.parts import Array

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
TAPS = 3


def convolve(x: Array, kernel: Array) -> Array:
    """Correlation with zero padding to the same size.

    Args:
        x: [batch, freq, time, in].
        kernel: [size, size, in, out], size odd, of the same dtype as `x`.

    Returns:
        [batch, freq, time, out] in that dtype.
    """
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=DIMENSIONS)


@jax.custom_vjp
def halve(x: Array, kernel: Array) -> Array:
    """Correlation at every second place, without padding.

    Args:
        x: [batch, 2 * freq + 1, 2 * time + 1, in].
        kernel: [3, 3, in, out], of the same dtype as `x`.

    Returns:
        [batch, freq, time, out] in that dtype.
    """
    return _strided(x, kernel)


@jax.custom_vjp
def double(y: Array, kernel: Array) -> Array:
    """The transpose of `halve`: the convolution (kernel flipped) of `y` with zeros between its samples.

    Args:
        y: [batch, freq, time, out].
        kernel: [3, 3, in, out] as of `halve`: the channels it sums over come last.

    Returns:
        [batch, 2 * freq + 1, 2 * time + 1, in].
    """
    return jax.lax.platform_dependent(y, kernel, cpu=_double_by_phases, default=_double_by_dilation)


@jax.custom_vjp
def _kernel_gradient(x: Array, y: Array) -> Array:
    """Gradient of `halve` by its kernel [3, 3, in, out]: of x, the large image, and y, what comes back."""
    shape = jax.ShapeDtypeStruct((TAPS, TAPS, x.shape[-1], y.shape[-1]), x.dtype)
    (gradient,) = jax.linear_transpose(lambda kernel: _strided(x, kernel), shape)(y)
    return gradient


halve.defvjp(
    lambda x, kernel: (halve(x, kernel), (x, kernel)),
    lambda kept, y: (double(y, kept[1]), _kernel_gradient(kept[0], y)),
)
double.defvjp(
    lambda y, kernel: (double(y, kernel), (y, kernel)),
    lambda kept, x: (halve(x, kept[1]), _kernel_gradient(x, kept[0])),
)
_kernel_gradient.defvjp(
    lambda x, y: (_kernel_gradient(x, y), (x, y)),
    lambda kept, kernel: (double(kept[1], kernel), halve(kept[0], kernel)),
)


def _strided(x: Array, kernel: Array) -> Array:
    return jax.lax.conv_general_dilated(x, kernel, (2, 2), "VALID", dimension_numbers=DIMENSIONS)


def _double_by_dilation(y: Array, kernel: Array) -> Array:
    kernel = kernel[::-1, ::-1].swapaxes(2, 3)
    padding = (TAPS - 1, TAPS - 1)
    return jax.lax.conv_general_dilated(
        y, kernel, (1, 1), (padding, padding), lhs_dilation=(2, 2), dimension_numbers=DIMENSIONS
    )


def _double_by_phases(y: Array, kernel: Array) -> Array:
    """One 2 x 2 convolution to the four phases of the output, which are then interleaved.

    Output 2p + r is the sum over u of y[p - u] kernel[2u + r], with a zero as the kernel's fourth tap: the zeros
    between the samples are never multiplied.
    """
    batch, freq, time, _ = y.shape
    channels, out = kernel.shape[2:]
    kernel = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))).reshape(2, 2, 2, 2, channels, out)
    # Axes (u, r, v, s, in, out) to (u reversed, v reversed, out, r, s, in).
    kernel = kernel[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4).reshape(2, 2, out, 4 * channels)
    phases = jax.lax.conv_general_dilated(y, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=DIMENSIONS)
    phases = phases.reshape(batch, freq + 1, time + 1, 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return phases.reshape(batch, 2 * freq + 2, 2 * time + 2, channels)[:, :-1, :-1]
