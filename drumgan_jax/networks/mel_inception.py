"""A small Inception-style classifier of log-mel bands.

After the blocks of Szegedy et al. 2016 (sections 3 and 5): factorised 3 x 3 and n x 1 with 1 x n convolutions side by
side, and reductions that pool and convolve in parallel. drumgan_vst names such a network on 128 bands, without its
sizes; these are ours.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array


class MelInception(nn.Module):
    """Class scores of sounds, from their mel bands; batch normalisation keeps its means in `batch_stats`.

    Attributes:
        num_labels: classes.
        width: channels of the first block's branches; all others follow. An embedding has 8 * width dimensions.
        dropout: of the embedding in training, before the classes are scored.
    """

    num_labels: int
    width: int = 16
    dropout: float = 0.3

    @nn.compact
    def __call__(self, mel: Array, train: bool = False) -> tuple[Array, Array]:
        """Logits and embeddings.

        Args:
            mel: normalised bands [batch, mel, frames, 1].
            train: statistics of the batch instead of the running ones, and dropout (rng "dropout").

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
        kept = nn.Dropout(self.dropout, deterministic=not train)(embedding)
        return nn.Dense(self.num_labels)(kept), embedding


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation, rectifier."""

    features: int
    size: tuple[int, int]
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """[batch, freq, time, features] of [batch, freq, time, channels], zero padded to the same size over strides."""
        x = nn.Conv(self.features, self.size, self.strides, use_bias=False)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.95, epsilon=1e-3)(x)
        return jax.nn.relu(x)


class Square(nn.Module):
    """1 x 1, 3 x 3, two 3 x 3 and a pooled 1 x 1 side by side (figure 5): four times `width` channels."""

    width: int

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """[batch, freq, time, 4 * width] of [batch, freq, time, channels]."""
        w = self.width
        pointwise = Convolution(w, (1, 1))(x, train)
        single = Convolution(w, (3, 3))(Convolution(w, (1, 1))(x, train), train)
        double = Convolution(w, (1, 1))(x, train)
        double = Convolution(w, (3, 3))(Convolution(w, (3, 3))(double, train), train)
        pooled = Convolution(w, (1, 1))(_average(x), train)
        return jnp.concatenate([pointwise, single, double, pooled], axis=-1)


class Factorised(nn.Module):
    """As Square, with 7 bands by 1 frame and 1 band by 5 frames instead of 3 x 3 (figure 6).

    The long kernels see a stretch of the spectrum at one time, or of one band's decay.
    """

    width: int

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """[batch, freq, time, 4 * width] of [batch, freq, time, channels]."""
        w = self.width
        pointwise = Convolution(w, (1, 1))(x, train)
        single = Convolution(w, (1, 1))(x, train)
        single = Convolution(w, (1, 5))(Convolution(w, (7, 1))(single, train), train)
        double = Convolution(w, (1, 1))(x, train)
        double = Convolution(w, (7, 1))(Convolution(w, (1, 5))(double, train), train)
        double = Convolution(w, (7, 1))(Convolution(w, (1, 5))(double, train), train)
        pooled = Convolution(w, (1, 1))(_average(x), train)
        return jnp.concatenate([pointwise, single, double, pooled], axis=-1)


class Reduction(nn.Module):
    """Halves both axes by a pool and a strided convolution side by side (figure 10): `features` more channels."""

    features: int

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """[batch, freq / 2, time / 2, channels + features] of [batch, freq, time, channels]."""
        strided = Convolution(self.features, (3, 3), strides=(2, 2))(x, train)
        return jnp.concatenate([nn.max_pool(x, (3, 3), (2, 2), "SAME"), strided], axis=-1)


def _average(x: Array) -> Array:
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)
