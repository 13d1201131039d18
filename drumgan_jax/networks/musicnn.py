"""musicnn, a music tagger whose first filters have the shapes of timbres and of rhythms.

Pons and Serra 2019, "musicnn: pre-trained convolutional neural networks for music audio tagging"; the architecture is
Pons et al. 2018, "End-to-end learning for music audio tagging at scale". Modules have the names of the published
TensorFlow weights. Frozen: normalisation always uses the running averages.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.tensorflow_layout import convert

# The published network's bands; its timbral filters cover 0.4 and 0.7 of them.
BANDS = 96
# Frames that a timbral filter, and a filter of the middle layers, covers.
_FRAMES = 7
# TensorFlow's default, which the network was trained with.
_EPSILON = 1e-3
# Bands of a row of MusicnnTaps: 96 bands are 32 rows, a power of two.
BANDS_PER_ROW = 3
# Bands between the positions of a timbral filter, and those between the bands of a temporal one, in MusicnnTaps.
_STEPS = (4, 3)


class Musicnn(nn.Module):
    """Timbral and temporal filters, three residual layers over time, mean and maximum over time, two dense layers.

    Attributes:
        num_labels: number of tags.
        timbral: channels of each of the two timbral layers.
        heights: bands that a filter of each timbral layer covers.
        temporal: channels of each of the three temporal layers.
        lengths: frames that a filter of each temporal layer covers.
        middle: channels of each middle layer.
        hidden: length of the embedding.
    """

    num_labels: int = 50
    timbral: int = 204
    heights: tuple[int, int] = (38, 67)
    temporal: int = 51
    lengths: tuple[int, int, int] = (128, 64, 32)
    middle: int = 64
    hidden: int = 200

    @nn.compact
    def __call__(self, mel: Array) -> tuple[Array, Array]:
        """Logits [batch, num_labels] and embedding [batch, hidden], the penultimate layer after its normalisation.

        Args:
            mel: log-mel bands [batch, bands, frames, 1] as audio.musicnn_mel makes them, 96 x 187 in training.
        """
        timbral, temporal = _front(mel, self, (1, 1), jnp.float32)
        features = _middle(timbral, temporal, self, jnp.float32)
        # TensorFlow flattens channels before pools.
        pools = jnp.stack([jnp.max(features, axis=1), jnp.mean(features, axis=1)], axis=-1)
        x = _normalized(pools.reshape(len(pools), -1), 9)
        embedding = _normalized(nn.relu(nn.Dense(self.hidden, name="dense")(x)), 10)
        return nn.Dense(self.num_labels, name="dense_1")(embedding), embedding


class MusicnnTaps(nn.Module):
    """Feature maps of musicnn at four scales, for spectrograms of 96 bands whose frames are a multiple of 16.

    The network itself pools over all bands at once. Here rows of the first map are maxima over some bands of the
    temporal layers, of the second and third over some positions of the timbral layers, and the fourth map, which
    belongs to the middle layers, has no bands and is repeated in all rows. Frames are pooled by their maximum. Timbral
    filters are at every fourth position and temporal ones at every third band, since the gradient through all of them
    takes most of a training step; so the middle layers see maxima over fewer positions than in Musicnn. The variables
    are a subset of Musicnn's.

    Attributes:
        timbral: channels of each of the two timbral layers.
        heights: bands that a filter of each timbral layer covers.
        temporal: channels of each of the three temporal layers.
        lengths: frames that a filter of each temporal layer covers.
        middle: channels of each middle layer.
        compute_dtype: dtype of the convolutions; normalisation is in float32.
    """

    timbral: int = 204
    heights: tuple[int, int] = (38, 67)
    temporal: int = 51
    lengths: tuple[int, int, int] = (128, 64, 32)
    middle: int = 64
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, mel: Array) -> tuple[Array, Array, Array, Array]:
        """Maps [batch, rows / 2^k, frames / 2^k, channels], k from 1 to 4, from [batch, 3 * rows, frames, 1]."""
        rows = mel.shape[1] // BANDS_PER_ROW
        timbral, temporal = _front(mel, self, _STEPS, self.compute_dtype)
        features = _middle(timbral, temporal, self, self.compute_dtype)[:, None, :, -3 * self.middle :]
        maps = (
            _pooled(jnp.concatenate(temporal, axis=-1), rows // 2, 2),
            _pooled(timbral[0], rows // 4, 4),
            _pooled(timbral[1], rows // 8, 8),
            jnp.repeat(_pooled(features, 1, 16), rows // 16, axis=1),
        )
        first, second, third, fourth = (x.astype(self.compute_dtype) for x in maps)
        return first, second, third, fourth


class _Filters(nn.Module):
    """The kernel [height, width, 1, features] and bias of a layer, in TensorFlow's layout."""

    size: tuple[int, int]
    features: int

    @nn.compact
    def __call__(self) -> tuple[Array, Array]:
        kernel = self.param("kernel", nn.initializers.he_normal(), (*self.size, 1, self.features))
        return kernel, self.param("bias", nn.initializers.zeros, (self.features,))


