"""The protocol of what can be played; a GAN (play.instrument) is one kind.

A generator of another kind (an autoencoder, a flow, principal components) implements Playable and is entered in
play.load.KINDS: then it is loaded, measured, packed and played like a GAN. What it cannot do, it leaves out: the verbs
ask by CanEncode, CanInvert and CanEdit.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from jax.sharding import NamedSharding

from drumgan_jax.audio.attributes import AttributeScale
from drumgan_jax.core.parts import Representation
from drumgan_jax.latents.components import Components
from drumgan_jax.latents.conditions import Conditions
from drumgan_jax.latents.labels import Labels
from drumgan_jax.latents.latents import Latents, Sounds
from drumgan_jax.latents.recordings import Recordings

__all__ = ["CanEdit", "CanEncode", "CanInvert", "HasAttributes", "MakesExamples", "Playable"]

Noise = bool | float | Sequence[float]


class Playable(Protocol):
    """Makes sounds of seeds. All methods that take latents refuse those of another model with BadInput."""

    @property
    def kind(self) -> str:
        """Its kind in play.load.KINDS: the kind of the task that trained it."""

    @property
    def sample_rate(self) -> int:
        """Of every sound, in Hz."""

    @property
    def num_samples(self) -> int:
        """Length of every sound."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Classes that condition it, in the order of the labels; empty for none."""

    @property
    def model(self) -> str:
        """Digest by which its latents are known."""

    @property
    def step(self) -> int:
        """The training step that it is from."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Of the run: at least `representation`, `task` and `data`."""

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(layers, w_dim) of a sound's ws; one layer if there are none to tell apart."""

    @property
    def noise_sizes(self) -> tuple[tuple[int, int], ...]:
        """(freq, time) of each layer's noise; empty without noise."""

    @property
    def decoder_digest(self) -> str | None:
        """Digest of a vocoder's weights; None without one."""

    def on_devices(self, sharding: NamedSharding) -> Self:
        """The same on all devices of a mesh, for making many sounds; `sharding` splits a batch's axis."""

    def draw(self, seeds: Sequence[int], labels: Labels | None = None, truncation: float = 1.0) -> Latents:
        """Latents of seeds, the same for a seed in any batch; see Instrument.draw."""

    def render(self, latents: Latents, noise: Noise = True, finished: bool = True) -> Sounds:
        """Sounds of latents; see Instrument.render."""

    def packed(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """A header for JSON and arrays by path, of which its kind's `unpack` makes it again."""


@runtime_checkable
class HasAttributes(Protocol):
    """Its labels may have attributes beside classes."""

    @property
    def attributes(self) -> AttributeScale:
        """Those that condition it, and what their values mean; without names if there are none."""

    @property
    def conditions(self) -> Conditions:
        """Classes and attributes: the columns of the labels of its latents."""


def condition_names(playable: Any) -> tuple[str, ...]:
    """Names of the columns of the labels of a playable's latents: classes, and attributes if it has any."""
    names: tuple[str, ...] = playable.conditions.names if isinstance(playable, HasAttributes) else playable.label_names
    return names


@runtime_checkable
class CanEncode(Protocol):
    """Finds the latents of recordings."""

    def encode(self, audio: Recordings, sample_rate: int) -> Latents:
        """See Instrument.encode."""

    def encode_waveforms(self, waveforms: np.ndarray) -> Latents:
        """See Instrument.encode_waveforms."""

    def preprocess(self, audio: Recordings, sample_rate: int) -> np.ndarray:
        """See Instrument.preprocess."""


@runtime_checkable
class MakesExamples(Protocol):
    """Makes examples of a representation before it decodes them as sounds."""

    @property
    def representation(self) -> Representation:
        """Of the examples."""

    def examples(self, latents: Latents, noise: Noise = True) -> np.ndarray:
        """See Instrument.examples."""


@runtime_checkable
class CanInvert(Protocol):
    """Finds the latents of recordings by optimisation."""

    def invert_waveforms(self, waveforms: np.ndarray) -> Latents:
        """See Instrument.invert_waveforms."""

    def preprocess(self, audio: Recordings, sample_rate: int) -> np.ndarray:
        """See Instrument.preprocess."""


@runtime_checkable
class CanEdit(Protocol):
    """Moves latents along principal components, in random directions, and between each other."""

    def components(self, count: int | None = None) -> Components:
        """See Instrument.components."""

    def edit(
        self, latents: Latents, component: int, amount: float | np.ndarray, layers: tuple[int, int] | None = None
    ) -> Latents:
        """See Instrument.edit."""

    def vary(self, latents: Latents, amount: float | np.ndarray, direction: int) -> Latents:
        """See Instrument.vary."""

    def interpolate(
        self,
        a: Latents,
        b: Latents,
        n: int,
        space: str = "w",
        how: str = "linear",
        layers: tuple[int, int] | None = None,
    ) -> Latents:
        """See Instrument.interpolate."""
