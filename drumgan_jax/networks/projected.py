"""The discriminator of a projected GAN: frozen feature networks, random mixing, and a small discriminator a scale.

Sauer et al. 2021, "Projected GANs converge faster", as Yeh, Chen and Yang 2022 have it for sound ("Exploiting
pre-trained feature networks for generative adversarial networks in audio-domain loop generation", section 4): an
example is cut into chunks of the length that feature networks know, and each scale's maps of the chunks are joined
again. They are joined along time, where chunks meet; the release joins them along the bands.
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
from drumgan_jax.networks.convolution import DIMENSIONS
from drumgan_jax.networks.depthwise import depthwise
from drumgan_jax.networks.growing import average_pool
from drumgan_jax.networks.layers import LEAK, minibatch_stddev
from drumgan_jax.networks.spectral import Kernel

SCALES = 4
# Rows that a small discriminator ends with, and the side of its last kernel.
_LAST = 4


class FeatureNetwork(NamedTuple):
    """A network whose features are looked at.

    Attributes:
        name: what its variables are called.
        taps: from [batch, bands, frames, 1] to SCALES maps [batch, bands / 2^k, frames / 2^k, channels], k from 1 on,
            in its `compute_dtype`.
        convert: from examples [batch, freq, time, 1] to its input [batch, bands, frames, 1], differentiable, hashable.
    """

    name: str
    taps: nn.Module
    convert: Callable[[Array], Array]


class Discriminator(nn.Module):
    """Projected discriminator without labels.

    Variables: "params" of the small discriminators; "statistics" with their spectral norms' vectors (see
    `spectral.advance`); and "frozen", with an entry for each feature network by its name, its whole variables, and one
    by that name and "_mixing", the kernels of `mixing`. What is frozen is random where it is initialised; whoever
    trains puts loaded weights in its place.

    Attributes:
        shape: (freq, time, 1) of an example.
        features: the feature networks.
        num_labels: 0: scores know no labels.
        chunks: equal parts of the time that feature networks are shown one by one.
        mixing_channels: channels of the largest mixed map; all other widths follow from it.
        stddev_group: examples that share one standard deviation.
        separable: small discriminators of depthwise and pointwise instead of whole convolutions.
        compute_dtype: what feature networks, mixing and convolutions run in; normalisation, the minibatch's standard
            deviation and the scores are in float32.

    Raises:
        BadInput: there are labels or no feature network, or the shape does not fit a feature network.
    """

    shape: tuple[int, int, int]
    features: tuple[FeatureNetwork, ...] = ()
    num_labels: int = 0
    chunks: int = whole(1, 2)
    mixing_channels: int = whole(1, 64)
    stddev_group: int = whole(1, 4)
    separable: bool = True
    compute_dtype: jnp.dtype = jnp.float32

    def __post_init__(self) -> None:
        if self.num_labels:
            raise BadInput(
                f"the projected discriminator scores without labels, of which there are {self.num_labels}; set"
                " config.task.conditional to false."
            )
        check_fields(self, "discriminator")
        if not self.features:
            raise BadInput("config.feature_networks is empty; name at least one feature network.")
        for network in self.features:
            self._check_shape(network)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, labels: Array | None) -> DiscriminatorOutput:
        """Score maps [batch, 1, scores] in float32, higher is more real: SCALES for each feature network, in order.

        Args:
            x: examples [batch, freq, time, 1], float32.
            labels: not looked at.

        Raises:
            BadInput: the batch does not divide into groups, or an example is of another shape.
        """
        if x.shape[1:] != self.shape:
            raise BadInput(f"an example is {x.shape[1:]}, but this discriminator looks at {self.shape}; give that.")
        scores = []
        for network in self.features:
            for scale, features in enumerate(self._projected(network, x)):
                small = SmallDiscriminator(
                    self.mixing_channels << SCALES - 1,
                    self.stddev_group,
                    self.separable,
                    self.compute_dtype,
                    name=f"{network.name}_{scale}",
                )
                scores.append(small(features))
        return DiscriminatorOutput(logits=tuple(scores))

    def _projected(self, network: FeatureNetwork, x: Array) -> tuple[Array, ...]:
        """Mixed maps [batch, freq, time, channels] of each scale, whole again."""
        seen = network.convert(x)
        batch, bands, frames, _ = seen.shape
        # Chunks of one example stay side by side in the batch, so that a device keeps its own examples.
        cut = seen.reshape(batch, bands, self.chunks, frames // self.chunks, 1).swapaxes(1, 2)
        cut = cut.reshape(batch * self.chunks, bands, frames // self.chunks, 1)
        taps = network.taps.clone(parent=None, compute_dtype=self.compute_dtype)
        frozen = self.variable("frozen", network.name, lambda: taps.init(self.make_rng("params"), cut[:1]))
        maps: Any = taps.apply(frozen.value, cut)
        kernels = self.variable("frozen", f"{network.name}_mixing", self._draw_mixing, maps)
        cast = functools.partial(jnp.asarray, dtype=self.compute_dtype)
        mixed = mixing.mix(jax.tree.map(cast, kernels.value), maps)
        return tuple(self._joined(part) for part in mixed)

    def _draw_mixing(self, maps: tuple[Array, ...]) -> dict[str, Array]:
        return mixing.draw(self.make_rng("params"), [part.shape[-1] for part in maps], self.mixing_channels)

    def _joined(self, x: Array) -> Array:
        """[batch, freq, chunks * time, channels] of [batch * chunks, freq, time, channels]."""
        _, freq, time, channels = x.shape
        x = x.reshape(-1, self.chunks, freq, time, channels).swapaxes(1, 2)
        return x.reshape(-1, freq, self.chunks * time, channels)

    def _check_shape(self, network: FeatureNetwork) -> None:
        """Refuse what taps and small discriminators do not halve exactly down to _LAST rows."""
        seen = jax.eval_shape(network.convert, jax.ShapeDtypeStruct((1, *self.shape), jnp.float32))
        _, bands, frames, channels = seen.shape
        if channels != 1:
            raise BadInput(
                f"an example has {channels} channels, but the feature network {network.name} looks at one; take a"
                " representation of magnitudes."
            )
        told = (
            f"an example of {self.shape[0]}x{self.shape[1]} is {bands} bands x {frames} frames to the feature network"
            f" {network.name};"
        )
        # Mixed maps have 1 / 8 of the bands at the lowest scale.
        if bands < _LAST << SCALES - 1 or bands.bit_count() != 1:
            raise BadInput(f"{told} the bands must be a power of two from {_LAST << SCALES - 1} on.")
        unit = math.lcm(self.chunks << SCALES, bands // _LAST)
        if frames % unit or frames < bands:
            raise BadInput(
                f"{told} cut into discriminator.chunks={self.chunks}, the frames must be a multiple of {unit} and no"
                f" fewer than the bands; change the representation, or set config.feature_networks.{network.name}.input"
                " to normalized."
            )


class SmallDiscriminator(nn.Module):
    """Blocks that halve both axes down to four rows, a minibatch standard deviation, and one convolution to scores.

    Attributes:
        width: channels at four rows; half as many at twice the rows, and so on down to an eighth.
        stddev_group: examples that share one standard deviation.
        separable: blocks of depthwise and pointwise instead of whole convolutions.
        compute_dtype: what convolutions run in but the last; everything else is float32.
    """

    width: int
    stddev_group: int
    separable: bool
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Scores [batch, 1, scores] in float32 of [batch, freq, time, channels], freq four or that doubled."""
        number = 0
        while x.shape[1] > _LAST:
            doublings = (x.shape[1] // (2 * _LAST)).bit_length() - 1
            features = self.width >> min(doublings, SCALES - 1)
            x = DownBlock(features, self.separable, self.compute_dtype, name=f"block_{number}")(x)
            number += 1
        x = minibatch_stddev(x.astype(jnp.float32), self.stddev_group)
        kernel = Kernel((_LAST, _LAST, x.shape[-1], 1), name="score")()
        scores = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=DIMENSIONS)
        return scores[..., 0]


