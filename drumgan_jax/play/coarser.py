"""A playable with fewer, wider classes than its own, so that it is measured beside recordings of these."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drumgan_jax.data_pipelines.kits import CYMBAL_CLASSES
from drumgan_jax.latents.components import Components
from drumgan_jax.latents.labels import Labels, class_weights
from drumgan_jax.latents.latents import Latents, Sounds
from drumgan_jax.play.playable import Noise

# Of the class "cymbal" that is not divided.
_CYMBALS = tuple(sorted(set(CYMBAL_CLASSES.values())))
# Consecutive multiples of it are spread evenly over 0 to 1.
_GOLDEN = (5**0.5 - 1) / 2


def fit_classes(playable: Any, names: Sequence[str], finer: Mapping[str, float]) -> Any:
    """The playable with the given classes if it can have them, else as it is.

    Args:
        playable: a Playable.
        names: classes that it is to have, in order.
        finer: shares of closed_hat, open_hat and cymbal in the class cymbal; empty for equal ones.
    """
    divided = {"closed_hat", "open_hat"} <= set(playable.label_names)
    if not divided or "cymbal" not in names or not set(names) <= set(playable.label_names) - {"closed_hat", "open_hat"}:
        return playable
    return Coarser(playable, tuple(names), {one: finer.get(one, 0.0 if finer else 1.0) for one in _CYMBALS})


@dataclasses.dataclass(frozen=True)
class Coarser:
    """A playable whose cymbals and hats are one class; which of them a sound is, its seed decides.

    Attributes:
        playable: with the finer classes.
        label_names: some of its classes; cymbal stands for the hats too.
        finer: shares of the classes in cymbal.
    """

    playable: Any
    label_names: tuple[str, ...]
    finer: Mapping[str, float]

    @property
    def sample_rate(self) -> int:
        """See Playable."""
        rate: int = self.playable.sample_rate
        return rate

    @property
    def num_samples(self) -> int:
        """See Playable."""
        samples: int = self.playable.num_samples
        return samples

    def draw(self, seeds: Sequence[int], labels: Labels | None = None, truncation: float = 1.0) -> Latents:
        """See Playable."""
        count = len(seeds)
        if labels is None:
            labels = np.eye(len(self.label_names))[np.asarray(seeds) % len(self.label_names)]
        weights = class_weights(labels, self.label_names, count)
        names, shares = list(self.finer), np.cumsum(list(self.finer.values()))
        place = np.asarray(seeds, np.float64) * _GOLDEN % 1.0 * shares[-1]
        chosen = np.searchsorted(shares, place, side="right")
        finer = np.zeros((count, len(self.playable.label_names)), np.float32)
        for number, name in enumerate(self.label_names):
            # A class that is no cymbal is itself.
            of_sound = [names[one] for one in chosen] if name == "cymbal" else [name] * count
            columns = [self.playable.label_names.index(one) for one in of_sound]
            finer[np.arange(count), columns] += weights[:, number]
        drawn: Latents = self.playable.draw(seeds, finer, truncation)
        return drawn

    def render(self, latents: Latents, noise: Noise = True, finished: bool = True) -> Sounds:
        """See Playable."""
        sounds: Sounds = self.playable.render(latents, noise, finished)
        return sounds

    def encode_waveforms(self, waveforms: np.ndarray) -> Latents:
        """See CanEncode."""
        latents: Latents = self.playable.encode_waveforms(waveforms)
        return latents

    def components(self, count: int | None = None) -> Components:
        """See CanEdit."""
        found: Components = self.playable.components(count)
        return found

    def edit(self, latents: Latents, component: int, amount: float | np.ndarray) -> Latents:
        """See CanEdit."""
        edited: Latents = self.playable.edit(latents, component, amount)
        return edited
