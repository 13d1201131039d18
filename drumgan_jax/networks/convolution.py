"""Convolutions of the networks: at the same size, at half the size, and at twice the size.

All derive from one trilinear form in an image x, a kernel k and an output's cotangent y, here with stride s:

    sum over positions p, taps t, channels i, o of  x[s * p + t, i] k[t, i, o] y[p, o]

Its derivative with respect to y is `correlate`, to x `_transpose`, to k `_kernel_gradient`; the derivatives of these
three are the same three functions, to any order, so R1 and path length regularisation need no others. On accelerators
each is the convolution that JAX's rules give; on CPU it has a form of its own (networks/convolution_on_cpu.py).
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.networks import convolution_on_cpu
from drumgan_jax.networks.convolution_on_cpu import DIMENSIONS, Geometry
from drumgan_jax.networks.growing import upsample_nearest

# A kernel's gradient of fewer products is left to XLA on CPU too: a millisecond or two is less than its compile time.
_FEW = 2**24
HALVING = Geometry(strides=(2, 2))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Cross-correlation with any strides, padding and dilation.

    Args:
        x: [batch, freq, time, in].
        kernel: [rows, columns, in, out], in the dtype of `x`.
        geometry: strides, padding and dilation.

    Returns:
        [batch, freq, time, out] in that dtype.
    """
    return plain(x, kernel, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _transpose(y: Array, kernel: Array, geometry: Geometry, size: tuple[int, int]) -> Array:
    """The transpose of `correlate` in x: [batch, *size, in] from y [batch, freq, time, out]."""

    def on_cpu(y: Array, kernel: Array) -> Array:
        return convolution_on_cpu.transpose(y, kernel, geometry, size)

    def default(y: Array, kernel: Array) -> Array:
        return plain_transpose(y, kernel, geometry, size)

    if max(geometry.strides) > 1 and max(geometry.dilation) > 1:
        # No layer has both, and the forms for CPU have not.
        return default(y, kernel)
    return jax.lax.platform_dependent(y, kernel, cpu=on_cpu, default=default)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _kernel_gradient(x: Array, y: Array, geometry: Geometry, taps: tuple[int, int], of_transpose: bool) -> Array:
    """The transpose of `correlate` in the kernel: [*taps, in, out] from x and y.

    It is also that of `_transpose`, where x is the cotangent; JAX's rules lead to other convolutions there, which
    accelerators keep at stride 1.
    """

    def on_cpu(x: Array, y: Array) -> Array:
        return convolution_on_cpu.kernel_gradient(x, y, geometry, taps)

    def default(x: Array, y: Array) -> Array:
        if not of_transpose or geometry.strides != (1, 1):
            return plain_kernel_gradient(x, y, geometry, taps)
        shape = jax.ShapeDtypeStruct((*taps, x.shape[3], y.shape[3]), x.dtype)
        return jax.linear_transpose(lambda kernel: plain_transpose(y, kernel, geometry, _size(x)), shape)(x)[0]

    products = math.prod(y.shape) * math.prod(taps) * x.shape[3]
    if _size(y)[0] == taps[0] == 1 or products < _FEW:
        # XLA's own is faster for waveforms, and compiles faster.
        return default(x, y)
    return jax.lax.platform_dependent(x, y, cpu=on_cpu, default=default)


def plain(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """`correlate` with JAX's own derivatives."""
    strides, padding, dilation = geometry
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, rhs_dilation=dilation, dimension_numbers=DIMENSIONS
    )


def plain_transpose(y: Array, kernel: Array, geometry: Geometry, size: tuple[int, int]) -> Array:
    """The transpose of `correlate` in x by JAX's rule; see convolution_on_cpu.transpose."""
    shape = jax.ShapeDtypeStruct((y.shape[0], *size, kernel.shape[2]), y.dtype)
    return jax.linear_transpose(lambda x: plain(x, kernel, geometry), shape)(y)[0]


def plain_kernel_gradient(x: Array, y: Array, geometry: Geometry, taps: tuple[int, int]) -> Array:
    """The transpose of `correlate` in the kernel by JAX's rule; see convolution_on_cpu.kernel_gradient."""
    shape = jax.ShapeDtypeStruct((*taps, x.shape[3], y.shape[3]), x.dtype)
    return jax.linear_transpose(lambda kernel: plain(x, kernel, geometry), shape)(y)[0]


def _size(image: Array) -> tuple[int, int]:
    return image.shape[1], image.shape[2]


def _taps(kernel: Array) -> tuple[int, int]:
    return kernel.shape[0], kernel.shape[1]


correlate.defvjp(
    lambda x, kernel, geometry: (correlate(x, kernel, geometry), (x, kernel)),
    lambda geometry, kept, y: (
        _transpose(y, kept[1], geometry, _size(kept[0])),
        _kernel_gradient(kept[0], y, geometry, _taps(kept[1]), False),
    ),
)
_transpose.defvjp(
    lambda y, kernel, geometry, size: (_transpose(y, kernel, geometry, size), (y, kernel)),
    lambda geometry, _, kept, x: (
        correlate(x, kept[1], geometry),
        _kernel_gradient(x, kept[0], geometry, _taps(kept[1]), True),
    ),
)
_kernel_gradient.defvjp(
    lambda x, y, geometry, taps, of_transpose: (_kernel_gradient(x, y, geometry, taps, of_transpose), (x, y)),
    lambda geometry, _taps, _of_transpose, kept, kernel: (
        _transpose(kept[1], kernel, geometry, _size(kept[0])),
        correlate(kept[0], kernel, geometry),
    ),
)


def for_flax(
    x: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]] | str,
    *,
    rhs_dilation: Sequence[int],
    **_: Any,
) -> Array:
    """`correlate` as the `conv_general_dilated` of a two-dimensional `flax.linen.Conv` without groups."""
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    (top, bottom), (left, right) = padding
    geometry = Geometry((strides[0], strides[1]), ((top, bottom), (left, right)), (rhs_dilation[0], rhs_dilation[1]))
    return correlate(x, kernel, geometry)


def convolve(x: Array, kernel: Array) -> Array:
    """Cross-correlation with zero padding to the same size.

    Args:
        x: [batch, freq, time, in].
        kernel: [rows, columns, in, out], in the dtype of `x`; an even size pads one zero less before than after.

    Returns:
        [batch, freq, time, out] in that dtype.
    """
    rows, columns, channels, out = kernel.shape
    if rows == columns == 1:
        return jnp.dot(x.reshape(-1, channels), kernel[0, 0]).reshape(*x.shape[:3], out)
    padding = ((rows - 1) // 2, rows // 2), ((columns - 1) // 2, columns // 2)
    return correlate(x, kernel, Geometry(padding=padding))


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


def halve(x: Array, kernel: Array) -> Array:
    """Cross-correlation with stride 2, without padding.

    Args:
        x: [batch, 2 * freq + 1, 2 * time + 1, in].
        kernel: [3, 3, in, out], in the dtype of `x`.

    Returns:
        [batch, freq, time, out] in that dtype.
    """
    return correlate(x, kernel, HALVING)


def double(y: Array, kernel: Array) -> Array:
    """The transpose of `halve`: a convolution (with flipped kernel) of `y` with zeros inserted between its samples.

    Args:
        y: [batch, freq, time, out].
        kernel: [3, 3, in, out] as in `halve`; the sum is over the last axis.

    Returns:
        [batch, 2 * freq + 1, 2 * time + 1, in].
    """
    return _transpose(y, kernel, HALVING, (2 * y.shape[1] + 1, 2 * y.shape[2] + 1))
