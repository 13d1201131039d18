"""Networks over the frames of log-magnitude spectrograms, frequency bins as channels, that start as components.

Convolutions over frames only are some fifty times cheaper than two-dimensional ones at 512 bins x 48 frames. Each part
of the generator is a linear map, found by principal components (systems/pca_gaussian.py), plus a residual network whose
last layer starts at zero:

- mapping: a Gaussian for each class, plus a network of z and labels;
- synthesis: mean + (deviations * w) directions, plus a network of w, which also says how noisy each cell is;
- encoder: the projection on the directions, plus a network of the example.

So training starts at the baseline of principal components with a Gaussian per class.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.networks.convolution import correlate
from drumgan_jax.networks.convolution_on_cpu import Geometry
from drumgan_jax.networks.layers import LEAK
from drumgan_jax.networks.mapping import LabelProjection, StyleGenerator, check_labels
from drumgan_jax.networks.noise import resolve_noise

EXACT = jax.lax.Precision.HIGHEST
ZERO = nn.initializers.zeros
# A residual block adds little at first.
SMALL = nn.initializers.variance_scaling(0.1, "fan_in", "normal")
# Examples are in units of three standard deviations (audio.spectrograms.LogMagnitude), and networks like them in one.
UNIT = 3.0
# Of the noisiness before it is made positive: 0.02 deviations of an example at first.
QUIET = -4.0
# Halvings of the frames in the encoder and the discriminator, and doublings in the synthesis.
LEVELS = 2
# Of the discriminator over bands: a band's upper edge over its lower one, halvings of both axes, and how they are done.
WIDENING = 1.05
HALVINGS = 4
HALVED = Geometry((2, 2), ((1, 1), (1, 1)))
# In the collection "statistics": arrays of the linear maps, except those of the mapping, which are parameters, and the
# lowest value of an example, which is silence.
COMPONENTS = ("mean", "directions", "deviations", "lowest")


def _activate(x: Array) -> Array:
    return jax.nn.leaky_relu(x, LEAK)


def _as_frames(x: Array) -> Array:
    """[batch, time, freq] of examples [batch, freq, time, 1], at about unit variance."""
    return UNIT * jnp.swapaxes(x[..., 0], 1, 2)


class FrameBlock(nn.Module):
    """Residual block of two convolutions over frames; the first is scaled by a style and has noise, if they are given.

    Attributes:
        features: channels.
        compute_dtype: dtype of the convolutions.
    """

    features: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, style: Array | None = None, noise: Array | None = None) -> Array:
        """[batch, time, features] in float32.

        Args:
            x: [batch, time, features].
            style: [batch, hidden].
            noise: [batch, 1, time, 1].
        """
        y = nn.Conv(self.features, (3,), dtype=self.compute_dtype, name="first")(_activate(x)).astype(jnp.float32)
        if style is not None:
            y = y * (1 + nn.Dense(self.features, name="style")(style))[:, None]
            strength = self.param("noise_strength", ZERO, (self.features,))
            if noise is not None:
                y = y + strength * noise[:, 0]
        y = nn.Conv(self.features, (3,), dtype=self.compute_dtype, kernel_init=SMALL, name="second")(_activate(y))
        return x + y.astype(jnp.float32)


class FrameTrunk(nn.Module):
    """Features of an example: convolutions over frames, halved twice.

    Attributes:
        features: channels of the convolutions.
        hidden: size of the features that are returned.
        compute_dtype: dtype of the convolutions.
    """

    features: int
    hidden: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, hidden] in float32 of examples [batch, freq, time, 1]."""
        x = nn.Conv(self.features, (3,), dtype=self.compute_dtype, name="input")(_as_frames(x)).astype(jnp.float32)
        x = FrameBlock(self.features, self.compute_dtype, name="block_0")(x)
        for level in range(LEVELS):
            down = nn.Conv(self.features, (4,), (2,), dtype=self.compute_dtype, name=f"down_{level}")
            x = down(_activate(x))
            x = FrameBlock(self.features, self.compute_dtype, name=f"block_{level + 1}")(x.astype(jnp.float32))
        x = _activate(x).reshape(len(x), -1)
        return _activate(nn.Dense(self.hidden, name="dense")(x))