def _front(mel: Array, sizes: Any, steps: tuple[int, int], dtype: jnp.dtype) -> tuple[list[Array], list[Array]]:
    """Maps [batch, positions, frames, channels] of timbral and of temporal layers, of [batch, bands, frames, 1].

    Creates the layers in the calling module, whose attributes are `sizes`. Filters are at every position among the
    bands whose number divides by its layers' step.
    """
    x = _normalized(mel, 0)[..., 0].astype(dtype)
    timbral, temporal = [], []
    for index, height in enumerate(sizes.heights):
        kernel, bias = _Filters((_FRAMES, height), sizes.timbral, name=_name("conv2d", index))()
        maps = _timbral(x, kernel.astype(dtype), steps[0]).astype(jnp.float32) + bias
        timbral.append(_normalized(nn.relu(maps), index + 1))
    for index, length in enumerate(sizes.lengths, start=2):
        kernel, bias = _Filters((length, 1), sizes.temporal, name=_name("conv2d", index))()
        maps = _temporal(x[:, :: steps[1]], kernel[:, 0, 0].astype(dtype)).astype(jnp.float32) + bias
        temporal.append(_normalized(nn.relu(maps), index + 1))
    return timbral, temporal


def _middle(timbral: list[Array], temporal: list[Array], sizes: Any, dtype: jnp.dtype) -> Array:
    """Front and middle layers' channels [batch, frames, channels], side by side; creates the middle layers."""
    x = jnp.concatenate([jnp.max(maps, axis=1) for maps in (*timbral, *temporal)], axis=-1)
    features = [x]
    for index in range(5, 8):
        kernel, bias = _Filters((_FRAMES, x.shape[-1]), sizes.middle, name=_name("conv2d", index))()
        out = _over_time(x.astype(dtype), kernel[:, :, 0].astype(dtype)).astype(jnp.float32) + bias
        out = _normalized(nn.relu(out), index + 1)
        x = out if index == 5 else x + out
        features.append(x)
    return jnp.concatenate(features, axis=-1)


def _timbral(x: Array, kernel: Array, step: int) -> Array:
    """Correlation of [batch, bands, frames] with [7, height, 1, out] at every step-th position among the bands."""
    height = kernel.shape[1]
    end = x.shape[1] - height + 1
    # With the bands of each position as channels: a convolution with one channel has a slow gradient on CPU.
    bands = jnp.stack([x[:, band : band + end : step] for band in range(height)], axis=-1)
    return jax.lax.conv_general_dilated(
        bands, kernel.transpose(2, 0, 1, 3), (1, 1), ((0, 0), (3, 3)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _temporal(x: Array, kernel: Array) -> Array:
    """Correlation over frames of [batch, bands, frames] with [length, out], to [batch, bands, frames, out]."""
    frames, length = x.shape[2], len(kernel)
    # As a product with a Toeplitz matrix, for the gradient's speed; an even filter has more frames after than before.
    taps = np.arange(frames)[:, None] - np.arange(frames) + (length - 1) // 2
    inside = (taps >= 0) & (taps < length)
    matrix = jnp.where(inside[..., None], kernel[np.clip(taps, 0, length - 1)], 0.0)
    return jnp.einsum("bfs,sto->bfto", x, matrix)


def _over_time(x: Array, kernel: Array) -> Array:
    """Correlation over frames of [batch, frames, in] with [7, in, out], of the same length."""
    return jax.lax.conv_general_dilated(x, kernel, (1,), ((3, 3),), dimension_numbers=("NWC", "WIO", "NWC"))


def _pooled(x: Array, rows: int, frames: int) -> Array:
    """Maxima of [batch, positions, frames, channels] over equal cells of positions and over `frames` frames.

    Where positions do not divide into `rows`, the last cells have fewer.
    """
    batch, positions, length, channels = x.shape
    cell = -(-positions // rows)
    x = jnp.pad(x, ((0, 0), (0, rows * cell - positions), (0, 0), (0, 0)), mode="edge")
    return jnp.max(x.reshape(batch, rows, cell, length // frames, frames, channels), axis=(2, 4))


def _normalized(x: Array, index: int) -> Array:
    return nn.BatchNorm(use_running_average=True, epsilon=_EPSILON, name=_name("batch_normalization", index))(x)


def _name(kind: str, index: int) -> str:
    return f"{kind}_{index}" if index else kind


def from_tensorflow(arrays: Mapping[str, np.ndarray], network: Musicnn) -> dict[str, Any]:
    """Variables from the published TensorFlow checkpoint; the optimiser's arrays are left out.

    Raises:
        BadInput: the checkpoint does not fit the network.
    """
    return convert(arrays, network, (1, BANDS, 187, 1))
