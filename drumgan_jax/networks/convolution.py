"""The convolutions of the networks: to the same size, to half of it, and to twice.

The plain one is XLA's, as are its derivatives. Halving and doubling are written with their derivatives, because the
rules JAX has for them reach, at the second derivative that R1 and path length need, convolutions that run ten times
slower on CPU (benchmarks/bench_resampling.py). Both come from one form, linear in a large image x, a small image y and
a kernel k:

    sum over places p, taps t, channels i, o of  x[2p + t, i] k[t, i, o] y[p, o]

Its derivative by y is `halve`, by x `double`, by k `_kernel_gradient`; and the derivatives of these three are again
these three, so that any order of differentiation meets no other function.
"""

import functools

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.growing import upsample_nearest

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


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def enlarge_and_convolve(x: Array, kernel: Array, factors: tuple[int, int]) -> Array:
    """Repeat each place and correlate with a 3 x 3 kernel to the same size, without computing equal products twice.

    Of three neighbours after repeating, two are equal: so a repeated axis needs two taps for each of its two phases,
    at the small size, instead of three at the large one; 16 products a place instead of 36 where both axes double.
    Derivatives are those of the plain form, which are many times faster on CPU.

    Args:
        x: [batch, freq, time, in].
        kernel: [3, 3, in, out], of the same dtype as `x`.
        factors: 1 or 2 for freq and for time.

    Returns:
        [batch, freq * factors[0], time * factors[1], out] in that dtype.
    """
    if factors == (1, 1):
        return convolve(x, kernel)
    batch, freq, time, _ = x.shape
    out = kernel.shape[3]
    # [taps, phases] for each axis in turn; an axis that is not repeated has one phase of three taps.
    kernel = jnp.moveaxis(_phases(kernel, factors[0]), 0, 4)
    kernel = jnp.moveaxis(_phases(jnp.swapaxes(kernel, 0, 1), factors[1]), 0, 5)
    kernel = jnp.transpose(kernel, (1, 0, 2, 4, 5, 3))
    kernel = kernel.reshape(*kernel.shape[:3], factors[0] * factors[1] * out)
    y = jax.lax.conv_general_dilated(x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=DIMENSIONS)
    y = y.reshape(*y.shape[:3], *factors, out)
    rows = [
        jnp.stack([y[:, i : i + freq, j : j + time, i, j] for j in range(factors[1])], axis=3)
        for i in range(factors[0])
    ]
    return jnp.stack(rows, axis=2).reshape(batch, freq * factors[0], time * factors[1], out)


def _plainly(x: Array, kernel: Array, factors: tuple[int, int]) -> Array:
    return convolve(upsample_nearest(x, (x.shape[1] * factors[0], x.shape[2] * factors[1])), kernel)


enlarge_and_convolve.defvjp(
    lambda x, kernel, factors: (enlarge_and_convolve(x, kernel, factors), (x, kernel)),
    lambda factors, kept, y: jax.vjp(lambda x, kernel: _plainly(x, kernel, factors), *kept)[1](y),
)


def _phases(kernel: Array, factor: int) -> Array:
    """Kernels [phases, taps, ...] that give the phases of a repeated first axis, of a kernel [3, ...]."""
    if factor == 1:
        return kernel[None]
    early = jnp.stack([kernel[0], kernel[1] + kernel[2]])
    late = jnp.stack([kernel[0] + kernel[1], kernel[2]])
    return jnp.stack([early, late])


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
