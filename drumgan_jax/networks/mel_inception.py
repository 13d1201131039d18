"""A small Inception-style classifier of log-mel bands.

Blocks after Szegedy et al. 2016 (sections 3 and 5): parallel branches of factorised 3 x 3 or of n x 1 and 1 x n
convolutions, and reductions that pool and convolve in parallel. drumgan_vst mentions such a network on 128 bands
without its sizes; these are our own.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.core.settings import MOST_FEATURES, real, whole
from drumgan_jax.networks.convolution import for_flax


class MelInception(nn.Module):
    """Class logits and embeddings of sounds, from their mel bands; running statistics are in "batch_stats".

    Attributes:
        num_labels: number of classes.
        width: channels of the first block's branches, from which all others are derived; embeddings have 8 * width
            dimensions.
        dropout: dropout rate of the embedding before the logits, in training.
    """

    num_labels: int
    width: int = whole(1, 16, most=MOST_FEATURES)
    dropout: float = real(0.0, 1.0, 0.3, below=True)

    @nn.compact
    def __call__(self, mel: Array, train: bool = False) -> tuple[Array, Array]:
        """Logits and embeddings.

        Args:
            mel: normalised bands [batch, mel, frames, 1].
            train: use the batch's statistics instead of the running ones, and dropout (RNG stream "dropout").

        Returns:
            (logits [batch, num_labels], embedding [batch, 8 * width]), float32.
        """
        w = self.width
        x = Convolution(w, (3, 3), strides=(2, 2))(mel, train)
        x = Convolution(w, (3, 3))(x, train)
        x = Convolution(2 * w, (3, 3))(x, train)
        x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        x = Square(w)(x, train)
        x = Reduction(2 * w)(x, train)
        x = Factorised(w)(x, train)
        x = Reduction(2 * w)(x, train)
        x = Factorised(2 * w)(x, train)
        embedding = jnp.mean(x, axis=(1, 2))
        dropped = nn.Dropout(self.dropout, deterministic=not train)(embedding)
        return nn.Dense(self.num_labels)(dropped), embedding


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation and ReLU."""

    features: int
    size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """[batch, freq, time, features], divided by the strides, from [batch, freq, time, channels]; zero padding."""
        x = nn.Conv(self.features, self.size, self.strides, use_bias=False, conv_general_dilated=for_flax)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.95, epsilon=1e-3)(x)
        return jax.nn.relu(x)


class Square(nn.Module):
    """Parallel branches of 1 x 1, 3 x 3, two 3 x 3 and pooling with 1 x 1 (figure 5), with 4 * `width` channels."""

    width: int

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """[batch, freq, time, 4 * width] from [batch, freq, time, channels]."""
        w = self.width
        pointwise = Convolution(w, (1, 1))(x, train)
        single = Convolution(w, (3, 3))(Convolution(w, (1, 1))(x, train), train)
        double = Convolution(w, (1, 1))(x, train)
        double = Convolution(w, (3, 3))(Convolution(w, (3, 3))(double, train), train)
        pooled = Convolution(w, (1, 1))(_average_pool(x), train)
        return jnp.concatenate([pointwise, single, double, pooled], axis=-1)


class Factorised(nn.Module):
    """As Square, with kernels of 7 bands by 1 frame and 1 band by 5 frames instead of 3 x 3 (figure 6).

    The long kernels cover a part of the spectrum at one time, or a part of one band's decay.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """[batch, freq, time, 4 * width] from [batch, freq, time, channels]."""
        w = self.width
        pointwise = Convolution(w, (1, 1))(x, train)
        single = Convolution(w, (1, 1))(x, train)
        single = Convolution(w, (1, 5))(Convolution(w, (7, 1))(single, train), train)
        double = Convolution(w, (1, 1))(x, train)
        double = Convolution(w, (7, 1))(Convolution(w, (1, 5))(double, train), train)
        double = Convolution(w, (7, 1))(Convolution(w, (1, 5))(double, train), train)
        pooled = Convolution(w, (1, 1))(_average_pool(x), train)
        return jnp.concatenate([pointwise, single, double, pooled], axis=-1)


class Reduction(nn.Module):
    """Halves both axes by pooling and a strided convolution in parallel (figure 10), and adds `features` channels."""

    features: int

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """[batch, freq / 2, time / 2, channels + features] from [batch, freq, time, channels]."""
        strided = Convolution(self.features, (3, 3), strides=(2, 2))(x, train)
        return jnp.concatenate([nn.max_pool(x, (3, 3), (2, 2), "SAME"), strided], axis=-1)


def _average_pool(x: Array) -> Array:
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)
