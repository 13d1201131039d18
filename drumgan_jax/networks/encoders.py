"""Encoder networks, from the view of a sound (drumgan_jax.audio.views) to the latent w that generates it."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.core.settings import MOST_FEATURES, sizes, whole, width
from drumgan_jax.networks.convolution import for_flax
from drumgan_jax.networks.layers import LEAK
from drumgan_jax.networks.style_waveform import Trunk, layer_widths


class ConvolutionEncoder(nn.Module):
    """Six strided convolutions and four dense layers (Nistal et al. 2022, drumgan_vst, table 3).

    Every layer has batch normalisation and no bias; all but the last are followed by a leaky ReLU of slope 0.2. Running
    means and variances are in the collection "batch_stats". Everything is in float32.

    Attributes:
        w_dim: size of w.
        num_labels: number of labels at the end of w, class probabilities and then attributes; 0 for none.
        num_attributes: how many of them are attributes.
        channels: channels of the 3 x 3 convolutions; each halves freq, and every other one, from the first, time too.
        dense: sizes of the hidden dense layers.
    """

    w_dim: int
    num_labels: int = 0
    num_attributes: int = 0
    channels: tuple[int, ...] = sizes((32, 64, 128, 128, 64, 32), most=MOST_FEATURES)
    dense: tuple[int, ...] = sizes((3072, 1024, 512), most=MOST_FEATURES)

    @nn.compact
    def __call__(self, view: Array, train: bool = False) -> Array:
        """Latents w [batch, w_dim] from views [batch, freq, time, channels].

        Args:
            view: output of a view in drumgan_jax.audio.views.
            train: use the batch's statistics instead of the running ones.
        """
        x = view
        for number, features in enumerate(self.channels):
            strides = (2, 1 if number % 2 else 2)
            x = nn.Conv(
                features,
                (3, 3),
                strides,
                padding=1,
                use_bias=False,
                conv_general_dilated=for_flax,
                name=f"convolution_{number}",
            )(x)
            x = jax.nn.leaky_relu(self._normalized(x, train), LEAK)
        x = x.reshape(x.shape[0], -1)
        for number, features in enumerate(self.dense):
            x = nn.Dense(features, use_bias=False, name=f"dense_{number}")(x)
            x = jax.nn.leaky_relu(self._normalized(x, train), LEAK)
        x = nn.Dense(self.w_dim, use_bias=False, name="output")(x)
        return bounded_labels(self._normalized(x, train), self.num_labels, self.num_attributes)

    def _normalized(self, x: Array, train: bool) -> Array:
        return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)


class WaveformEncoder(nn.Module):
    """`style_waveform.Discriminator` without labels and phase shuffle, with w as its output instead of a logit.

    After Drysdale et al. 2021, section 2.1. Everything is in float32.

    Attributes:
        w_dim: size of w.
        num_labels: number of labels at the end of w, class probabilities and then attributes; 0 for none.
        num_attributes: how many of them are attributes.
        base: length of the last feature map in samples.
        channel_base: a level has channel_base / 2^level channels, within `channel_min` and `channel_max`.
    """

    w_dim: int
    num_labels: int = 0
    num_attributes: int = 0
    base: int = width(16)
    channel_base: int = whole(1, 1024)
    channel_min: int = width(4)
    channel_max: int = width(1024)

    @nn.compact
    def __call__(self, view: Array, train: bool = False) -> Array:
        """Latents w [batch, w_dim] from waveforms [batch, 1, samples, channels]; `train` has no effect.

        Raises:
            BadInput: the views are not waveforms, or their length is not `base` doubled repeatedly.
        """
        _, rows, samples, channels = view.shape
        widths = layer_widths(
            (rows, samples, channels), self.base, self.channel_base, self.channel_min, self.channel_max
        )
        x = Trunk(tuple(widths), name="trunk")(view)
        x = nn.Dense(self.w_dim, precision=jax.lax.Precision.HIGHEST, name="output")(x)
        return bounded_labels(x, self.num_labels, self.num_attributes)


def bounded_labels(w: Array, num_labels: int, num_attributes: int) -> Array:
    """Apply a softmax to the classes and a sigmoid to the attributes at the end of w [batch, w_dim].

    Args:
        w: the last `num_labels` dimensions are labels; the others are unchanged.
        num_labels: number of classes and attributes.
        num_attributes: how many of these, the last ones, are attributes.
    """
    if not num_labels:
        return w
    z, classes, attributes = jnp.split(w, [w.shape[1] - num_labels, w.shape[1] - num_attributes], axis=1)
    classes = jax.nn.softmax(classes, axis=-1) if num_labels > num_attributes else classes
    return jnp.concatenate([z, classes, jax.nn.sigmoid(attributes)], axis=1)
