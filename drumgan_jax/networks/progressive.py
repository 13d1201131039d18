"""Progressively growing generator and discriminator (Karras et al. 2018), as in DrumGAN.

Equalised learning rate, pixel norm in the generator, nearest-neighbour upsampling and average pooling; the
discriminator ends in a minibatch standard deviation and predicts labels besides its logit (Nistal et al. 2022,
drumgan_vst, section 2.1). `stage` is the current size; the parameters of all stages are created at once, so that the
training state keeps its shape. While a stage fades in, its `alpha` is in the collection "growth".
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.core.settings import MOST_FEATURES, sizes, whole, width
from drumgan_jax.networks.convolution import convolve, enlarge_and_convolve
from drumgan_jax.networks.growing import average_pool, fade, growth_sizes, upsample_nearest
from drumgan_jax.networks.layers import Convolution, Dense, minibatch_stddev, scaled_leaky_relu
from drumgan_jax.networks.mapping import LabelProjection, check_labels, normalize_second_moment


def pixel_norm(x: Array) -> Array:
    """Divide each position by the RMS of its channels (1e-8 under the root); [batch, freq, time, channels]."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)


class NormedConvolution(nn.Module):
    """Equalised 3 x 3 convolution, then bias, leaky ReLU and pixel norm in float32.

    Attributes:
        features: channels of the output.
        factors: upsampling factors of freq and time before the convolution, 1 or 2 each.
    """

    features: int
    factors: tuple[int, int] = (1, 1)
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, freq * factors[0], time * factors[1], features] in `compute_dtype`, from [batch, freq, time, in]."""
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        kernel = (kernel / math.sqrt(math.prod(shape[:-1]))).astype(self.compute_dtype)
        x = enlarge_and_convolve(x.astype(self.compute_dtype), kernel, self.factors).astype(jnp.float32)
        return pixel_norm(scaled_leaky_relu(x + bias)).astype(self.compute_dtype)


class Linear(nn.Module):
    """Equalised 1 x 1 convolution and bias, to the channels of an example.

    Attributes:
        features: channels of the example.
    """

    features: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, freq, time, features] in float32, from [batch, freq, time, in]."""
        kernel = self.param("kernel", nn.initializers.normal(1.0), (1, 1, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        kernel = (kernel / math.sqrt(x.shape[-1])).astype(self.compute_dtype)
        return convolve(x.astype(self.compute_dtype), kernel).astype(jnp.float32) + bias


class GeneratorBlock(nn.Module):
    """One stage of the generator: two convolutions, the first at the new size.

    Attributes:
        features: channels.
        factors: upsampling factors of freq and time.
    """

    features: int
    factors: tuple[int, int]
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, freq * factors[0], time * factors[1], features] from [batch, freq, time, in]."""
        x = NormedConvolution(self.features, self.factors, self.compute_dtype, name="up")(x)
        return NormedConvolution(self.features, compute_dtype=self.compute_dtype, name="same")(x)


class BaseBlock(nn.Module):
    """The first stage of the generator: a dense layer to the smallest size and one convolution.

    Attributes:
        features: channels.
        size: (freq, time).
    """

    features: int
    size: tuple[int, int]
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, w: Array) -> Array:
        """[batch, freq, time, features] from w [batch, w_dim]."""
        x = Dense(math.prod(self.size) * self.features, activate=True, name="dense")(normalize_second_moment(w))
        x = pixel_norm(x.reshape(-1, *self.size, self.features))
        return NormedConvolution(self.features, compute_dtype=self.compute_dtype, name="same")(x)


class _Stages:
    """Stages of a growing network, shared by generator and discriminator."""

    shape: tuple[int, int, int]
    base: tuple[int, int]
    channels: tuple[int, ...]
    stage: int | None

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(freq, time) of an example at each stage."""
        return growth_sizes(self.shape, self.base)

    @property
    def current(self) -> int:
        """Current stage, counted from 0."""
        return len(self.sizes) - 1 if self.stage is None else self.stage

    @property
    def in_use(self) -> tuple[str, ...]:
        """Names of the top-level parameters that the current stage uses."""
        outer = range(max(0, self.current - 1), self.current + 1)
        return (
            *(name for stage in range(self.current + 1) for name in self.inner_names(stage)),
            *(self.outer_name(stage) for stage in outer),
        )

    def inner_names(self, stage: int) -> tuple[str, ...]:
        """Names of the parameters that a stage adds for good."""
        raise NotImplementedError

    def outer_name(self, stage: int) -> str:
        """Name of the parameters between a stage and an example of its size."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise a BadInput unless there is one number of channels per stage and the stage exists."""
        if len(self.channels) != len(self.sizes) or min(self.channels) < 1:
            raise BadInput(
                f"channels are {self.channels}; there must be one number above 0 for each of the {len(self.sizes)}"
                " stages."
            )
        if not 0 <= self.current < len(self.sizes):
            raise BadInput(f"there is no stage {self.stage}; stages are numbered 0 to {len(self.sizes) - 1}.")

    def factors(self, stage: int) -> tuple[int, int]:
        """Growth factors of freq and time from the stage before."""
        (freq, time), (old_freq, old_time) = self.sizes[stage], self.sizes[stage - 1]
        return freq // old_freq, time // old_time


class Generator(_Stages, nn.Module):
    """Progressive generator; w is z concatenated with the labels.

    Attributes:
        shape: (freq, time, channels) of a full-size example.
        num_labels: number of labels concatenated with z, classes and then attributes; 0 for none.
        num_attributes: how many of them are attributes.
        z_dim: size of z.
        base: (freq, time) at stage 0.
        channels: number of channels at each stage.
        stage: current stage; None for the last.
        compute_dtype: dtype of the convolutions; everything else is float32.
    """

    shape: tuple[int, int, int]
    num_labels: int = 0
    num_attributes: int = 0
    z_dim: int = width(128)
    base: tuple[int, int] = sizes((32, 3), count=2, most=MOST_FEATURES)
    channels: tuple[int, ...] = sizes((256, 256, 128, 128, 128, 64), most=MOST_FEATURES)
    stage: int | None = whole(0, None)
    compute_dtype: jnp.dtype = jnp.float32

    def __post_init__(self) -> None:
        self.check()
        super().__post_init__()

    learns_w: ClassVar[bool] = False
    truncates: ClassVar[bool] = False

    @property
    def w_dim(self) -> int:
        """Size of w: z and labels together."""
        return self.z_dim + self.num_labels

    @property
    def num_ws(self) -> int:
        """Always 1: only the first layer reads w."""
        return 1

    @property
    def noise_sizes(self) -> tuple[tuple[int, int], ...]:
        """Always empty: no layer adds noise."""
        return ()

    def inner_names(self, stage: int) -> tuple[str, ...]:
        """Name of the stage's block."""
        return (f"blocks_{stage}",)

    def outer_name(self, stage: int) -> str:
        """Name of the stage's output layer."""
        return f"outputs_{stage}"

    def setup(self) -> None:
        dtype = self.compute_dtype
        self.blocks = [
            GeneratorBlock(features, self.factors(stage), dtype) if stage else BaseBlock(features, self.base, dtype)
            for stage, features in enumerate(self.channels)
        ]
        self.outputs = [Linear(self.shape[2], dtype) for _ in self.channels]

    def __call__(self, z: Array, labels: Array | None, noise: Array | None) -> Array:
        """Generate examples [batch, freq, time, channels] from z [batch, z_dim]; see `map` and `synthesize`."""
        return self.synthesize(self.map(z, labels), noise)

    def map(self, z: Array, labels: Array | None) -> Array:
        """Concatenate z [batch, z_dim] with labels [batch, num_labels] to ws [batch, 1, w_dim].

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        parts = [z, check_labels(labels, self.num_labels)] if self.num_labels else [z]
        return jnp.concatenate(parts, axis=-1)[:, None, :]

    def unmap(self, ws: Array) -> tuple[Array, Array]:
        """Split ws [batch, 1, w_dim] into z [batch, z_dim] and labels [batch, num_labels]."""
        return ws[:, 0, : self.z_dim], ws[:, 0, self.z_dim :]

    def first_layer_map(self, params: Any) -> Array:
        """Matrix square root of K K^T [w_dim, w_dim] for the first layer's kernel K, with zero rows for the labels."""
        kernel = params["blocks_0"]["dense"]["kernel"][: self.z_dim]
        gram = jnp.dot(kernel, kernel.T, precision=jax.lax.Precision.HIGHEST)
        values, vectors = jnp.linalg.eigh(gram)
        root = (vectors * jnp.sqrt(jnp.maximum(values, 0.0))) @ vectors.T
        return jnp.pad(root, (0, self.num_labels))

    def truncate(self, ws: Array, psi: float | Array, labels: Array | None = None) -> Array:
        """Return ws unchanged: the first layer normalises w, so a shorter z would not be closer to an average."""
        return ws

    def synthesize(self, ws: Array, noise: Array | Sequence[Array] | None) -> Array:
        """Generate examples [batch, freq, time, channels] in float32 at the stage's size; noise has no effect."""
        x = self.blocks[0](ws[:, 0])
        if self.is_initializing():
            return self._all_stages(x)
        for block in self.blocks[1 : self.current]:
            x = block(x)
        if not self.current:
            return self.outputs[0](x)
        old = upsample_nearest(self.outputs[self.current - 1](x), self.sizes[self.current])
        new = self.outputs[self.current](self.blocks[self.current](x))
        return fade(old, new, self.get_variable("growth", "alpha", 1.0))

    def _all_stages(self, x: Array) -> Array:
        """Run every stage, so that all parameters are created, and return the last stage's output."""
        image = self.outputs[0](x)
        for block, output in zip(self.blocks[1:], self.outputs[1:], strict=True):
            x = block(x)
            image = output(x)
        return image


class DiscriminatorBlock(nn.Module):
    """One stage of the discriminator: two convolutions, then average pooling.

    Attributes:
        features: channels at this stage.
        next_features: channels of the output.
        size: (freq, time) of the output.
    """

    features: int
    next_features: int
    size: tuple[int, int]
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, *size, next_features] from [batch, freq, time, features]."""
        x = Convolution(self.features, compute_dtype=self.compute_dtype, name="same")(x)
        x = Convolution(self.next_features, compute_dtype=self.compute_dtype, name="next")(x)
        return average_pool(x, self.size)


class Discriminator(_Stages, nn.Module):
    """Progressive discriminator, the mirror image of the generator.

    Attributes:
        shape: (freq, time, channels) of a full-size example.
        num_labels: number of classes it predicts as logits; 0 for none.
        label_projection: whether labels are also projected on the last features.
        base: (freq, time) at stage 0.
        channels: number of channels at each stage.
        stddev_group: number of examples that share a standard deviation.
        stage: current stage; None for the last.
        compute_dtype: dtype of all convolutions except the last; everything else is float32.
    """

    shape: tuple[int, int, int]
    num_labels: int = 0
    label_projection: bool = False
    base: tuple[int, int] = sizes((32, 3), count=2, most=MOST_FEATURES)
    channels: tuple[int, ...] = sizes((256, 256, 128, 128, 128, 64), most=MOST_FEATURES)
    stddev_group: int = whole(1, 4)
    stage: int | None = whole(0, None)
    compute_dtype: jnp.dtype = jnp.float32

    def __post_init__(self) -> None:
        self.check()
        super().__post_init__()

    def inner_names(self, stage: int) -> tuple[str, ...]:
        """Name of the stage's block, or at stage 0 the names of the final layers."""
        if stage:
            return (f"blocks_{stage}",)
        of_labels = ("labels", *(("projection",) if self.label_projection else ())) if self.num_labels else ()
        return ("last", "dense", "score", *of_labels)

    def outer_name(self, stage: int) -> str:
        """Name of the stage's input layer."""
        return f"inputs_{stage}"

    def setup(self) -> None:
        dtype, channels = self.compute_dtype, self.channels
        self.inputs = [Convolution(features, 1, compute_dtype=dtype) for features in channels]
        # Block k maps stage k to stage k - 1; the final layers belong to stage 0.
        self.blocks = {
            str(stage): DiscriminatorBlock(channels[stage], channels[stage - 1], self.sizes[stage - 1], dtype)
            for stage in range(1, len(channels))
        }
        self.last = Convolution(channels[0])
        self.dense = Dense(channels[0], activate=True)
        self.score = Dense(1)
        if self.num_labels:
            self.labels = Dense(self.num_labels)
            if self.label_projection:
                self.projection = LabelProjection()

    def __call__(self, x: Array, labels: Array | None) -> DiscriminatorOutput:
        """Logits [batch], higher for more real examples, and label logits [batch, num_labels].

        Args:
            x: examples [batch, freq, time, channels] of the stage's size, float32.
            labels: [batch, num_labels], which condition the logits if they are projected; else ignored, because this
                discriminator predicts them.

        Raises:
            BadInput: labels that are to be projected are missing, or the batch does not divide into groups.
        """
        if self.is_initializing():
            for stage, layer in enumerate(self.inputs[:-1]):
                layer(average_pool(x, self.sizes[stage]))
        stage = self.current
        h = self.inputs[stage](x)
        if stage:
            old = self.inputs[stage - 1](average_pool(x, self.sizes[stage - 1]))
            new = self.blocks[str(stage)](h)
            alpha = jnp.asarray(self.get_variable("growth", "alpha", 1.0), self.compute_dtype)
            h = fade(old, new, alpha)
        for lower in range(stage - 1, 0, -1):
            h = self.blocks[str(lower)](h)
        h = self.last(minibatch_stddev(h.astype(jnp.float32), self.stddev_group))
        h = self.dense(h.reshape(h.shape[0], -1))
        logits = self.score(h)[:, 0]
        if not self.num_labels:
            return DiscriminatorOutput(logits=(logits,))
        if self.label_projection:
            logits = logits + self.projection(h, check_labels(labels, self.num_labels))
        return DiscriminatorOutput(logits=(logits,), labels=self.labels(h))
