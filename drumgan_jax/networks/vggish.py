"""VGGish: log-mel patches of a second to embeddings (Hershey et al. 2017, "CNN architectures for large-scale audio
classification"). Modules carry the names of the PyTorch port's weights.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import linen as nn

from drumgan_jax.networks.torch_layout import convert
from drumgan_jax.parts import Array

_POOL = (2, 2)


class VGGish(nn.Module):
    """Four stages of 3 x 3 convolutions, each with maximum pooling, and three dense layers.

    Attributes:
        widths: channels of the six convolutions.
        hidden: width of the first two dense layers.
        dimensions: of the embedding.
        rectified: end with a rectifier, as the PyTorch port does; Fréchet audio distance is defined without.
    """

    widths: tuple[int, int, int, int, int, int] = (64, 128, 256, 256, 512, 512)
    hidden: int = 4096
    dimensions: int = 128
    rectified: bool = False

    @nn.compact
    def __call__(self, patches: Array) -> Array:
        """Embeddings [batch, dimensions] of log-mel patches [batch, frames, bands, 1], 96 x 64 as published."""
        x = patches
        # Places in the port's list of layers, in which rectifiers and pools count too.
        for place, width, pool in zip(
            (0, 3, 6, 8, 11, 13), self.widths, (True, True, False, True, False, True), strict=True
        ):
            x = nn.relu(nn.Conv(width, (3, 3), name=f"features.{place}")(x))
            x = nn.max_pool(x, _POOL, _POOL) if pool else x
        # The port transposes to channels last before it flattens, so that this order is the weights' own.
        x = x.reshape(x.shape[0], -1)
        for place in (0, 2):
            x = nn.relu(nn.Dense(self.hidden, name=f"embeddings.{place}")(x))
        x = nn.Dense(self.dimensions, name="embeddings.4")(x)
        return nn.relu(x) if self.rectified else x


def from_torch(state: Mapping[str, np.ndarray], network: VGGish) -> dict[str, Any]:
    """Variables of the PyTorch port's state dict.

    Raises:
        BadInput: the layout is another.
    """
    return convert(state, network, (1, 96, 64, 1))
