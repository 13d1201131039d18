"""Discriminators over frames, over the first of them and over bands of log-magnitude spectrograms."""

import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.core.settings import MOST_FEATURES, whole, width
from drumgan_jax.networks.bands import bands_of
from drumgan_jax.networks.convolution import correlate
from drumgan_jax.networks.convolution_on_cpu import Geometry
from drumgan_jax.networks.frames import UNIT, ZERO, FrameTrunk, activate, check_frames
from drumgan_jax.networks.mapping import LabelProjection, check_labels

# Halvings of both axes, and how they are done.
HALVINGS = 4
HALVED = Geometry((2, 2), ((1, 1), (1, 1)))


class Discriminator(nn.Module):
    """Discriminators over frames, the first of them and bands, with label projection (Miyato and Koyama 2018).

    Convolutions over frames see all bins at once, and so no detail that may be at any of them. Convolutions over bands
    of bins and frames do, and see how much the bins of a band differ. How sharply a sound begins is in its first frames
    alone, which convolutions over all of them count as little as any others.

    Attributes:
        shape: (freq, time, 1) of an example.
        num_labels: number of classes that condition the logits; 0 for none.
        features: channels of the convolutions over frames.
        hidden: size of the features that labels are projected on.
        band_features: channels of the first convolution over bands; 0 for none of them.
        onset_frames: first frames that have convolutions of their own; 0 for none.
        compute_dtype: dtype of the convolutions.

    Raises:
        BadInput: the shape or `onset_frames` does not fit.
    """

    shape: tuple[int, int, int]
    num_labels: int = 0
    features: int = width(128)
    hidden: int = width(256)
    band_features: int = whole(0, 0, most=MOST_FEATURES)
    onset_frames: int = whole(0, 0, most=MOST_FEATURES)
    compute_dtype: jnp.dtype = jnp.float32

    def __post_init__(self) -> None:
        check_frames(self.shape)
        if not 0 <= self.onset_frames <= self.shape[1]:
            raise BadInput(
                f"config.discriminator.onset_frames is {self.onset_frames}; it must be from 0 to the {self.shape[1]} "
                "frames of an example."
            )
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, labels: Array | None) -> DiscriminatorOutput:
        """Logits [batch] of each part, of examples [batch, freq, time, 1], given labels [batch, num_labels].

        Raises:
            BadInput: labels are missing or have the wrong shape.
        """
        labels = check_labels(labels, self.num_labels) if self.num_labels else None
        trunks: dict[str, tuple[nn.Module, Array]] = {"": (self._frame_trunk("trunk"), x)}
        if self.band_features:
            bands = BandTrunk(self.band_features, self.hidden, self.compute_dtype, name="band_trunk")
            trunks["band_"] = (bands, x)
        if self.onset_frames:
            trunks["onset_"] = (self._frame_trunk("onset_trunk"), x[:, :, : self.onset_frames])
        logits = []
        for prefix, (trunk, seen) in trunks.items():
            features = trunk(seen)
            logit = nn.Dense(1, name=f"{prefix}logit")(features)[:, 0]
            if labels is not None:
                logit = logit + LabelProjection(name=f"{prefix}label")(features, labels)
            logits.append(logit)
        return DiscriminatorOutput(logits=tuple(logits))

    def _frame_trunk(self, name: str) -> FrameTrunk:
        return FrameTrunk(self.features, self.hidden, self.compute_dtype, name=name)


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
            y = activate(y.astype(jnp.float32) + bias)
        return activate(nn.Dense(self.hidden, name="dense")(y)).mean(axis=(1, 2))
