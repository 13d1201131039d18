"""The parts a system is made of: their protocols."""

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
    """A way to write a waveform as the array a network sees; frozen, hashable, pure jnp functions in float32.

    `encode` is `normalize(features(waveform))`: data sets store `features`, so that statistics can be fitted after
    them, and training normalises on the device.
    """

    @property
    def sample_rate(self) -> int:
        """Of the waveform, in Hz."""

    @property
    def num_samples(self) -> int:
        """Length of the waveform that `encode` takes and `decode` returns, in samples."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one example: (freq, time, channels); freq is 1 where the waveform itself is the example."""

    @property
    def normalization_shape(self) -> tuple[int, int, int]:
        """Shape of the fitted mean and standard deviation, broadcastable to `shape`: sizes are 1 or the axis' own."""

    @property
    def keeps_phase(self) -> bool:
        """Whether examples determine waveforms: such a representation has `invert`, others have `magnitude`."""

    def with_normalization(self, mean: Any, std: Any) -> Self:
        """The same representation with fitted statistics (array-likes of `normalization_shape`)."""

    def transform(self, waveform: Array) -> Array:
        """Features before normalisation [batch, freq, time, channels] of waveforms [batch, samples]."""

    def normalize(self, features: Array) -> Array:
        """What the networks see [batch, freq, time, channels], from features of the same shape."""

    def encode(self, waveform: Array) -> Array:
        """What the networks see [batch, freq, time, channels], of waveforms [batch, samples]."""


class Generator(Protocol):
    """From latents to examples: a linen module, whose methods are applied with its variables.

    Its variables are "params", "statistics" where it keeps running values, such as the mean of w, and, where it grows,
    "growth" with `alpha` [], which whoever applies it gives (1 if it is absent).
    """

    z_dim: int
    # Whether w is a learned space; if not, w is z joined with labels, and `unmap` is the inverse of `map`.
    learns_w: ClassVar[bool]
    # Whether there is an average w that `truncate` pulls towards.
    truncates: ClassVar[bool]

    @property
    def w_dim(self) -> int:
        """Size of a layer's latent w."""

    @property
    def num_ws(self) -> int:
        """Layers that read a w of their own."""

    @property
    def noise_sizes(self) -> tuple[tuple[int, int], ...]:
        """(freq, time) of the noise that each layer takes, in order; none where there is no noise."""

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(freq, time) of the output at each stage of growth; one where nothing grows."""

    def map(self, z: Array, labels: Array | None) -> Array:
        """Layer latents ws [batch, num_ws, w_dim] of z [batch, z_dim] and labels [batch, labels]."""

    def unmap(self, ws: Array) -> tuple[Array, Array]:
        """z and labels that `map` makes ws of. Only if w is not learned; needs no variables."""

    def first_layer_map(self, params: Any) -> Array:
        """R [w_dim, w_dim] such that |dw R| is how far a step dw moves the first layer. Only if w is not learned.

        If w is not learned, its directions differ only by the first layer's response. R is zero for the labels' part.
        Needs no variables but `params`.
        """

    def synthesize(self, ws: Array, noise: Array | Sequence[Array] | None) -> Array:
        """Examples [batch, freq, time, channels] in float32, of the current stage's size.

        Args:
            ws: [batch, num_ws, w_dim].
            noise: None for none; a random key for fresh noise; one key per example [batch], which makes an example the
                same in any batch; or the noise itself, one array [batch, freq, time, 1] for each of `noise_sizes`.
        """

    def truncate(self, ws: Array, psi: float | Array) -> Array:
        """ws [batch, num_ws, w_dim] pulled towards the average: 1 leaves them, 0 gives the average.

        Where nothing `truncates`, they are left.
        """

    def __call__(self, z: Array, labels: Array | None, noise: Array | None) -> Array:
        """Examples of z and labels: `map`, then `synthesize`."""
