"""VGGish: embeddings of log-mel patches of a second.

Hershey et al. 2017, "CNN architectures for large-scale audio classification". Modules have the names of the PyTorch
port's weights.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.torch_layout import convert


class VGGish(nn.Module):
    """Four stages of 3 x 3 convolutions with max pooling, and three dense layers.

    Attributes:
        widths: channels of the six convolutions.
        hidden: width of the first two dense layers.
        dimensions: length of an embedding.
        rectified: whether to end with a ReLU, as the PyTorch port does; the Fréchet audio distance is defined without.
    """

    widths: tuple[int, int, int, int, int, int] = (64, 128, 256, 256, 512, 512)
    hidden: int = 4096
    dimensions: int = 128
    rectified: bool = False

    @nn.compact
    def __call__(self, patches: Array) -> Array:
        """Embeddings [batch, dimensions] of log-mel patches [batch, frames, bands, 1], 96 x 64 as published."""
        x = _stages(patches, self.widths, patches.dtype)[-1]
        # The port transposes to channels last before it flattens, so the weights already have this order.
        x = x.reshape(x.shape[0], -1)
        for index in (0, 2):
            x = nn.relu(nn.Dense(self.hidden, name=f"embeddings.{index}")(x))
        x = nn.Dense(self.dimensions, name="embeddings.4")(x)
        return nn.relu(x) if self.rectified else x


class VGGishTaps(nn.Module):
    """Feature maps of VGGish's four stages, for log-mel spectrograms whose sides are multiples of 16.

    Its variables are a subset of VGGish's.

    Attributes:
        widths: channels of the six convolutions.
        compute_dtype: dtype of the convolutions.
    """

    widths: tuple[int, int, int, int, int, int] = (64, 128, 256, 256, 512, 512)
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, mel: Array) -> tuple[Array, Array, Array, Array]:
        """Maps [batch, bands / 2^k, frames / 2^k, channels], k from 1 to 4, from log-mel [batch, bands, frames, 1]."""
        maps = _stages(mel.swapaxes(1, 2), self.widths, self.compute_dtype)
        first, second, third, fourth = (x.swapaxes(1, 2) for x in maps)
        return first, second, third, fourth


def _stages(x: Array, widths: tuple[int, ...], dtype: jnp.dtype) -> list[Array]:
    """Output of each pooling layer on [batch, frames, bands, 1]; creates the layers in the calling module."""
    maps = []
    # Indices in the port's list of layers, in which ReLU and pooling count too.
    for index, width, pool in zip((0, 3, 6, 8, 11, 13), widths, (True, True, False, True, False, True), strict=True):
        x = nn.Conv(width, (3, 3), dtype=dtype, name=f"features.{index}")(x)
        # Pooling before the ReLU gives the same result with a quarter of the work.
        x = nn.relu(_pool(x) if pool else x)
        maps += [x] if pool else []
    return maps


def _pool(x: Array) -> Array:
    """2 x 2 max pooling of [batch, frames, bands, channels]; the gradient of nn.max_pool is slow on CPU."""
    batch, frames, bands, channels = x.shape
    cells = x.reshape(batch, frames // 2, 2, bands // 2, 2, channels)
    rows = jnp.maximum(cells[:, :, 0], cells[:, :, 1])
    return jnp.maximum(rows[:, :, :, 0], rows[:, :, :, 1])


def from_torch(state: Mapping[str, np.ndarray], network: VGGish) -> dict[str, Any]:
    """Variables from the PyTorch port's state dict.

    Raises:
        BadInput: the state dict does not fit the network.
    """
    return convert(state, network, (1, 96, 64, 1))
