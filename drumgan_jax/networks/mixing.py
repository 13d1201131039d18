"""Random projections of features: mixed across channels, then across scales, and never trained (Sauer et al. 2021).

"Projected GANs converge faster", section 3.2. As in its release there are no rectifiers, so that all is linear in the
features. The numbers of channels are the release's, whatever the feature network has: the paper says equal numbers in
and out. Convolutions across scales are 3 x 3, as both papers say; the releases of both have 1 x 1 and biases.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.convolution import convolve

# Channels of the four scales after mixing across channels and after mixing across scales, highest resolution first.
_ACROSS_CHANNELS = (1, 2, 4, 8)
_ACROSS_SCALES = (1, 1, 2, 4)


def draw(key: Array, widths: Sequence[int], channels: int) -> dict[str, Array]:
    """Random kernels, normal with a variance of 2 over the fan in (He et al. 2015).

    Args:
        key: draws them.
        widths: channels of the four scales' maps, highest resolution first.
        channels: of the first map after mixing; the others have their multiples.

    Returns:
        "channels_0" to "channels_3" [1, 1, in, out] and "scales_0" to "scales_3" [3, 3, in, out], float32.
    """
    shapes = {}
    for scale, (width, middle, out) in enumerate(zip(widths, _ACROSS_CHANNELS, _ACROSS_SCALES, strict=True)):
        shapes[f"channels_{scale}"] = (1, 1, width, middle * channels)
        shapes[f"scales_{scale}"] = (3, 3, middle * channels, out * channels)
    # One draw, because XLA compiles each anew.
    sizes = [math.prod(shape) for shape in shapes.values()]
    parts = jnp.split(jax.random.normal(key, (sum(sizes),)), list(itertools.accumulate(sizes[:-1])))
    return {
        name: part.reshape(shape) * math.sqrt(2 / math.prod(shape[:-1]))
        for part, (name, shape) in zip(parts, shapes.items(), strict=True)
    }


def mix(kernels: Mapping[str, Array], maps: Sequence[Array]) -> tuple[Array, ...]:
    """Mixed maps, each of twice the size of its scale's.

    From the lowest scale up: its channels are mixed, what came of the scale below is added, and the sum is doubled and
    convolved.

    Args:
        kernels: of `draw`, of the maps' dtype.
        maps: four of [batch, freq, time, width], each half the size of the one before.

    Returns:
        [batch, 2 * freq, 2 * time, channels * (1, 1, 2, 4)] in that order and dtype.
    """
    below: list[Array] = []
    for scale in reversed(range(len(maps))):
        x = convolve(maps[scale], kernels[f"channels_{scale}"])
        x = x + below[-1] if below else x
        below.append(convolve(double(x), kernels[f"scales_{scale}"]))
    return tuple(reversed(below))


def double(x: Array) -> Array:
    """Both axes doubled by linear interpolation with the corners kept, PyTorch's "bilinear" with align_corners.

    Args:
        x: [batch, freq, time, channels].

    Returns:
        [batch, 2 * freq, 2 * time, channels].
    """
    return _double(_double(x, 1), 2)


def _double(x: Array, axis: int) -> Array:
    """Of n places, output 2p lies p / (2n - 1) before place p, and output 2p + 1 lies (n - 1 - p) / (2n - 1) after."""
    size = x.shape[axis]
    shape = [size if i == axis else 1 for i in range(x.ndim)]
    before = (jnp.arange(size) / (2 * size - 1)).astype(x.dtype).reshape(shape)
    after = jnp.flip(before, axis)
    first, last = (jax.lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (0, size - 1))
    previous = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
    following = jnp.concatenate([jax.lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
    both = jnp.stack([x + before * (previous - x), x + after * (following - x)], axis + 1)
    return both.reshape([2 * size if i == axis else n for i, n in enumerate(x.shape)])
