"""The short-chunk CNN with residual connections, a tagger of music by few seconds of mel spectrogram.

Won, Ferraro, Bogdanov and Serra 2020, "Evaluation of CNN-based automatic music tagging models". Modules carry the names
of the published PyTorch weights.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.torch_layout import convert

_PADDING = ((1, 1), (1, 1))


class ShortChunk(nn.Module):
    """Residual blocks that each halve both axes, maximum over what is left, and two dense layers.

    Training draws dropout from the random key named "dropout" and updates the collection "batch_stats".

    Attributes:
        num_labels: classes or tags.
        channels: width of the first block.
        blocks: each block's width, in multiples of `channels`; the published network has these seven.
    """

    num_labels: int = 50
    channels: int = 128
    blocks: tuple[int, ...] = (1, 1, 2, 2, 2, 2, 4)

    @nn.compact
    def __call__(self, mel: Array, train: bool = False) -> tuple[Array, Array]:
        """Logits [batch, num_labels] and embedding [batch, channels * blocks[-1]], the rectified layer before them.

        Args:
            mel: [batch, mel, frames, 1]; the published network takes decibels of power.
            train: use the batch's statistics, and drop half of the embedding on the way to the logits.
        """
        x = _blocks(mel, self.channels, self.blocks, train)[-1]
        x = jnp.max(x, axis=(1, 2))
        x = nn.Dense(x.shape[-1], name="dense1")(x)
        embedding = nn.relu(_normalization(train, "bn")(x))
        x = nn.Dropout(0.5, deterministic=not train)(embedding)
        return nn.Dense(self.num_labels, name="dense2")(x), embedding


class ShortChunkTaps(nn.Module):
    """What the first four blocks of ShortChunk make of a mel spectrogram, whose sides may be any multiples of 16.

    Its variables are a part of ShortChunk's; normalisation is by their running averages.

    Attributes:
        channels: width of the first block.
        blocks: each block's width, in multiples of `channels`; those after the fourth are not run.
        compute_dtype: what convolutions run in; normalisation runs in float32.
    """

    channels: int = 128
    blocks: tuple[int, ...] = (1, 1, 2, 2, 2, 2, 4)
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, mel: Array) -> tuple[Array, Array, Array, Array]:
        """Maps [batch, bands / 2^k, frames / 2^k, channels], k from 1 to 4, of [batch, bands, frames, 1]."""
        first, second, third, fourth = _blocks(mel, self.channels, self.blocks[:4], False, self.compute_dtype)
        return first, second, third, fourth


def _blocks(
    x: Array, channels: int, blocks: tuple[int, ...], train: bool, dtype: jnp.dtype = jnp.float32
) -> list[Array]:
    """What leaves each block, of [batch, mel, frames, 1]; called within a module, whose layers it makes."""
    x = _normalization(train, "spec_bn")(x)
    maps = []
    for index, width in enumerate(blocks):
        x = _Residual(width * channels, dtype, name=f"layer{index + 1}")(x, train)
        maps.append(x)
    return maps


class _Residual(nn.Module):
    features: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        def layer(x: Array, index: int, stride: int) -> Array:
            # Explicit padding: XLA's "SAME" would pad an even side with stride 2 on its end only.
            convolution = nn.Conv(
                self.features,
                (3, 3),
                (stride, stride),
                padding=_PADDING,
                dtype=self.compute_dtype,
                name=f"conv_{index}",
            )
            x = convolution(x).astype(jnp.float32)
            return _normalization(train, f"bn_{index}")(x).astype(self.compute_dtype)

        out = layer(nn.relu(layer(x, 1, 2)), 2, 1)
        return nn.relu(layer(x, 3, 2) + out)


def _normalization(train: bool, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, name=name)


def from_torch(state: Mapping[str, np.ndarray], network: ShortChunk) -> dict[str, Any]:
    """Variables of the published PyTorch state dict; its front end's buffers ("spec.") are left out.

    Raises:
        BadInput: the layout is another.
    """
    return convert(state, network, (1, 128, 128, 1), ignored=("spec.",))