class BandTrunk(nn.Module):
    """Features of an example: two-dimensional convolutions over bands of bins, halved four times.

    Attributes:
        features: channels of the first convolution, doubled with each halving up to four times as many.
        hidden: size of the features that are returned.
        compute_dtype: dtype of the convolutions.
    """

    features: int
    hidden: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, hidden] in float32 of examples [batch, freq, time, 1]: the mean over all places."""
        y = bands_of(UNIT * x)
        for level in range(HALVINGS):
            features = self.features << min(level, 2)
            kernel = self.param(f"kernel_{level}", nn.initializers.lecun_normal(), (3, 3, y.shape[-1], features))
            bias = self.param(f"bias_{level}", ZERO, (features,))
            y = correlate(y.astype(self.compute_dtype), kernel.astype(self.compute_dtype), HALVED)
            y = _activate(y.astype(jnp.float32) + bias)
        return _activate(nn.Dense(self.hidden, name="dense")(y)).mean(axis=(1, 2))


def band_edges(freq: int) -> list[int]:
    """Edges of bands of bins: single bins at first, then bands of a fourteenth of an octave."""
    edges = [0]
    while edges[-1] < freq:
        edges.append(min(freq, max(edges[-1] + 1, round(edges[-1] * WIDENING))))
    return edges


def bands_of(x: Array) -> Array:
    """Means and mean absolute deviations of bands of bins [batch, bands, time, 2], of [batch, freq, time, 1]."""
    freq = x.shape[1]
    edges = band_edges(freq)
    averages = np.zeros((len(edges) - 1, freq), np.float32)
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        averages[band, low:high] = 1 / (high - low)
    means = jnp.einsum("bf,nft->nbt", averages, x[..., 0])
    spread = jnp.abs(x[..., 0] - jnp.einsum("bf,nbt->nft", (averages > 0).astype(np.float32), means))
    return jnp.stack([means, jnp.einsum("bf,nft->nbt", averages, spread)], axis=-1)


class GaussianMapping(nn.Module):
    """From z and labels to w: a Gaussian for each class, plus a residual network.

    Attributes:
        w_dim: size of z and w.
        num_labels: number of classes; 0 for none.
        hidden: size of the residual network's layers.
    """

    w_dim: int
    num_labels: int
    hidden: int

    @nn.compact
    def __call__(self, z: Array, labels: Array | None) -> Array:
        """w [batch, w_dim] of normal z [batch, w_dim] and labels [batch, num_labels], the classes' weights.

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        classes = max(1, self.num_labels)
        means = self.param("class_means", ZERO, (classes, self.w_dim))
        factors = self.param("class_factors", ZERO, (classes, self.w_dim, self.w_dim))
        weights = check_labels(labels, self.num_labels) if self.num_labels else jnp.ones((len(z), 1))
        w = jnp.dot(weights, means, precision=EXACT)
        w = w + jnp.einsum("bc,cij,bj->bi", weights, factors, z, precision=EXACT)
        x = jnp.concatenate([z, 2 * weights], axis=-1)
        for layer in range(2):
            x = _activate(nn.Dense(self.hidden, precision=EXACT, name=f"dense_{layer}")(x))
        return w + nn.Dense(self.w_dim, precision=EXACT, kernel_init=ZERO, name="residual")(x)


class FrameEncoder(nn.Module):
    """The residual network of the encoder."""

    w_dim: int
    features: int
    hidden: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """What is added to the projection [batch, w_dim], from examples [batch, freq, time, 1]."""
        x = FrameTrunk(self.features, self.hidden, self.compute_dtype, name="trunk")(x)
        return nn.Dense(self.w_dim, kernel_init=ZERO, name="residual")(x)


class FrameSynthesis(nn.Module):
    """The residual network of the synthesis: from each layer's w to frames.

    Attributes:
        shape: (freq, time, 1) of an example.
        features: channels of the convolutions.
        hidden: size of a layer's style.
        overlap: see Generator.
        compute_dtype: dtype of the convolutions.
    """

    shape: tuple[int, int, int]
    features: int
    hidden: int
    overlap: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, ws: Array, noises: Sequence[Array | None]) -> Array:
        """What is added to the linear part [batch, freq, time, 1] in float32.

        Args:
            ws: of each block [batch, blocks, w_dim].
            noises: of each block [batch, 1, time, 1], and of the output [batch, freq, time, 1]; None for none.
        """
        freq, time, _ = self.shape
        styles = ws
        for layer in range(2):
            styles = _activate(nn.Dense(self.hidden, name=f"style_{layer}")(styles))
        frames = block_frames(time)
        x = nn.Dense(frames[0] * self.features, name="input")(styles[:, 0])
        x = x.reshape(len(x), frames[0], self.features)
        for block in range(len(frames)):
            if frames[block] != x.shape[1]:
                x = jnp.repeat(x, 2, axis=1)
            x = FrameBlock(self.features, self.compute_dtype, name=f"block_{block}")(x, styles[:, block], noises[block])
        output = nn.Conv(2 * freq, (3,), dtype=self.compute_dtype, kernel_init=ZERO, name="output")
        x = jnp.swapaxes(output(_activate(x[:, :time])).astype(jnp.float32), 1, 2)[..., None] / UNIT
        x, noisiness = x[:, :freq], x[:, freq:]
        if noises[-1] is None:
            return x
        # Not below zero: upside down, the gaps in the spectrum of noise would be peaks.
        noisiness = jax.nn.softplus(UNIT * noisiness + QUIET) / UNIT
        return x + noisiness * noise_texture(noises[-1], self.overlap)


