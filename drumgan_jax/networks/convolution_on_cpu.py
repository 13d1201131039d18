"""Forms of a convolution's derivatives that are fast on CPU, where XLA's own forms are slow (docs/performance.md).

XLA computes a kernel's gradient as a convolution with a window as large as the image, after transposing both images.
Here the gradient is a matrix product of the cotangent and of the image's patches, for a few rows at a time, so that the
patches stay in the processor's cache. The product is laid out as [out, taps * in] if the kernel is small, because that
is up to twice as fast, and as [taps * in, out] if it is large, because transposing it would then cost more.
"""

import functools
import math
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
DIMENSIONS = ("NHWC", "HWIO", "NHWC")
# Elements that are copied for one product: 16 MB in float32. Less is hardly faster, and makes a longer program.
_COPIED = 2**22
# But no more products than this, since each is traced, also where the program is for another platform.
_PIECES = 16
# A kernel of more elements than this is not transposed.
_LARGE_KERNEL = 2**18


class Geometry(NamedTuple):
    """How a kernel moves over an image, for (freq, time).

    Attributes:
        strides: samples between successive outputs.
        padding: zeros before and after each axis.
        dilation: samples between successive taps.
    """

    strides: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)

    def turned(self) -> "Geometry":
        """The same with frequency and time exchanged."""
        (freq, time), (before, after), (rows, columns) = self
        return Geometry((time, freq), (after, before), (columns, rows))


