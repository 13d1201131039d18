"""Protocols of a system's parts: representation, generator, and the output of a discriminator."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Self

import flax.struct
import jax

__all__ = ["DiscriminatorOutput", "Generator", "Representation"]

Array = jax.Array


@flax.struct.dataclass
class DiscriminatorOutput:
    """Output of a discriminator, or critic, for a batch.

    Attributes:
        logits: one or several maps of logits (of a critic: scores) [batch] or [batch, freq, time]; higher is more real.
        labels: predicted labels [batch, labels]; None if the discriminator predicts none.
    """

    logits: tuple[Array, ...]
    labels: Array | None = None


class Representation(Protocol):
    """From waveforms to examples, the arrays that networks take; frozen, hashable, pure jnp functions in float32.

    `encode` is `normalize(transform(waveform))`. Data sets store the coefficients that `transform` returns, so mean and
    std can be fitted to a whole data set, and training normalises on the device.
    """

    @property
    def sample_rate(self) -> int:
        """Sample rate of the waveform in Hz."""

    @property
    def num_samples(self) -> int:
        """Length of a waveform in samples."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(freq, time, channels) of one example; freq is 1 if the example is the waveform."""

    @property
    def normalization_shape(self) -> tuple[int, int, int]:
        """Shape of the fitted mean and std, which broadcast to `shape`."""

    @property
    def keeps_phase(self) -> bool:
        """Whether an example determines its waveform. If so there is `invert(x)`, else `magnitude(x)`."""

    def with_normalization(self, mean: Any, std: Any) -> Self:
        """The same representation with a fitted mean and std, array-likes of `normalization_shape`."""

    def transform(self, waveform: Array) -> Array:
        """Coefficients before normalisation [batch, freq, time, channels] of waveforms [batch, samples]."""

    def normalize(self, coefficients: Array) -> Array:
        """Examples [batch, freq, time, channels] of coefficients of the same shape."""

    def encode(self, waveform: Array) -> Array:
        """Examples [batch, freq, time, channels] of waveforms [batch, samples]."""


class Generator(Protocol):
    """From latents to examples: a linen module, whose methods are applied with its variables.

    Its collections are "params"; "statistics", if it keeps running values such as the mean of w; and "growth", if it
    grows: the caller sets `alpha` [] there, the progress of the current fade (1 if absent).
    """

    z_dim: int
    # Whether w is a learned space; if not, w is z joined with labels, and `unmap` is the inverse of `map`.
    learns_w: ClassVar[bool]
    # Whether there is an average w, towards which `truncate` pulls.
    truncates: ClassVar[bool]

    @property
    def w_dim(self) -> int:
        """Size of w."""

    @property
    def num_ws(self) -> int:
        """Number of layers that take a w of their own."""

    @property
    def noise_sizes(self) -> tuple[tuple[int, int], ...]:
        """(freq, time) of each layer's noise, in order; empty without noise."""

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(freq, time) of the output at each stage of growth; a single one if nothing grows."""

    def map(self, z: Array, labels: Array | None) -> Array:
        """Layer latents ws [batch, num_ws, w_dim] of z [batch, z_dim] and labels [batch, labels]."""

    def unmap(self, ws: Array) -> tuple[Array, Array]:
        """z [batch, z_dim] and labels [batch, labels] of ws, the inverse of `map`. Only if w is not learned."""

    def first_layer_map(self, params: Any) -> Array:
        """R [w_dim, w_dim] such that a step dw moves the first layer's output by |dw R|. Only if w is not learned.

        All directions of z are equally likely, so components of w are found by the first layer's response (see
        latents.components). R is zero for the labels. Needs `params` only.
        """

    def synthesize(self, ws: Array, noise: Array | Sequence[Array] | None) -> Array:
        """Examples [batch, freq, time, channels] in float32, of the current stage's size.

        Args:
            ws: [batch, num_ws, w_dim].
            noise: None for none; a random key for fresh noise; a key for each example [batch], so that an example is
                the same in any batch; or the noise itself, an array [batch, freq, time, 1] for each of `noise_sizes`.
        """

    def truncate(self, ws: Array, psi: float | Array, labels: Array | None = None) -> Array:
        """ws [batch, num_ws, w_dim] pulled towards the average w: psi 1 changes nothing, 0 gives the average.

        The average is that of all classes, or of `labels` [batch, num_labels] where the generator knows it.
        Changes nothing if the generator does not truncate (`truncates`).
        """

    def __call__(self, z: Array, labels: Array | None, noise: Array | None) -> Array:
        """Examples of z and labels: `map`, then `synthesize`."""
