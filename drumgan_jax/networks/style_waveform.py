"""A style-based generator of waveforms and its discriminator (Drysdale et al. 2021, "Style-based drum synthesis").

Weights are plain, without equalised learning rate. What leads to a rectifier starts from He's normal distribution (He
et al. 2015), what does not (styles, output and score) from LeCun's.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.networks.layers import LEAK
from drumgan_jax.networks.mapping import StyleGenerator, check_labels, normalize_second_moment
from drumgan_jax.networks.noise import resolve_noise
from drumgan_jax.networks.waveform_layers import (
    WIDTH,
    adaptive_normalization,
    down_convolution,
    same_convolution,
    shuffle_phase,
    up_convolution,
)

HE = nn.initializers.he_normal()


def num_doublings(shape: tuple[int, int, int], base: int) -> int:
    """How often `base` samples double to give the waveform [1, samples, channels] of `shape`.

    Raises:
        BadInput: `shape` is no waveform, or no number of doublings from 1 on gives it; the message says what fits.
    """
    if shape[0] != 1:
        raise BadInput(
            f"an example of {shape[0]}x{shape[1]} is no waveform; style_waveform needs representation waveform."
        )
    for doublings in range(1, 32):
        if base << doublings == shape[1]:
            return doublings
    nearest = max(2, round(math.log2(max(1, shape[1]) / max(1, base))))
    fits = [str(base << doublings) for doublings in range(nearest - 1, nearest + 2)]
    raise BadInput(
        f"a waveform of {shape[1]} samples is not the base of {base} doubled; change representation.num_samples to "
        f"{', '.join(fits[:-1])} or {fits[-1]}, or change base."
    )


def layer_widths(
    shape: tuple[int, int, int], base: int, channel_base: int, channel_min: int, channel_max: int
) -> list[int]:
    """Channels after 0, 1, ... doublings of `base` up to `shape`: halved at each, within the bounds."""
    levels = range(num_doublings(shape, base) + 1)
    return [min(max(1, channel_base >> level, channel_min), channel_max) for level in levels]


class Mapping(nn.Module):
    """Conditional mapping network: z joined with an embedding of the label, then dense layers with leaky rectifiers.

    Attributes:
        w_dim: size of w and of the hidden layers.
        num_layers: dense layers.
        num_labels: classes; 0 for none.
        label_embedding: size of the label's embedding, normal at the start.
    """

    w_dim: int
    num_layers: int
    num_labels: int
    label_embedding: int

    @nn.compact
    def __call__(self, z: Array, labels: Array | None) -> Array:
        """Latents w [batch, w_dim].

        Args:
            z: [batch, z_dim], brought to unit second moment here. The release divides by the mean square instead of its
                root; on normal z the two are nearly the same.
            labels: one-hot or soft [batch, num_labels], which mix the embeddings; ignored where there are no labels.

        Raises:
            BadInput: labels are missing or of another number.
        """
        x = normalize_second_moment(z)
        if self.num_labels:
            table = self.param("embedding", nn.initializers.normal(1.0), (self.num_labels, self.label_embedding))
            embedded = jnp.dot(check_labels(labels, self.num_labels), table, precision=jax.lax.Precision.HIGHEST)
            x = jnp.concatenate([x, embedded], axis=-1)
        for i in range(self.num_layers):
            dense = nn.Dense(self.w_dim, kernel_init=HE, precision=jax.lax.Precision.HIGHEST, name=f"dense_{i}")
            x = jax.nn.leaky_relu(dense(x), LEAK)
        return x


class StyledLayer(nn.Module):
    """Convolution, noise, leaky rectifier, and adaptive instance normalisation by w.

    The noise starts at strength 0, a channel's scale and bias at about 1 and 0, each off by a linear function of w.

    Attributes:
        features: channels of the output.
        up: double the length before the convolution, by repeating samples.
    """

    features: int
    up: bool
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, w: Array, noise: Array | None) -> Array:
        """Activations [batch, 1, time, features] in float32.

        Args:
            x: [batch, 1, time, in]; half as long where `up`.
            w: [batch, w_dim].
            noise: [batch, 1, time, 1], or None for none.
        """
        kernel = self.param("kernel", HE, (1, WIDTH, x.shape[-1], self.features))
        strength = self.param("noise_strength", nn.initializers.zeros, (self.features,))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x = (up_convolution if self.up else same_convolution)(x.astype(self.compute_dtype), kernel)
        x = x.astype(jnp.float32)
        if noise is not None:
            x = x + strength * noise
        x = jax.nn.leaky_relu(x + bias, LEAK)
        style = nn.Dense(2 * self.features, precision=jax.lax.Precision.HIGHEST, name="style")(w)
        return adaptive_normalization(x, 1 + style[:, : self.features], style[:, self.features :])


class Generator(StyleGenerator):
    """From z to a waveform: a learned constant, doubled by blocks of two styled layers that read one w.

    Variables: "params", and "statistics" with the running mean of w; see `mapping.StyleGenerator`.

    Attributes:
        shape: (1, samples, channels) of an example; samples are `base` doubled.
        mapping_layers: dense layers of the mapping. The paper's release has 8 and connects 3 of them by mistake.
        label_embedding: size of the label's embedding in the mapping.
        base: samples of the learned constant.
        channel_base: channels times 2^level, within `channel_min` and `channel_max`.
    """

    z_dim: int = 128
    w_dim: int = 128
    label_embedding: int = 50
    base: int = 16
    channel_base: int = 1024
    channel_min: int = 4
    channel_max: int = 1024
    style_mixing: float = 1.0

    def __post_init__(self) -> None:
        num_doublings(self.shape, self.base)
        super().__post_init__()

    @property
    def num_ws(self) -> int:
        """Blocks, each of which reads a w of its own."""
        return num_doublings(self.shape, self.base)

    @property
    def noise_sizes(self) -> tuple[tuple[int, int], ...]:
        """(1, samples) of the noise of each layer, two a block."""
        return tuple((1, self.base << 1 + i // 2) for i in range(2 * self.num_ws))

    def setup(self) -> None:
        self.make_average()
        self.mapping = Mapping(self.w_dim, self.mapping_layers, self.num_labels, self.label_embedding)
        widths = layer_widths(self.shape, self.base, self.channel_base, self.channel_min, self.channel_max)
        self.constant = self.param("constant", nn.initializers.normal(1.0), (1, self.base, widths[0]))
        self.up = [StyledLayer(features, True, self.compute_dtype) for features in widths[1:]]
        self.same = [StyledLayer(features, False, self.compute_dtype) for features in widths[1:]]
        self.output_kernel = self.param(
            "output_kernel", nn.initializers.lecun_normal(), (1, WIDTH, widths[-1], self.shape[2])
        )
        self.output_bias = self.param("output_bias", nn.initializers.zeros, (self.shape[2],))

    def synthesize(self, ws: Array, noise: Array | Sequence[Array] | None) -> Array:
        """Examples [batch, 1, samples, channels] in float32, within -1 .. 1; see parts.Generator."""
        batch = ws.shape[0]
        noises = resolve_noise(noise, batch, self.noise_sizes)
        x = jnp.broadcast_to(self.constant, (batch, *self.constant.shape))
        for i, (up, same) in enumerate(zip(self.up, self.same, strict=True)):
            x = up(x, ws[:, i], noises[2 * i])
            x = same(x, ws[:, i], noises[2 * i + 1])
        x = same_convolution(x.astype(self.compute_dtype), self.output_kernel)
        return jnp.tanh(x.astype(jnp.float32) + self.output_bias)


class Trunk(nn.Module):
    """Convolutions that halve a waveform down to `base` samples, with leaky rectifiers and phase shuffle between them.

    Attributes:
        widths: channels at `base` samples, at twice as many, ...; the last is not read.
        phase_shuffle: most samples by which activations are shifted; 0 for none.
    """

    widths: Sequence[int]
    phase_shuffle: int = 0
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, key: Array | None = None) -> Array:
        """Features [batch, base * widths[0]] in float32.

        Args:
            x: [batch, 1, samples, channels].
            key: draws the shifts, of each example and layer its own; None for none.
        """
        layers = len(self.widths) - 1
        limit = self.phase_shuffle
        shifts = None if key is None else jax.random.randint(key, (x.shape[0], layers - 1), -limit, limit + 1)
        for i, features in enumerate(reversed(self.widths[:-1])):
            kernel = self.param(f"kernel_{i}", HE, (1, WIDTH, x.shape[-1], features))
            bias = self.param(f"bias_{i}", nn.initializers.zeros, (features,))
            x = down_convolution(x.astype(self.compute_dtype), kernel).astype(jnp.float32)
            x = jax.nn.leaky_relu(x + bias, LEAK)
            if shifts is not None and i < layers - 1:
                x = shuffle_phase(x, shifts[:, i])
        return x.reshape(x.shape[0], -1)


class Discriminator(nn.Module):
    """Mirrored convolutions to one score; the label is a second channel of the input.

    That channel is a learned waveform of each class, mixed by soft labels. The release makes it by an embedding of 50
    and a dense layer, which reach the same channels of up to 50 classes with more parameters.

    Phase shuffle reads the random collection "phase"; without it nothing is shifted.

    Attributes:
        shape: (1, samples, channels) of an example; samples are `base` doubled.
        num_labels: classes that condition the score; 0 for none.
        base: samples of the last feature map.
        channel_base: channels times 2^level, within `channel_min` and `channel_max`.
        phase_shuffle: most samples by which activations are shifted, after each convolution but the last.
        compute_dtype: what convolutions run in; everything else is float32.

    Raises:
        BadInput: the shape does not fit, or the shuffle is out of range.
    """

    shape: tuple[int, int, int]
    num_labels: int = 0
    base: int = 16
    channel_base: int = 1024
    channel_min: int = 4
    channel_max: int = 1024
    phase_shuffle: int = 2
    compute_dtype: jnp.dtype = jnp.float32

    def __post_init__(self) -> None:
        num_doublings(self.shape, self.base)
        if not 0 <= self.phase_shuffle < 2 * self.base:
            raise BadInput(
                f"config.discriminator.phase_shuffle is {self.phase_shuffle}; it must be 0 or more and below the "
                f"{2 * self.base} samples of the shortest activations it shifts."
            )
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, labels: Array | None) -> DiscriminatorOutput:
        """Scores [batch], higher is more real.

        Args:
            x: examples [batch, 1, samples, channels], float32.
            labels: one-hot or soft [batch, num_labels]; None where there are no labels.

        Raises:
            BadInput: labels are missing or of another number.
        """
        if self.num_labels:
            # About as loud as sounds are.
            table = self.param("label_waveforms", nn.initializers.normal(0.1), (self.num_labels, self.shape[1]))
            channel = jnp.dot(check_labels(labels, self.num_labels), table, precision=jax.lax.Precision.HIGHEST)
            x = jnp.concatenate([x, channel[:, None, :, None]], axis=-1)
        widths = layer_widths(self.shape, self.base, self.channel_base, self.channel_min, self.channel_max)
        key = self.make_rng("phase") if self.phase_shuffle and self.has_rng("phase") else None
        x = Trunk(tuple(widths), self.phase_shuffle, self.compute_dtype, name="trunk")(x, key)
        return DiscriminatorOutput(logits=(nn.Dense(1, precision=jax.lax.Precision.HIGHEST, name="score")(x)[:, 0],))
