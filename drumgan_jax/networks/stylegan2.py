"""StyleGAN2 for spectrograms of any aspect ratio and number of channels (Karras et al. 2020, configuration F)."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.core.settings import MOST_FEATURES, real, sizes, whole, width
from drumgan_jax.networks.layers import Convolution, Dense, minibatch_stddev
from drumgan_jax.networks.mapping import Mapping, StyleGenerator
from drumgan_jax.networks.modulated import StyledConvolution, ToOutput
from drumgan_jax.networks.noise import resolve_noise
from drumgan_jax.networks.resampling import upsample

# Dense layers that map a label to its projection vector in the discriminator, as in the reference.
LABEL_LAYERS = 8


def num_doublings(shape: tuple[int, int, int], base: tuple[int, int]) -> int:
    """Number of doublings from `base` to the freq and time of `shape`, or to as little more as there can be.

    Args:
        shape: (freq, time, channels) of an example.
        base: (freq, time) of the smallest feature map: an example's, halved so often and rounded up.

    Raises:
        BadInput: no number of doublings gives the shape; the message lists shapes that fit.
    """
    for doublings in range(32):
        if tuple(base) == (-(-shape[0] >> doublings), -(-shape[1] >> doublings)):
            return doublings
    nearest = max(0, round(math.log2(max(1, *shape[:2]) / max(1, *base))))
    fits = [f"{base[0] << k}x{base[1] << k}" for k in range(max(0, nearest - 1), nearest + 2)]
    raise BadInput(
        f"an example of {shape[0]}x{shape[1]} is not the base {base[0]}x{base[1]} doubled equally often on both axes; "
        f"change the representation to {', '.join(fits[:-1])} or {fits[-1]}, or change base."
    )


def excess(shape: tuple[int, int, int], base: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Rows and columns that the doubled base has before and after an example's: ((before, after), (before, after))."""
    doublings = num_doublings(shape, base)
    missing = [(base[axis] << doublings) - shape[axis] for axis in range(2)]
    return tuple((each // 2, each - each // 2) for each in missing)


def layer_widths(shape: tuple[int, int, int], base: tuple[int, int], channel_base: int, channel_max: int) -> list[int]:
    """Channels after 0, 1, ... doublings of `base` up to `shape`, by the reference's rule with `base` as its 4 x 4."""
    levels = range(num_doublings(shape, base) + 1)
    return [max(1, min(channel_base // (4 << level), channel_max)) for level in levels]


class SynthesisBlock(nn.Module):
    """One resolution of the generator: styled convolutions and an output skip.

    Attributes:
        features: channels at this resolution.
        channels: channels of the example.
        up: whether the first convolution doubles both axes, as in all blocks above the base.
    """

    features: int
    channels: int
    up: bool
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, image: Array | None, ws: Array, noises: Sequence[Array | None]) -> tuple[Array, Array]:
        """Activations [batch, freq, time, features] and image [batch, freq, time, channels] at this resolution.

        Args:
            x: activations of the block below, half as large if `up`.
            image: sum of the output skips so far, half as large; None at the base.
            ws: latents of the block's layers [batch, convolutions + 1, w_dim].
            noises: noise of each convolution [batch, freq, time, 1], or None for no noise.
        """
        for i in range(len(noises)):
            name, up = ("up", True) if self.up and i == 0 else ("same", False)
            x = StyledConvolution(self.features, up, self.compute_dtype, name=name)(x, ws[:, i], noises[i])
        summand = ToOutput(self.channels, self.compute_dtype, name="output")(x, ws[:, len(noises)])
        return x, summand if image is None else upsample(image) + summand


class Generator(StyleGenerator):
    """Style-based generator with output skips.

    Variables: "params", and "statistics" with the running mean of w; see `mapping.StyleGenerator`.

    Attributes:
        shape: (freq, time, channels) of an example: the middle of `base`, doubled equally often; see `num_doublings`.
        mapping_lr_multiplier: learning rate of the mapping layers relative to the optimiser's.
        base: (freq, time) of the learned constant.
        channel_base: a level has channel_base / (4 * 2^level) channels, at most `channel_max`.
        channel_max: largest number of channels of any layer.
        rematerialize: recompute each block's activations in the backward pass instead of keeping them.
    """

    mapping_lr_multiplier: float = real(0.0, 100.0, 0.01, above=True)
    base: tuple[int, int] = sizes((4, 8), count=2, most=MOST_FEATURES)
    channel_base: int = whole(1, 32768)
    channel_max: int = width(512)
    rematerialize: bool = False

    def __post_init__(self) -> None:
        num_doublings(self.shape, self.base)
        super().__post_init__()

    @property
    def num_ws(self) -> int:
        """Number of layers with their own w: one per convolution, and the last output layer."""
        return 2 * num_doublings(self.shape, self.base) + 2

    @property
    def noise_sizes(self) -> tuple[tuple[int, int], ...]:
        """(freq, time) of each convolution's noise."""
        return tuple((self.base[0] << (i + 1) // 2, self.base[1] << (i + 1) // 2) for i in range(self.num_ws - 1))

    def setup(self) -> None:
        self.make_average()
        self.mapping = Mapping(self.w_dim, self.mapping_layers, self.num_labels, self.mapping_lr_multiplier)
        block = nn.remat(SynthesisBlock) if self.rematerialize else SynthesisBlock
        widths = layer_widths(self.shape, self.base, self.channel_base, self.channel_max)
        self.constant = self.param("constant", nn.initializers.normal(1.0), (*self.base, widths[0]))
        self.blocks = [
            block(features, self.shape[2], level > 0, self.compute_dtype) for level, features in enumerate(widths)
        ]

    def synthesize(self, ws: Array, noise: Array | Sequence[Array] | None) -> Array:
        """Examples [batch, freq, time, channels] in float32; see parts.Generator."""
        batch = ws.shape[0]
        noises = resolve_noise(noise, batch, self.noise_sizes)
        x = jnp.broadcast_to(self.constant, (batch, *self.constant.shape)).astype(self.compute_dtype)
        x, image = self.blocks[0](x, None, ws[:, :2], noises[:1])
        for level, block in enumerate(self.blocks[1:], start=1):
            first = 2 * level - 1
            # The block's output layer shares its w with the next block's first convolution.
            x, image = block(x, image, ws[:, first : first + 3], noises[first : first + 2])
        (top, _), (left, _) = excess(self.shape, self.base)
        return image[:, top : top + self.shape[0], left : left + self.shape[1]]


class DiscriminatorBlock(nn.Module):
    """Residual block that halves both axes.

    Attributes:
        features: channels of the input.
        next_features: channels of the output.
    """

    features: int
    next_features: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Activations [batch, freq / 2, time / 2, next_features] from [batch, freq, time, features]."""
        half, dtype = math.sqrt(0.5), self.compute_dtype
        skip = Convolution(self.next_features, 1, True, half, True, compute_dtype=dtype, name="skip")(x)
        x = Convolution(self.features, compute_dtype=dtype, name="same")(x)
        return skip + Convolution(self.next_features, down=True, gain=half, compute_dtype=dtype, name="down")(x)


class Discriminator(nn.Module):
    """Residual discriminator with minibatch standard deviation and, if there are labels, label projection.

    Attributes:
        shape: (freq, time, channels) of an example; at its ends it is repeated to `base`, doubled equally often.
        num_labels: number of classes that condition the logits; 0 for none.
        channel_base: a level has channel_base / (4 * 2^level) channels, at most `channel_max`.
        channel_max: largest number of channels of any layer.
        stddev_group: number of examples that share a standard deviation.
        base: (freq, time) of the smallest feature map.
        compute_dtype: dtype of all convolutions except the last; everything else is float32.
        rematerialize: recompute each block's activations in the backward pass instead of keeping them.
    """

    shape: tuple[int, int, int]
    num_labels: int = 0
    channel_base: int = whole(1, 32768)
    channel_max: int = width(512)
    stddev_group: int = whole(1, 4)
    base: tuple[int, int] = sizes((4, 8), count=2, most=MOST_FEATURES)
    compute_dtype: jnp.dtype = jnp.float32
    rematerialize: bool = False

    def __post_init__(self) -> None:
        num_doublings(self.shape, self.base)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, labels: Array | None) -> DiscriminatorOutput:
        """Logits [batch], higher for more real examples.

        Args:
            x: examples [batch, freq, time, channels], float32.
            labels: one-hot or soft [batch, num_labels]; None without labels.

        Raises:
            BadInput: labels are missing, or the batch does not divide into groups.
        """
        block = nn.remat(DiscriminatorBlock) if self.rematerialize else DiscriminatorBlock
        widths = layer_widths(self.shape, self.base, self.channel_base, self.channel_max)
        x = jnp.pad(x, ((0, 0), *excess(self.shape, self.base), (0, 0)), mode="edge")
        x = Convolution(widths[-1], 1, compute_dtype=self.compute_dtype, name="input")(x)
        for level in range(len(widths) - 1, 0, -1):
            x = block(widths[level], widths[level - 1], self.compute_dtype, name=f"block_{level}")(x)
        x = minibatch_stddev(x.astype(jnp.float32), self.stddev_group)
        x = Convolution(widths[0], name="last")(x)
        x = Dense(widths[0], activate=True, name="dense")(x.reshape(x.shape[0], -1))
        if not self.num_labels:
            return DiscriminatorOutput(logits=(Dense(1, name="score")(x)[:, 0],))
        x = Dense(widths[0], name="score")(x)
        direction = Mapping(widths[0], LABEL_LAYERS, self.num_labels, name="label_mapping")(None, labels)
        return DiscriminatorOutput(logits=(jnp.sum(x * direction, axis=-1) / math.sqrt(widths[0]),))