def kernel_gradient(x: Array, y: Array, geometry: Geometry, taps: tuple[int, int]) -> Array:
    """Gradient of a convolution with respect to its kernel.

    Args:
        x: the image [batch, freq, time, in].
        y: the cotangent of the output [batch, freq, time, out].
        geometry: of the convolution.
        taps: (freq, time) of the kernel.

    Returns:
        [*taps, in, out] in the dtype of `x`; sums are in float32 at least.
    """
    if y.shape[1] == 1 and taps[0] == 1 and y.shape[2] > 1:
        # Waveforms: rows are then single samples.
        turned = geometry.turned()
        return kernel_gradient(x.swapaxes(1, 2), y.swapaxes(1, 2), turned, taps[::-1]).swapaxes(0, 1)
    (top, bottom), (left, right) = geometry.padding
    # Without the barrier, what made x and y is computed again in each copy.
    x = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    stride, dilation = geometry.strides[0], geometry.dilation[0]
    reaches = [tap * dilation for tap in range(taps[0])]
    # Output row p meets image row stride * p + reach. That is row stride * r + start of the image and row r - shift of
    # the cotangent, where reach = stride * shift + start.
    starts, shifts = reaches, [0]
    if math.prod(taps) * x.shape[3] * y.shape[3] <= _LARGE_KERNEL and min(stride, dilation) == 1:
        starts = list(range(min(stride, taps[0])))
        shifts = list(range(0, reaches[-1] // stride + 1, dilation))
    total = _sum_over_chunks(x, y, geometry, taps[1], starts, shifts)
    total = total.reshape(len(starts), taps[1], x.shape[3], len(shifts), y.shape[3]).transpose(3, 0, 1, 2, 4)
    return total.reshape(-1, taps[1], x.shape[3], y.shape[3])[: taps[0]].astype(x.dtype)


def _sum_over_chunks(
    x: Array, y: Array, geometry: Geometry, columns: int, starts: list[int], shifts: list[int]
) -> Array:
    """The products [starts * columns * in, shifts * out] of a few rows each, added; x is padded."""
    freq, time = y.shape[1:3]
    stride, later = geometry.strides[0], max(shifts)
    rows = freq + later
    missing = (rows - 1) * stride + max(starts) + 1 - x.shape[1]
    x = jnp.pad(x, ((0, 0), (0, max(0, missing)), (0, 0), (0, 0)))
    y = jnp.pad(y, ((0, 0), (later, later), (0, 0), (0, 0)))
    width = (time - 1) * geometry.strides[1] + 1

    def product(first: int, last: int) -> Array:
        images = [
            x[:, first * stride + start : (last - 1) * stride + start + 1 : stride, left : left + width][
                :, :, :: geometry.strides[1]
            ]
            for start in starts
            for left in range(0, columns * geometry.dilation[1], geometry.dilation[1])
        ]
        cotangents = [y[:, first + later - shift : last + later - shift] for shift in shifts]
        return _product(jnp.concatenate(images, axis=-1), jnp.concatenate(cotangents, axis=-1))

    copied = len(y) * time * (len(starts) * columns * x.shape[3] + len(shifts) * y.shape[3])
    step = max(1, _COPIED // copied, -(-rows // _PIECES))
    return functools.reduce(operator.add, [product(row, min(row + step, rows)) for row in range(0, rows, step)])


def _product(images: Array, cotangents: Array) -> Array:
    """Sum over positions of image times cotangent [in, out]."""
    sides = images.reshape(-1, images.shape[-1]), cotangents.reshape(-1, cotangents.shape[-1])
    dtype = images.dtype if images.dtype.itemsize > 4 else jnp.float32
    return jax.lax.dot_general(*sides, (((0,), (0,)), ((), ())), preferred_element_type=dtype)


def transpose(y: Array, kernel: Array, geometry: Geometry, size: tuple[int, int]) -> Array:
    """The transpose of a convolution: from its output's cotangent to its image's.

    Args:
        y: [batch, freq, time, out].
        kernel: [*taps, in, out].
        geometry: of the convolution, with strides or dilation of (1, 1).
        size: (freq, time) of the image.

    Returns:
        [batch, *size, in].
    """
    # The choice is by the size of one example, so that a sound does not depend on its batch.
    taps, positions = math.prod(kernel.shape[:2]), y.shape[1] * y.shape[2]
    limit = kernel.shape[3] // (4 if geometry.strides == (1, 1) else 1)
    if 1 < taps <= 9 and positions <= limit:
        x = _transpose_by_columns(y, kernel, geometry)
    elif geometry.strides == (1, 1):
        return _transpose_by_flipping(y, kernel, geometry, size)
    else:
        x = _transpose_by_phases(y, kernel, geometry)
    (top, _), (left, _) = geometry.padding
    missing = [max(0, a + b - c) for a, b, c in zip((top, left), size, x.shape[1:3], strict=True)]
    x = jnp.pad(x, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))
    return x[:, top : top + size[0], left : left + size[1]]


def _transpose_by_flipping(y: Array, kernel: Array, geometry: Geometry, size: tuple[int, int]) -> Array:
    """A convolution with the flipped kernel."""
    reach = [(tap - 1) * d for tap, d in zip(kernel.shape[:2], geometry.dilation, strict=True)]
    padding = [
        (far - before, image - output + before)
        for far, (before, _), image, output in zip(reach, geometry.padding, size, y.shape[1:3], strict=True)
    ]
    kernel = kernel[::-1, ::-1].swapaxes(2, 3)
    return jax.lax.conv_general_dilated(
        y, kernel, (1, 1), padding, rhs_dilation=geometry.dilation, dimension_numbers=DIMENSIONS
    )


def _transpose_by_columns(y: Array, kernel: Array, geometry: Geometry) -> Array:
    """One matrix product to what each position adds through each tap, which is then added up.

    The kernel is used as it is, so this is the fastest where the kernel is larger than the image.
    """
    batch, freq, time, features = y.shape
    taps, channels = kernel.shape[:2], kernel.shape[2]
    columns = jax.lax.dot_general(y.reshape(-1, features), kernel.reshape(-1, features), (((1,), (1,)), ((), ())))
    columns = columns.reshape(batch, freq, time, *taps, channels)
    strides, dilation = geometry.strides, geometry.dilation
    # Positions of a phase: those of the image at a fixed place modulo the strides.
    reach = [(tap - 1) // s * d for tap, s, d in zip(taps, strides, dilation, strict=True)]

    def phase(row: int, column: int) -> Array:
        total = jnp.zeros((batch, freq + reach[0], time + reach[1], channels), y.dtype)
        for i in range(row, taps[0], strides[0]):
            for j in range(column, taps[1], strides[1]):
                shift = (i // strides[0] * dilation[0], j // strides[1] * dilation[1])
                around = [(by, far - by) for by, far in zip(shift, reach, strict=True)]
                total = total + jnp.pad(columns[:, :, :, i, j], ((0, 0), *around, (0, 0)))
        return total

    return _interleave([[phase(row, column) for column in range(strides[1])] for row in range(strides[0])])


def _transpose_by_phases(y: Array, kernel: Array, geometry: Geometry) -> Array:
    """One convolution to the phases of the output, which are then interleaved.

    With stride s, output s * p + r is the sum over u of y[p - u] kernel[s * u + r], with zeros as the kernel's taps up
    to a multiple of s, so no products with inserted zeros are computed.
    """
    batch, freq, time, _ = y.shape
    channels, out = kernel.shape[2:]
    rows, columns = geometry.strides
    counts = [-(-tap // s) for tap, s in zip(kernel.shape[:2], geometry.strides, strict=True)]
    missing = [c * s - tap for c, s, tap in zip(counts, geometry.strides, kernel.shape[:2], strict=True)]
    kernel = jnp.pad(kernel, ((0, missing[0]), (0, missing[1]), (0, 0), (0, 0)))
    kernel = kernel.reshape(counts[0], rows, counts[1], columns, channels, out)
    # Axes (u, r, v, s, in, out) to (u reversed, v reversed, out, r, s, in).
    kernel = kernel[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4).reshape(*counts, out, rows * columns * channels)
    padding = [(count - 1, count - 1) for count in counts]
    phases = jax.lax.conv_general_dilated(y, kernel, (1, 1), padding, dimension_numbers=DIMENSIONS)
    freq, time = phases.shape[1:3]
    phases = phases.reshape(batch, freq, time, rows, columns, channels).transpose(0, 1, 3, 2, 4, 5)
    return phases.reshape(batch, rows * freq, columns * time, channels)


def _interleave(phases: list[list[Array]]) -> Array:
    """[batch, rows * freq, columns * time, channels] from rows x columns phases [batch, freq, time, channels]."""
    if len(phases) == len(phases[0]) == 1:
        return phases[0][0]
    batch, freq, time, channels = phases[0][0].shape
    stacked = jnp.stack([jnp.stack(row, axis=3) for row in phases], axis=2)
    return stacked.reshape(batch, freq * len(phases), time * len(phases[0]), channels)
