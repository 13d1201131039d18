"""Style-based waveform generator and discriminator (Drysdale et al. 2021, "Style-based drum synthesis").

Weights have no equalised learning rate. Layers before a leaky ReLU are initialised from He's normal distribution (He
et al. 2015), the others (styles, output and logit) from LeCun's.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.core.settings import MOST_FEATURES, real, whole, width
from drumgan_jax.networks.layers import LEAK
from drumgan_jax.networks.mapping import LabelProjection, StyleGenerator, check_labels, normalize_second_moment
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
    """Number of doublings from `base` samples to the waveform `shape` (1, samples, channels).

    Raises:
        BadInput: `shape` is not a waveform, or `base` does not double to it; the message lists lengths that fit.
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
    """Channels after 0, 1, ... doublings of `base` up to `shape`, halved each time and clamped to the bounds."""
    levels = range(num_doublings(shape, base) + 1)
    return [min(max(1, channel_base >> level, channel_min), channel_max) for level in levels]


class Mapping(nn.Module):
    """Conditional mapping network: z concatenated with a label embedding, then dense layers with leaky ReLU.

    Attributes:
        w_dim: size of w and of the hidden layers.
        num_layers: number of dense layers.
        num_labels: number of classes; 0 for none.
        label_embedding: size of the label embedding, which is initialised from a normal distribution.
    """

    w_dim: int
    num_layers: int
    num_labels: int
    label_embedding: int

    @nn.compact
    def __call__(self, z: Array, labels: Array | None) -> Array:
        """Latents w [batch, w_dim].

        Args:
            z: [batch, z_dim], normalised here to unit second moment. The release divides by the mean square instead of
                its root; for normal z the two are nearly the same.
            labels: one-hot or soft [batch, num_labels], the weights of the embeddings; ignored without labels.

        Raises:
            BadInput: labels are missing or have the wrong shape.
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
    """Convolution, noise, leaky ReLU, and adaptive instance normalisation conditioned on w.

    The noise strength is initialised to 0. A channel's scale and bias are 1 and 0 plus a linear function of w.

    Attributes:
        features: channels of the output.
        up: whether samples are repeated before the convolution, which doubles the length.
    """

    features: int
    up: bool
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, w: Array, noise: Array | None) -> Array:
        """Activations [batch, 1, time, features] in float32.

        Args:
            x: [batch, 1, time, in]; half as long if `up`.
            w: [batch, w_dim].
            noise: [batch, 1, time, 1], or None for no noise.
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
    """Generator from z to a waveform: a learned constant, upsampled by blocks of two styled layers with one w each.

    Variables: "params", and "statistics" with the running mean of w; see `mapping.StyleGenerator`.

    Attributes:
        shape: (1, samples, channels) of an example; samples are `base`, doubled repeatedly.
        mapping_layers: number of dense layers in the mapping. The paper's release has 8 but by mistake connects only 3.
        label_embedding: size of the mapping's label embedding.
        base: length of the learned constant in samples.
        channel_base: a level has channel_base / 2^level channels, within `channel_min` and `channel_max`.
    """

    z_dim: int = width(128)
    w_dim: int = width(128)
    label_embedding: int = width(50)
    base: int = width(16)
    channel_base: int = whole(1, 1024)
    channel_min: int = width(4)
    channel_max: int = width(1024)
    style_mixing: float = real(0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        num_doublings(self.shape, self.base)
        super().__post_init__()

    @property
    def num_ws(self) -> int:
        """Number of blocks, each with its own w."""
        return num_doublings(self.shape, self.base)

    @property
    def noise_sizes(self) -> tuple[tuple[int, int], ...]:
        """(1, samples) of each layer's noise, two layers per block."""
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
        """Generate examples [batch, 1, samples, channels] in float32 within [-1, 1]; see parts.Generator."""
        batch = ws.shape[0]
        noises = resolve_noise(noise, batch, self.noise_sizes)
        x = jnp.broadcast_to(self.constant, (batch, *self.constant.shape))
        for i, (up, same) in enumerate(zip(self.up, self.same, strict=True)):
            x = up(x, ws[:, i], noises[2 * i])
            x = same(x, ws[:, i], noises[2 * i + 1])
        x = same_convolution(x.astype(self.compute_dtype), self.output_kernel)
        return jnp.tanh(x.astype(jnp.float32) + self.output_bias)


class Trunk(nn.Module):
    """Strided convolutions that halve a waveform down to `base` samples, with leaky ReLU and phase shuffle.

    Attributes:
        widths: channels at `base` samples, at twice as many, ...; the last is not used.
        phase_shuffle: largest shift of activations, in samples; 0 for none.
    """

    widths: Sequence[int]
    phase_shuffle: int = 0
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, key: Array | None = None) -> Array:
        """Features [batch, base * widths[0]] in float32.

        Args:
            x: [batch, 1, samples, channels].
            key: PRNG key of the shifts, one per example and layer; None for no shifts.
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
    """Discriminator that mirrors the generator's convolutions; the label is an additional input channel, or projected.

    That channel is a learned waveform per class, weighted by soft labels. The release computes it from an embedding of
    size 50 and a dense layer, which express the same channels for up to 50 classes with more parameters.

    Phase shuffle uses the RNG stream "phase"; without it nothing is shifted.

    Attributes:
        shape: (1, samples, channels) of an example; samples are `base`, doubled repeatedly.
        num_labels: number of classes that condition the logits; 0 for none.
        label_projection: whether labels are projected on the last features, rather than an input channel.
        base: length of the last feature map in samples.
        channel_base: a level has channel_base / 2^level channels, within `channel_min` and `channel_max`.
        phase_shuffle: largest shift of activations in samples, after each convolution except the last.
        compute_dtype: dtype of the convolutions; everything else is float32.

    Raises:
        BadInput: the shape does not fit, or `phase_shuffle` is out of range.
    """

    shape: tuple[int, int, int]
    num_labels: int = 0
    label_projection: bool = False
    base: int = width(16)
    channel_base: int = whole(1, 1024)
    channel_min: int = width(4)
    channel_max: int = width(1024)
    phase_shuffle: int = whole(0, 2, most=MOST_FEATURES)
    compute_dtype: jnp.dtype = jnp.float32

    def __post_init__(self) -> None:
        num_doublings(self.shape, self.base)
        if not 0 <= self.phase_shuffle < 2 * self.base:
            raise BadInput(
                f"config.discriminator.phase_shuffle is {self.phase_shuffle}; it must be 0 or more and below the "
                f"{2 * self.base} samples of the shortest activations that it shifts."
            )
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, labels: Array | None) -> DiscriminatorOutput:
        """Logits [batch], higher for more real examples.

        Args:
            x: examples [batch, 1, samples, channels], float32.
            labels: one-hot or soft [batch, num_labels]; None without labels.

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        labels = check_labels(labels, self.num_labels) if self.num_labels else None
        if labels is not None and not self.label_projection:
            # Initialised at about the level of the sounds.
            table = self.param("label_waveforms", nn.initializers.normal(0.1), (self.num_labels, self.shape[1]))
            channel = jnp.dot(labels, table, precision=jax.lax.Precision.HIGHEST)
            x = jnp.concatenate([x, channel[:, None, :, None]], axis=-1)
        widths = layer_widths(self.shape, self.base, self.channel_base, self.channel_min, self.channel_max)
        key = self.make_rng("phase") if self.phase_shuffle and self.has_rng("phase") else None
        x = Trunk(tuple(widths), self.phase_shuffle, self.compute_dtype, name="trunk")(x, key)
        logits = nn.Dense(1, precision=jax.lax.Precision.HIGHEST, name="score")(x)[:, 0]
        if labels is not None and self.label_projection:
            logits = logits + LabelProjection(name="label")(x, labels)
        return DiscriminatorOutput(logits=(logits,))
