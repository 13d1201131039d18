"""Networks from what an encoder sees of a sound to the latent w that a generator makes it of."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.layers import LEAK
from drumgan_jax.networks.style_waveform import Trunk, layer_widths


class ConvolutionEncoder(nn.Module):
    """Six strided convolutions and four dense layers (Nistal et al. 2022, drumgan_vst, table 3).

    Every layer is without bias and has batch normalisation behind it, the last one too; all but the last then have a
    leaky rectifier, of slope 0.2. Running means and variances are kept in `batch_stats`. All in float32.

    Attributes:
        w_dim: size of w.
        num_labels: of those, the last that are class probabilities; 0 for none.
        channels: of the 3 x 3 convolutions; every one halves freq, every other one, from the first, time.
        dense: sizes of the hidden dense layers.
    """

    w_dim: int
    num_labels: int = 0
    channels: tuple[int, ...] = (32, 64, 128, 128, 64, 32)
    dense: tuple[int, ...] = (3072, 1024, 512)

    @nn.compact
    def __call__(self, seen: Array, train: bool = False) -> Array:
        """w [batch, w_dim] of views [batch, freq, time, channels].

        Args:
            seen: what drumgan_jax.audio.views makes of examples.
            train: statistics of the batch instead of the running ones.
        """
        x = seen
        for number, features in enumerate(self.channels):
            strides = (2, 1 if number % 2 else 2)
            x = nn.Conv(features, (3, 3), strides, padding=1, use_bias=False, name=f"convolution_{number}")(x)
            x = jax.nn.leaky_relu(self._normalized(x, train), LEAK)
        x = x.reshape(x.shape[0], -1)
        for number, features in enumerate(self.dense):
            x = nn.Dense(features, use_bias=False, name=f"dense_{number}")(x)
            x = jax.nn.leaky_relu(self._normalized(x, train), LEAK)
        x = nn.Dense(self.w_dim, use_bias=False, name="output")(x)
        return softmax_labels(self._normalized(x, train), self.num_labels)

    def _normalized(self, x: Array, train: bool) -> Array:
        return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)


class WaveformEncoder(nn.Module):
    """The architecture of `style_waveform.Discriminator` without labels and phase shuffle, and w instead of a score.

    After Drysdale et al. 2021, section 2.1. All in float32.

    Attributes:
        w_dim: size of w.
        num_labels: of those, the last that are class probabilities; 0 for none.
        base: samples of the last feature map.
        channel_base: channels times 2^level, within `channel_min` and `channel_max`.
    """

    w_dim: int
    num_labels: int = 0
    base: int = 16
    channel_base: int = 1024
    channel_min: int = 4
    channel_max: int = 1024

    @nn.compact
    def __call__(self, seen: Array, train: bool = False) -> Array:
        """w [batch, w_dim] of waveforms [batch, 1, samples, channels], in training as in use.

        Raises:
            BadInput: the waveforms are none, or not as long as `base` doubled some times.
        """
        _, rows, samples, channels = seen.shape
        widths = layer_widths(
            (rows, samples, channels), self.base, self.channel_base, self.channel_min, self.channel_max
        )
        x = Trunk(tuple(widths), name="trunk")(seen)
        x = nn.Dense(self.w_dim, precision=jax.lax.Precision.HIGHEST, name="output")(x)
        return softmax_labels(x, self.num_labels)


def softmax_labels(w: Array, num_labels: int) -> Array:
    """w [batch, w_dim] with the softmax of its last `num_labels` in their place; the others stay as they are."""
    if not num_labels:
        return w
    return jnp.concatenate([w[:, :-num_labels], jax.nn.softmax(w[:, -num_labels:], axis=-1)], axis=-1)