class DownBlock(nn.Module):
    """Convolution with spectral normalisation, batch normalisation, leaky rectifier; half the size.

    Attributes:
        features: channels of the output.
        separable: 3 x 3 depthwise, then pointwise, then means of 2 x 2; else 4 x 4 at every second place.
    """

    features: int
    separable: bool
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, freq / 2, time / 2, features] in `compute_dtype`, of [batch, freq, time, channels]."""
        channels, x = x.shape[-1], x.astype(self.compute_dtype)
        if self.separable:
            x = depthwise(x, Kernel((3, 3, 1, channels), name="depthwise")().astype(self.compute_dtype))
            kernel = Kernel((1, 1, channels, self.features), name="pointwise")().astype(self.compute_dtype)
            # As one product of matrices, whose gradient by the kernel is twice as fast on CPU as a convolution's.
            x = jnp.dot(x.reshape(-1, channels), kernel[0, 0]).reshape(*x.shape[:3], self.features)
        else:
            kernel = Kernel((4, 4, channels, self.features), name="convolution")().astype(self.compute_dtype)
            x = jax.lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=DIMENSIONS)
        x = jax.nn.leaky_relu(BatchNormalization(name="normalization")(x.astype(jnp.float32)), LEAK)
        x = average_pool(x, (x.shape[1] // 2, x.shape[2] // 2)) if self.separable else x
        return x.astype(self.compute_dtype)


class BatchNormalization(nn.Module):
    """Each channel to mean 0 and variance 1 over the batch, then scale and bias; nothing is kept for later.

    The batch is the one of the call, over all devices: where gradients are accumulated, a micro-batch.
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, freq, time, channels] of the same, float32."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        variance, mean = jnp.var(x, axis=(0, 1, 2)), jnp.mean(x, axis=(0, 1, 2))
        return (x - mean) * (jax.lax.rsqrt(variance + 1e-5) * scale) + bias