@jax.custom_vjp
def at_least(x: Array, lowest: Array) -> Array:
    """`max(x, lowest)` whose gradient can raise what is lower, so that a silent cell can become loud again.

    A gradient that passed both ways would lead lower values ever lower, because nothing answers them.
    """
    return jnp.maximum(x, lowest)


def _at_least_forward(x: Array, lowest: Array) -> tuple[Array, tuple[Array, Array]]:
    return jnp.maximum(x, lowest), (x, lowest)


def _at_least_backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, lowest = kept
    return jnp.where(x >= lowest, gradient, jnp.minimum(gradient, 0.0)), jnp.zeros_like(lowest)


at_least.defvjp(_at_least_forward, _at_least_backward)


def noise_texture(noise: Array, overlap: int) -> Array:
    """Logarithms of the magnitudes of white noise, at mean 0 and deviation 1 [batch, freq, time, 1].

    A noise of one's own in each cell has another distribution and none of the likeness of neighbouring cells, so a
    discriminator that sees all bins tells it from recordings, whatever the sound is.

    Args:
        noise: normal [batch, freq, time, 1]; its values are the samples of the white noise.
        overlap: of the frames that the spectra are of: their length over their hop.
    """
    batch, freq, time, _ = noise.shape
    length = 2 * freq
    hop = length // overlap
    samples = noise.reshape(batch, -1)
    place = jnp.arange(time)[:, None] * hop + jnp.arange(length)
    window = 0.5 - 0.5 * jnp.cos(2 * jnp.pi * jnp.arange(length, dtype=jnp.float32) / length)
    spectra = jnp.fft.rfft(samples[:, place % (freq * time)] * window)[..., :freq]
    power = (jnp.square(jnp.real(spectra)) + jnp.square(jnp.imag(spectra))) / jnp.sum(jnp.square(window))
    # A logarithm of an exponential variable has the mean -Euler's constant and the variance pi^2 / 6.
    texture = (jnp.log(power + 1e-6) + jnp.euler_gamma) * (math.sqrt(6) / math.pi)
    return jnp.swapaxes(texture, 1, 2)[..., None]


