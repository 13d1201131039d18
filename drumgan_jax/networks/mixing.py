"""Random projections of feature maps: mixing across channels and across scales with untrained weights.

Sauer et al. 2021, "Projected GANs converge faster", section 3.2. As in its release there are no activations, so the
mixing is linear in the features. Channel counts are the release's, whatever the feature network has; the paper keeps
them equal. Convolutions across scales are 3 x 3, as in this paper and Yeh, Chen and Yang 2022; the releases of both
have 1 x 1 and biases.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.convolution import convolve

# Channel multiples of the four scales after mixing across channels and across scales, highest resolution first.
_ACROSS_CHANNELS = (1, 2, 4, 8)
_ACROSS_SCALES = (1, 1, 2, 4)


def draw(key: Array, widths: Sequence[int], channels: int) -> dict[str, Array]:
    """Random kernels, normal with variance 2 / fan in (He et al. 2015).

    Args:
        key: PRNG key.
        widths: channels of the four scales' maps, highest resolution first.
        channels: channels of the first map after mixing; the others have multiples of it.

    Returns:
        "channels_0" to "channels_3" [1, 1, in, out] and "scales_0" to "scales_3" [3, 3, in, out], float32.
    """
    shapes = {}
    for scale, (width, middle, out) in enumerate(zip(widths, _ACROSS_CHANNELS, _ACROSS_SCALES, strict=True)):
        shapes[f"channels_{scale}"] = (1, 1, width, middle * channels)
        shapes[f"scales_{scale}"] = (3, 3, middle * channels, out * channels)
    # A single draw, because XLA compiles each draw separately.
    sizes = [math.prod(shape) for shape in shapes.values()]
    parts = jnp.split(jax.random.normal(key, (sum(sizes),)), list(itertools.accumulate(sizes[:-1])))
    return {
        name: part.reshape(shape) * math.sqrt(2 / math.prod(shape[:-1]))
        for part, (name, shape) in zip(parts, shapes.items(), strict=True)
    }


def mix(kernels: Mapping[str, Array], maps: Sequence[Array]) -> tuple[Array, ...]:
    """Mix feature maps, to twice the size of each.

    From the lowest resolution up: mix the channels, add the result of the scale below, upsample and convolve.

    Args:
        kernels: kernels from `draw`, in the dtype of the maps.
        maps: four maps [batch, freq, time, width], each half the size of the one before.

    Returns:
        Maps [batch, 2 * freq, 2 * time, channels * (1, 1, 2, 4)] in the same order and dtype.
    """
    below: list[Array] = []
    for scale in reversed(range(len(maps))):
        x = convolve(maps[scale], kernels[f"channels_{scale}"])
        x = x + below[-1] if below else x
        below.append(convolve(double(x), kernels[f"scales_{scale}"]))
    return tuple(reversed(below))


def double(x: Array) -> Array:
    """Upsample both axes by two, bilinearly with aligned corners (PyTorch's "bilinear" with align_corners).

    Args:
        x: [batch, freq, time, channels].

    Returns:
        [batch, 2 * freq, 2 * time, channels].
    """
    return _double(_double(x, 1), 2)


def _double(x: Array, axis: int) -> Array:
    """Upsample one axis: output 2p is p / (2n - 1) before input p of n, output 2p + 1 (n - 1 - p) / (2n - 1) after."""
    size = x.shape[axis]
    shape = [size if i == axis else 1 for i in range(x.ndim)]
    before = (jnp.arange(size) / (2 * size - 1)).astype(x.dtype).reshape(shape)
    after = jnp.flip(before, axis)
    first, last = (jax.lax.slice_in_dim(x, i, i + 1, axis=axis) for i in (0, size - 1))
    previous = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
    following = jnp.concatenate([jax.lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
    both = jnp.stack([x + before * (previous - x), x + after * (following - x)], axis + 1)
    return both.reshape([2 * size if i == axis else n for i, n in enumerate(x.shape)])
