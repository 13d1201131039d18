"""The short-chunk CNN with residual connections, which tags music from a few seconds of mel spectrogram.

Won, Ferraro, Bogdanov and Serra 2020, "Evaluation of CNN-based automatic music tagging models". Modules have the names
of the published PyTorch weights.

Their plain short-chunk CNN halves its maps by max pooling of 2 x 2 after each convolution of 3 x 3. This is their other
one, "Short-chunk CNN + Res", in whose release each block halves them by strides of 2, in the first of its two
convolutions and in the one beside them; max pooling is only at the end, over all that is left. Yeh, Chen and
Yang 2022 write of "a 2 x 2 max-pooling layer" in each block, and of "the residual module"; the weights that they
published have the blocks with strides, as have the tagger's. So this network has them: pooling could not take those.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.core.settings import MOST_FEATURES, sizes, whole
from drumgan_jax.networks.convolution import for_flax
from drumgan_jax.networks.torch_layout import convert

_PADDING = ((1, 1), (1, 1))


class ShortChunk(nn.Module):
    """Residual blocks that each halve both axes, global max pooling, and two dense layers.

    Training uses the RNG stream "dropout" and updates the collection "batch_stats".

    Attributes:
        num_labels: number of classes or tags.
        channels: width of the first block.
        blocks: each block's width, in multiples of `channels`; the default is the published network's.
    """

    num_labels: int = 50
    channels: int = whole(1, 128, most=MOST_FEATURES)
    blocks: tuple[int, ...] = sizes((1, 1, 2, 2, 2, 2, 4), most=MOST_FEATURES)

    @nn.compact
    def __call__(self, mel: Array, train: bool = False) -> tuple[Array, Array]:
        """Logits [batch, num_labels] and embedding [batch, channels * blocks[-1]], the last hidden layer after ReLU.

        Args:
            mel: [batch, mel, frames, 1]; power in dB for the published network.
            train: use the batch's statistics, and dropout of 0.5 between embedding and logits.
        """
        x = _blocks(mel, self.channels, self.blocks, train)[-1]
        x = jnp.max(x, axis=(1, 2))
        x = nn.Dense(x.shape[-1], name="dense1")(x)
        embedding = nn.relu(_normalization(train, "bn")(x))
        x = nn.Dropout(0.5, deterministic=not train)(embedding)
        return nn.Dense(self.num_labels, name="dense2")(x), embedding


class ShortChunkTaps(nn.Module):
    """Feature maps of ShortChunk's first four blocks, for mel spectrograms whose sides are multiples of 16.

    Its variables are a subset of ShortChunk's; normalisation uses their running averages.

    Attributes:
        channels: width of the first block.
        blocks: each block's width, in multiples of `channels`; blocks after the fourth are not run.
        compute_dtype: dtype of the convolutions; normalisation is in float32.
    """

    channels: int = whole(1, 128, most=MOST_FEATURES)
    blocks: tuple[int, ...] = sizes((1, 1, 2, 2, 2, 2, 4), most=MOST_FEATURES)
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, mel: Array) -> tuple[Array, Array, Array, Array]:
        """Maps [batch, bands / 2^k, frames / 2^k, channels], k from 1 to 4, from [batch, bands, frames, 1]."""
        first, second, third, fourth = _blocks(mel, self.channels, self.blocks[:4], False, self.compute_dtype)
        return first, second, third, fourth


def _blocks(
    x: Array, channels: int, blocks: tuple[int, ...], train: bool, dtype: jnp.dtype = jnp.float32
) -> list[Array]:
    """Output of each block on [batch, mel, frames, 1]; creates the layers in the calling module."""
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
            # Explicit, because XLA's "SAME" pads an even side at its end only with stride 2.
            convolution = nn.Conv(
                self.features,
                (3, 3),
                (stride, stride),
                padding=_PADDING,
                dtype=self.compute_dtype,
                conv_general_dilated=for_flax,
                name=f"conv_{index}",
            )
            x = convolution(x).astype(jnp.float32)
            return _normalization(train, f"bn_{index}")(x).astype(self.compute_dtype)

        out = layer(nn.relu(layer(x, 1, 2)), 2, 1)
        return nn.relu(layer(x, 3, 2) + out)


def _normalization(train: bool, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, name=name)


def from_torch(state: Mapping[str, np.ndarray], network: ShortChunk) -> dict[str, Any]:
    """Variables from the published PyTorch state dict; its front end's buffers ("spec.") are left out.

    Raises:
        BadInput: the state dict does not fit the network.
    """
    return convert(state, network, (1, 128, 128, 1), ignored=("spec.",))
