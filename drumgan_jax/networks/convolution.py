"""Convolutions of the networks: at the same size, at half the size, and at twice the size.

The plain convolution and its derivatives are XLA's. `halve` and `double` define their own derivatives, because JAX's
rules lead to convolutions that run ten times slower on CPU in the second derivatives that R1 and path length
regularisation need (benchmarks/bench_resampling.py). Both derive from one trilinear form in a large image x, a small
image y and a kernel k:

    sum over positions p, taps t, channels i, o of  x[2p + t, i] k[t, i, o] y[p, o]

Its derivative with respect to y is `halve`, to x `double`, to k `_kernel_gradient`; the derivatives of these three are
the same three functions, to any order.
"""

import functools

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.growing import upsample_nearest

DIMENSIONS = ("NHWC", "HWIO", "NHWC")
TAPS = 3


def convolve(x: Array, kernel: Array) -> Array:
    """Cross-correlation with zero padding to the same size.

    Args:
        x: [batch, freq, time, in].
        kernel: [size, size, in, out], size odd, in the dtype of `x`.

    Returns:
        [batch, freq, time, out] in that dtype.
    """
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=DIMENSIONS)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def enlarge_and_convolve(x: Array, kernel: Array, factors: tuple[int, int]) -> Array:
    """Nearest-neighbour upsampling and a 3 x 3 cross-correlation in one, without computing equal products twice.

    After upsampling, two of three neighbours are equal, so an upsampled axis needs two taps for each of its two phases
    at the small size, instead of three at the large one: 16 products per input position instead of 36 if both axes
    double. Derivatives use the plain form, which is many times faster on CPU.

    Args:
        x: [batch, freq, time, in].
        kernel: [3, 3, in, out], in the dtype of `x`.
        factors: upsampling factors of freq and time, 1 or 2 each.

    Returns:
        [batch, freq * factors[0], time * factors[1], out] in that dtype.
    """
    if factors == (1, 1):
        return convolve(x, kernel)
    batch, freq, time, _ = x.shape
    out = kernel.shape[3]
    # [taps, phases] for each axis in turn; an axis that is not upsampled has one phase of three taps.
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


def _plain_form(x: Array, kernel: Array, factors: tuple[int, int]) -> Array:
    return convolve(upsample_nearest(x, (x.shape[1] * factors[0], x.shape[2] * factors[1])), kernel)


enlarge_and_convolve.defvjp(
    lambda x, kernel, factors: (enlarge_and_convolve(x, kernel, factors), (x, kernel)),
    lambda factors, residuals, y: jax.vjp(lambda x, kernel: _plain_form(x, kernel, factors), *residuals)[1](y),
)


def _phases(kernel: Array, factor: int) -> Array:
    """Kernels [phases, taps, ...] for the phases of an upsampled first axis, from a kernel [3, ...]."""
    if factor == 1:
        return kernel[None]
    early = jnp.stack([kernel[0], kernel[1] + kernel[2]])
    late = jnp.stack([kernel[0] + kernel[1], kernel[2]])
    return jnp.stack([early, late])


@jax.custom_vjp
def halve(x: Array, kernel: Array) -> Array:
    """Cross-correlation with stride 2, without padding.

    Args:
        x: [batch, 2 * freq + 1, 2 * time + 1, in].
        kernel: [3, 3, in, out], in the dtype of `x`.

    Returns:
        [batch, freq, time, out] in that dtype.
    """
    return _strided(x, kernel)


@jax.custom_vjp
def double(y: Array, kernel: Array) -> Array:
    """The transpose of `halve`: a convolution (with flipped kernel) of `y` with zeros inserted between its samples.

    Args:
        y: [batch, freq, time, out].
        kernel: [3, 3, in, out] as in `halve`; the sum is over the last axis.

    Returns:
        [batch, 2 * freq + 1, 2 * time + 1, in].
    """
    return jax.lax.platform_dependent(y, kernel, cpu=_double_by_phases, default=_double_by_dilation)


@jax.custom_vjp
def _kernel_gradient(x: Array, y: Array) -> Array:
    """Gradient of `halve` with respect to its kernel [3, 3, in, out], from the large image x and the cotangent y."""
    shape = jax.ShapeDtypeStruct((TAPS, TAPS, x.shape[-1], y.shape[-1]), x.dtype)
    (gradient,) = jax.linear_transpose(lambda kernel: _strided(x, kernel), shape)(y)
    return gradient


halve.defvjp(
    lambda x, kernel: (halve(x, kernel), (x, kernel)),
    lambda residuals, y: (double(y, residuals[1]), _kernel_gradient(residuals[0], y)),
)
double.defvjp(
    lambda y, kernel: (double(y, kernel), (y, kernel)),
    lambda residuals, x: (halve(x, residuals[1]), _kernel_gradient(x, residuals[0])),
)
_kernel_gradient.defvjp(
    lambda x, y: (_kernel_gradient(x, y), (x, y)),
    lambda residuals, kernel: (double(residuals[1], kernel), halve(residuals[0], kernel)),
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

    Output 2p + r is the sum over u of y[p - u] kernel[2u + r], with zero as the kernel's fourth tap, so no products
    with inserted zeros are computed.
    """
    batch, freq, time, _ = y.shape
    channels, out = kernel.shape[2:]
    kernel = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0))).reshape(2, 2, 2, 2, channels, out)
    # Axes (u, r, v, s, in, out) to (u reversed, v reversed, out, r, s, in).
    kernel = kernel[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4).reshape(2, 2, out, 4 * channels)
    phases = jax.lax.conv_general_dilated(y, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=DIMENSIONS)
    phases = phases.reshape(batch, freq + 1, time + 1, 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return phases.reshape(batch, 2 * freq + 2, 2 * time + 2, channels)[:, :-1, :-1]
