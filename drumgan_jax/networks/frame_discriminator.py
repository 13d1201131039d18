"""Discriminators over frames and over bands of log-magnitude spectrograms."""

import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array, DiscriminatorOutput
from drumgan_jax.networks.bands import bands_of
from drumgan_jax.networks.convolution import correlate
from drumgan_jax.networks.convolution_on_cpu import Geometry
from drumgan_jax.networks.frames import UNIT, ZERO, FrameTrunk, activate, check_frames
from drumgan_jax.networks.mapping import LabelProjection, check_labels

# Halvings of both axes, and how they are done.
HALVINGS = 4
HALVED = Geometry((2, 2), ((1, 1), (1, 1)))


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
