"""A generator of log-magnitude frames that also encodes, and starts as principal components.

Synthesis and encoder are linear maps, found by principal components (systems/pca_gaussian.py), plus residual networks
whose last layers start at zero; the mapping is not trained:

- mapping: w of a recording and a Gaussian for each class (networks/anchored_mapping.py), without a network;
- synthesis: mean + (deviations * w) directions, plus a network of w, which also says how noisy each cell is;
- encoder: the projection on the directions, plus a network of the example.

So training starts at the baseline of principal components.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array
from drumgan_jax.core.settings import MOST_FEATURES, real, whole, width
from drumgan_jax.networks.anchored_mapping import ATTRIBUTE_STATISTICS, EXACT, AnchoredMapping
from drumgan_jax.networks.frames import LEVELS, UNIT, ZERO, FrameBlock, FrameTrunk, activate, check_frames
from drumgan_jax.networks.mapping import StyleGenerator, truncate
from drumgan_jax.networks.noise import resolve_noise

# Of the noisiness before it is made positive: 0.02 deviations of an example at first.
QUIET = -4.0
# In the collection "statistics": arrays of the linear maps, except those of the mapping, which are parameters, and the
# lowest value of an example, which is silence.
COMPONENTS = ("mean", "directions", "deviations", "lowest")


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
            styles = activate(nn.Dense(self.hidden, name=f"style_{layer}")(styles))
        frames = block_frames(time)
        x = nn.Dense(frames[0] * self.features, name="input")(styles[:, 0])
        x = x.reshape(len(x), frames[0], self.features)
        for block in range(len(frames)):
            if frames[block] != x.shape[1]:
                x = jnp.repeat(x, 2, axis=1)
            x = FrameBlock(self.features, self.compute_dtype, name=f"block_{block}")(x, styles[:, block], noises[block])
        output = nn.Conv(2 * freq, (3,), dtype=self.compute_dtype, kernel_init=ZERO, name="output")
        x = jnp.swapaxes(output(activate(x[:, :time])).astype(jnp.float32), 1, 2)[..., None] / UNIT
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
    # A logarithm of an exponential variable has the mean -Euler's constant and the variance pi^2 / 6; at 0 Hz the
    # spectrum is real, and that of a squared normal one has ln 2 less and three times as much.
    centre = jnp.full(freq, np.euler_gamma).at[0].add(math.log(2))
    scale = jnp.full(freq, math.sqrt(6) / math.pi).at[0].divide(math.sqrt(3))
    texture = (jnp.log(power + 1e-6) + centre) * scale
    return jnp.swapaxes(texture, 1, 2)[..., None]


def anchor_order(classes: np.ndarray, count: int) -> np.ndarray:
    """Which of the anchors of `classes` [n, classes] to take [count]: of all classes in turn, and again if too few.

    Raises:
        BadInput: they are too few for a class to have one.
    """
    if count < classes.shape[1]:
        raise BadInput(
            f"config.generator.anchors is {count}, fewer than the {classes.shape[1]} classes; give each one or more, or"
            " none to all (0)."
        )
    strongest = classes.argmax(axis=1)
    place = np.empty(len(classes), int)
    for one in range(classes.shape[1]):
        own = strongest == one
        place[own] = np.arange(own.sum())
    return np.argsort(place, kind="stable")[np.arange(count) % len(classes)]


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
        hidden: size of a style.
        overlap: of the frames of the representation: their length over their hop.
        anchors: see AnchoredMapping.
        spread: likewise.

    Raises:
        BadInput: the shape does not fit, z and w have different sizes, or a value is out of range.
    """

    z_dim: int = width(64)
    w_dim: int = width(64)
    features: int = width(128)
    hidden: int = width(256)
    style_mixing: float = real(0.0, 1.0, 0.0)
    overlap: int = whole(1, 4)
    anchors: int = whole(0, 0, most=MOST_FEATURES)
    spread: float = real(0.0, 1e3, 0.6, above=True)

    encodes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_frames(self.shape)
        if self.z_dim != self.w_dim:
            raise BadInput(
                f"config.generator has z_dim {self.z_dim} and w_dim {self.w_dim}; both are the number of components."
            )
        if not 0.0 <= self.spread <= 1.0:
            raise BadInput(f"config.generator.spread is {self.spread}; it must be a number from 0 to 1.")
        if self.anchors < 0:
            raise BadInput(f"config.generator.anchors is {self.anchors}; it must be 0 or more.")
        if not 2 <= self.overlap <= 2 * self.shape[0]:
            raise BadInput(
                "the frames of config.representation hardly overlap; take a hop_length of at most half of n_fft."
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
        self.mapping = AnchoredMapping(
            self.w_dim, self.num_labels - self.num_attributes, self.anchors, self.spread, self.num_attributes
        )
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
        return self.mapping.near(scores / jnp.where(deviations > 0, deviations, 1.0) + self.encoder(x))

    def truncate(self, ws: Array, psi: float | Array, labels: Array | None = None) -> Array:
        """Truncate ws [batch, num_ws, w_dim] towards the means of their classes, so that a kick stays a kick."""
        if labels is None:
            return super().truncate(ws, psi)
        return truncate(ws, self.mapping.means(labels)[:, None], psi)

    def _components(self) -> tuple[Array, ...]:
        """The arrays of COMPONENTS."""
        return tuple(jnp.asarray(self.get_variable("statistics", name)) for name in COMPONENTS)

    @staticmethod
    def start_from(variables: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
        """Variables of this class with given components and Gaussians; the residual networks stay.

        Args:
            variables: "params" and "statistics".
            components: the arrays of a `systems.pca_gaussian.PcaGaussian`, `lowest`, and `anchors` [n, w_dim] of the
                classes `anchor_classes` [n, classes], which are repeated if they are fewer than the mapping's. With
                attributes also `anchor_attributes` [n, attributes], and what `attribute_regression` gives.

        Raises:
            BadInput: the mapping has fewer anchors than classes.
        """
        mapping = {**variables["statistics"]["mapping"]}
        mapping |= {name: components[name] for name in ("class_means", "class_factors")}
        mapping |= {name: components[name] for name in ATTRIBUTE_STATISTICS if name in mapping}
        if "anchors" in mapping:
            turns = anchor_order(components["anchor_classes"], len(mapping["anchors"]))
            of_anchors = [name for name in ("anchors", "anchor_classes", "anchor_attributes") if name in mapping]
            mapping |= {name: components[name][turns] for name in of_anchors}
        linear = {name: components[name] for name in COMPONENTS}
        average = components["class_means"].mean(axis=0)
        statistics = {**variables["statistics"], **linear, "mapping": mapping, "w_average": average}
        return {"params": variables["params"], "statistics": statistics}