def block_frames(time: int) -> list[int]:
    """Frames of each block of the synthesis: two at each level, the last level at least `time` frames long."""
    first = -(-time // 2**LEVELS)
    return [first << level for level in range(LEVELS + 1) for _ in range(2)]


class Generator(StyleGenerator):
    """Log-magnitude frames from z, and w from examples: principal components plus residual networks.

    The first w of `ws` is that of the linear part, the others are those of the residual blocks. Variables: "params",
    and "statistics" with the components and the running mean of w; see `start_from` and `mapping.StyleGenerator`.

    Attributes:
        shape: (freq, time, 1) of an example.
        z_dim: size of z, which is that of w: the number of components.
        features: channels of the convolutions.
        hidden: size of a style, and of the mapping's layers.
        overlap: of the frames of the representation: their length over their hop.

    Raises:
        BadInput: the shape does not fit, or z and w have different sizes.
    """

    z_dim: int = 64
    w_dim: int = 64
    features: int = 128
    hidden: int = 256
    style_mixing: float = 0.0
    overlap: int = 4

    encodes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_frames(self.shape)
        if self.z_dim != self.w_dim:
            raise BadInput(
                f"config.generator has z_dim {self.z_dim} and w_dim {self.w_dim}; both are the number of components."
            )
        super().__post_init__()

    @property
    def num_ws(self) -> int:
        """One for the linear part and one for each block."""
        return 1 + len(block_frames(self.shape[1]))

    @property
    def noise_sizes(self) -> tuple[tuple[int, int], ...]:
        """(1, frames) of each block, and (freq, time) of the output."""
        return (*((1, frames) for frames in block_frames(self.shape[1])), self.shape[:2])

    def setup(self) -> None:
        self.make_average()
        size = math.prod(self.shape)
        if self.is_initializing():
            for name, shape in zip(COMPONENTS[:3], ((size,), (self.w_dim, size), (self.w_dim,)), strict=True):
                self.variable("statistics", name, jnp.zeros, shape)
            self.variable("statistics", COMPONENTS[3], jnp.full, (), -1e4)
        self.mapping = GaussianMapping(self.w_dim, self.num_labels, self.hidden)
        self.synthesis = FrameSynthesis(self.shape, self.features, self.hidden, self.overlap, self.compute_dtype)
        self.encoder = FrameEncoder(self.w_dim, self.features, self.hidden, self.compute_dtype)

    def __call__(self, z: Array, labels: Array | None, noise: Array | None) -> Array:
        """Examples [batch, freq, time, 1] of z [batch, z_dim] and labels; see parts.Generator."""
        x = self.synthesize(self.map(z, labels), noise)
        if self.is_initializing():
            self.encode(x)
        return x

    def synthesize(self, ws: Array, noise: Array | Sequence[Array] | None) -> Array:
        """Generate examples [batch, freq, time, 1] in float32; see parts.Generator."""
        noises = resolve_noise(noise, len(ws), self.noise_sizes)
        mean, directions, deviations, lowest = self._components()
        linear = mean + jnp.dot(ws[:, 0] * deviations, directions, precision=EXACT)
        x = linear.reshape(-1, *self.shape) + self.synthesis(ws[:, 1:], noises)
        # Recordings are silent to the last digit after their end; without that a discriminator knows what is made.
        return at_least(x, lowest)

    def encode(self, x: Array) -> Array:
        """w [batch, w_dim] of examples [batch, freq, time, 1]."""
        mean, directions, deviations, _ = self._components()
        scores = jnp.dot(x.reshape(len(x), -1) - mean, directions.T, precision=EXACT)
        # Before a start from components there are none, and deviations are zero.
        return scores / jnp.where(deviations > 0, deviations, 1.0) + self.encoder(x)

    def _components(self) -> tuple[Array, ...]:
        """The arrays of COMPONENTS."""
        return tuple(jnp.asarray(self.get_variable("statistics", name)) for name in COMPONENTS)

    @staticmethod
    def start_from(variables: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
        """Variables of this class with given components and Gaussians; the residual networks stay.

        Args:
            variables: "params" and "statistics".
            components: the arrays of a `systems.pca_gaussian.PcaGaussian`, and `lowest`.
        """
        params, statistics = variables["params"], variables["statistics"]
        gaussians = {name: components[name] for name in ("class_means", "class_factors")}
        linear = {name: components[name] for name in COMPONENTS}
        average = components["class_means"].mean(axis=0)
        return {
            "params": {**params, "mapping": {**params["mapping"], **gaussians}},
            "statistics": {**statistics, **linear, "w_average": average},
        }


class Discriminator(nn.Module):
    """Discriminators over frames and over bands, with label projection (Miyato and Koyama 2018).

    Convolutions over frames see all bins at once, and so no detail that may be at any of them. Convolutions over bands
    of bins and frames do, and see how much the bins of a band differ.

    Attributes:
        shape: (freq, time, 1) of an example.
        num_labels: number of classes that condition the logits; 0 for none.
        features: channels of the convolutions over frames.
        hidden: size of the features that labels are projected on.
        band_features: channels of the first convolution over bands; 0 for none of them.
        compute_dtype: dtype of the convolutions.

    Raises:
        BadInput: the shape does not fit.
    """

    shape: tuple[int, int, int]
    num_labels: int = 0
    features: int = 128
    hidden: int = 256
    band_features: int = 0
    compute_dtype: jnp.dtype = jnp.float32

    def __post_init__(self) -> None:
        check_frames(self.shape)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, labels: Array | None) -> DiscriminatorOutput:
        """Logits [batch] of each part, of examples [batch, freq, time, 1], given labels [batch, num_labels].

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        labels = check_labels(labels, self.num_labels) if self.num_labels else None
        trunks: dict[str, nn.Module] = {"": FrameTrunk(self.features, self.hidden, self.compute_dtype, name="trunk")}
        if self.band_features:
            trunks["band_"] = BandTrunk(self.band_features, self.hidden, self.compute_dtype, name="band_trunk")
        logits = []
        for prefix, trunk in trunks.items():
            features = trunk(x)
            logit = nn.Dense(1, name=f"{prefix}logit")(features)[:, 0]
            if labels is not None:
                logit = logit + LabelProjection(name=f"{prefix}label")(features, labels)
            logits.append(logit)
        return DiscriminatorOutput(logits=tuple(logits))


def check_frames(shape: tuple[int, int, int]) -> None:
    """Raise BadInput unless an example [freq, time, channels] is a spectrogram with one channel."""
    if shape[0] == 1 or shape[2] != 1:
        raise BadInput(
            f"an example of {shape[0]} x {shape[1]} x {shape[2]} is no spectrogram of magnitudes; networks over frames "
            "need config.representation.kind 'log_magnitude'."
        )
