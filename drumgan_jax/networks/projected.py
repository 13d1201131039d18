"""Discriminator of a projected GAN: frozen feature networks, random mixing, and a small discriminator per scale.

Sauer et al. 2021, "Projected GANs converge faster", adapted to sound by Yeh, Chen and Yang 2022 ("Exploiting
pre-trained feature networks for generative adversarial networks in audio-domain loop generation", section 4): an
example is cut into chunks of the length that the feature networks were trained on, and the chunks' maps at each scale
are concatenated again. Here along time, in the order of the chunks; the release concatenates along the bands.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.core.settings import check_fields, whole
from drumgan_jax.networks import mixing
from drumgan_jax.networks.convolution import convolve, correlate
from drumgan_jax.networks.convolution_on_cpu import Geometry
from drumgan_jax.networks.depthwise import depthwise
from drumgan_jax.networks.growing import average_pool
from drumgan_jax.networks.layers import LEAK, minibatch_stddev
from drumgan_jax.networks.mapping import check_labels
from drumgan_jax.networks.spectral import Kernel

SCALES = 4
# Rows at the end of a small discriminator, and the size of its last kernel.
_LAST = 4


class FeatureNetwork(NamedTuple):
    """A pretrained network that provides features.

    Attributes:
        name: name of its variables.
        taps: module from [batch, bands, frames, 1] to SCALES maps [batch, rows / 2^k, frames / 2^k, channels] for k
            from 1, in its `compute_dtype`.
        convert: differentiable, hashable function from examples [batch, freq, time, 1] to the network's input
            [batch, bands, frames, 1].
        bands_per_row: number of bands that are one row to its taps.
        circular: whether examples are loops, so that what is before the first frame is the last one.
    """

    name: str
    taps: nn.Module
    convert: Callable[[Array], Array]
    bands_per_row: int = 1
    circular: bool = False


class Discriminator(nn.Module):
    """Projected discriminator, with label projection if there are labels.

    Variables: "params" of the small discriminators; "statistics" with the vectors of their spectral norms (see
    `spectral.advance`); and "frozen" with two entries per feature network: all its variables under its name, and the
    kernels of `mixing` under its name plus "_mixing". Frozen variables are initialised at random; the trainer replaces
    the networks' by loaded weights.

    Attributes:
        shape: (freq, time, 1) of an example.
        feature_networks: the feature networks.
        num_labels: number of classes that condition the logits; 0 for none.
        chunks: number of equal parts in time that feature networks process separately.
        mixing_channels: channels of the largest mixed map; all other widths are derived from it.
        stddev_group: number of examples that share a standard deviation.
        separable: whether small discriminators use depthwise and pointwise instead of full convolutions.
        compute_dtype: dtype of feature networks, mixing and convolutions; normalisation, the minibatch standard
            deviation and the logits are in float32.

    Raises:
        BadInput: there is no feature network, or the shape does not fit one.
    """

    shape: tuple[int, int, int]
    feature_networks: tuple[FeatureNetwork, ...] = ()
    num_labels: int = 0
    chunks: int = whole(1, 2)
    mixing_channels: int = whole(1, 64)
    stddev_group: int = whole(1, 4)
    separable: bool = True
    compute_dtype: jnp.dtype = jnp.float32

    def __post_init__(self) -> None:
        check_fields(self, "discriminator")
        if not self.feature_networks:
            raise BadInput("config.feature_networks is empty; name at least one feature network.")
        for network in self.feature_networks:
            self._check_shape(network)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, labels: Array | None) -> DiscriminatorOutput:
        """Maps of logits [batch, 1, logits] in float32, higher for more real examples: SCALES per feature network.

        Args:
            x: examples [batch, freq, time, 1], float32.
            labels: one-hot or soft [batch, num_labels]; None without labels.

        Raises:
            BadInput: labels are missing, the batch does not divide into groups, or an example has the wrong shape.
        """
        if x.shape[1:] != self.shape:
            raise BadInput(f"an example is {x.shape[1:]}, but this discriminator needs {self.shape}; give that.")
        labels = check_labels(labels, self.num_labels) if self.num_labels else None
        logits = []
        for network in self.feature_networks:
            for scale, features in enumerate(self._projected(network, x)):
                small = SmallDiscriminator(
                    self.mixing_channels << SCALES - 1,
                    self.stddev_group,
                    self.separable,
                    self.compute_dtype,
                    name=f"{network.name}_{scale}",
                )
                logits.append(small(features, labels))
        return DiscriminatorOutput(logits=tuple(logits))

    def _projected(self, network: FeatureNetwork, x: Array) -> tuple[Array, ...]:
        """Mixed maps [batch, freq, time, channels] at each scale, with the chunks concatenated."""
        converted = self._filled(network, network.convert(x))
        batch, bands, frames, _ = converted.shape
        # An example's chunks stay adjacent in the batch, so that each device keeps its own examples.
        parts = converted.reshape(batch, bands, self.chunks, frames // self.chunks, 1).swapaxes(1, 2)
        parts = parts.reshape(batch * self.chunks, bands, frames // self.chunks, 1)
        taps = network.taps.clone(parent=None, compute_dtype=self.compute_dtype)
        frozen = self.variable("frozen", network.name, lambda: taps.init(self.make_rng("params"), parts[:1]))
        maps: Any = taps.apply(frozen.value, parts)
        kernels = self.variable("frozen", f"{network.name}_mixing", self._draw_mixing, maps)
        cast = functools.partial(jnp.asarray, dtype=self.compute_dtype)
        mixed = mixing.mix(jax.tree.map(cast, kernels.value), maps)
        return tuple(self._joined(part) for part in mixed)

    def _unit(self, network: FeatureNetwork, bands: int) -> int:
        """What the number of frames is a multiple of: chunks are halved at each scale, and then to _LAST rows."""
        return math.lcm(self.chunks << SCALES, bands // network.bands_per_row // _LAST)

    def _filled(self, network: FeatureNetwork, converted: Array) -> Array:
        """Input [batch, bands, frames, 1], its frames raised to a multiple of the unit by repeating those at the ends.

        A loop's other end is repeated, of other sounds the first and the last frame.
        """
        missing = -converted.shape[2] % self._unit(network, converted.shape[1])
        around = (missing // 2, missing - missing // 2)
        return jnp.pad(converted, ((0, 0), (0, 0), around, (0, 0)), mode="wrap" if network.circular else "edge")

    def _draw_mixing(self, maps: tuple[Array, ...]) -> dict[str, Array]:
        return mixing.draw(self.make_rng("params"), [part.shape[-1] for part in maps], self.mixing_channels)

    def _joined(self, x: Array) -> Array:
        """Concatenate chunks [batch * chunks, freq, time, channels] to [batch, freq, chunks * time, channels]."""
        _, freq, time, channels = x.shape
        x = x.reshape(-1, self.chunks, freq, time, channels).swapaxes(1, 2)
        return x.reshape(-1, freq, self.chunks * time, channels)

    def _check_shape(self, network: FeatureNetwork) -> None:
        """Raise a BadInput unless taps and small discriminators can halve the input exactly down to _LAST rows."""
        converted = jax.eval_shape(network.convert, jax.ShapeDtypeStruct((1, *self.shape), jnp.float32))
        _, bands, frames, channels = converted.shape
        if channels != 1:
            raise BadInput(
                f"an example has {channels} channels, but the feature network {network.name} needs one; choose a"
                " representation of magnitudes."
            )
        size = (
            f"an example of {self.shape[0]}x{self.shape[1]} is {bands} bands x {frames} frames to the feature network"
            f" {network.name};"
        )
        rows, rest = divmod(bands, network.bands_per_row)
        # Mixed maps have 1 / 8 of the rows at the lowest scale.
        if rest or rows < _LAST << SCALES - 1 or rows.bit_count() != 1:
            times = f"{network.bands_per_row} times " if network.bands_per_row > 1 else ""
            least = network.bands_per_row * (_LAST << SCALES - 1)
            raise BadInput(f"{size} the bands must be {times}a power of two, at least {least}.")
        if frames < rows:
            raise BadInput(
                f"{size} the frames must be at least as many as the rows; change the representation, or set"
                f" config.feature_networks.{network.name}.input to normalized."
            )


class SmallDiscriminator(nn.Module):
    """Blocks that halve both axes down to four rows, a minibatch standard deviation, and a convolution to logits.

    Attributes:
        width: channels at four rows; halved with each doubling of the rows, down to an eighth.
        stddev_group: number of examples that share a standard deviation.
        separable: whether blocks use depthwise and pointwise instead of full convolutions.
        compute_dtype: dtype of all convolutions except the last; everything else is float32.
    """

    width: int
    stddev_group: int
    separable: bool
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, labels: Array | None = None) -> Array:
        """Logits [batch, 1, logits] in float32, from [batch, freq, time, channels] with freq 4 * 2^n.

        With labels [batch, labels], each logit also has the product of the label's direction with the features that it
        is of (Miyato and Koyama 2018, eq. 3).
        """
        number = 0
        while x.shape[1] > _LAST:
            doublings = (x.shape[1] // (2 * _LAST)).bit_length() - 1
            features = self.width >> min(doublings, SCALES - 1)
            x = DownBlock(features, self.separable, self.compute_dtype, name=f"block_{number}")(x)
            number += 1
        x = minibatch_stddev(x.astype(jnp.float32), self.stddev_group)
        kernel = Kernel((_LAST, _LAST, x.shape[-1], 1), name="score")()
        logits = correlate(x, kernel, Geometry())[..., 0]
        if labels is None:
            return logits
        directions = Kernel((1, 1, labels.shape[1], x.shape[-1]), name="label")()[0, 0]
        along = jnp.einsum("bftc,bc->bft", x, labels @ directions) / math.sqrt(x.shape[-1])
        places = along.shape[2] - _LAST + 1
        # The mean over the cells that a logit's kernel covers.
        means = jnp.stack([along[:, :, k : k + places] for k in range(_LAST)]).mean(axis=(0, 2))
        return logits + means[:, None]


class DownBlock(nn.Module):
    """Convolution with spectral normalisation, batch normalisation and leaky ReLU, at half the size.

    Attributes:
        features: channels of the output.
        separable: 3 x 3 depthwise, then pointwise, then 2 x 2 average pooling; else 4 x 4 with stride 2.
    """

    features: int
    separable: bool
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, freq / 2, time / 2, features] in `compute_dtype`, from [batch, freq, time, channels]."""
        channels, x = x.shape[-1], x.astype(self.compute_dtype)
        if self.separable:
            x = depthwise(x, Kernel((3, 3, 1, channels), name="depthwise")().astype(self.compute_dtype))
            kernel = Kernel((1, 1, channels, self.features), name="pointwise")().astype(self.compute_dtype)
            x = convolve(x, kernel)
        else:
            kernel = Kernel((4, 4, channels, self.features), name="convolution")().astype(self.compute_dtype)
            x = correlate(x, kernel, Geometry((2, 2), ((1, 1), (1, 1))))
        x = jax.nn.leaky_relu(BatchNormalization(name="normalization")(x.astype(jnp.float32)), LEAK)
        x = average_pool(x, (x.shape[1] // 2, x.shape[2] // 2)) if self.separable else x
        return x.astype(self.compute_dtype)


class BatchNormalization(nn.Module):
    """Batch normalisation with scale and bias, always by the batch's own statistics, without running averages.

    The batch is the call's batch over all devices, or a micro-batch with gradient accumulation.
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Normalised x [batch, freq, time, channels], float32."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        variance, mean = jnp.var(x, axis=(0, 1, 2)), jnp.mean(x, axis=(0, 1, 2))
        return (x - mean) * (jax.lax.rsqrt(variance + 1e-5) * scale) + bias
