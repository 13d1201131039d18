"""Latents, and the sounds rendered from them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.latents.seeds import noise_of


@dataclasses.dataclass(frozen=True)
class Latents:
    """Latents of a batch of sounds; together with the model, they determine each sound.

    Attributes:
        seeds: one per sound [batch], uint32; noise and starting phases are drawn from it.
        ws: layer latents [batch, layers, w_dim].
        z: latents [batch, z_dim] that the generator's `map` turns into these ws; None if unknown.
        labels: class weights [batch, labels] that ws were mapped with or moved from; width 0 for a system without
            labels, None if unknown.
        noises: noise of each layer [batch, freq, time, 1]; None to draw it from the seeds.
        model: digest of the generator's parameters (gan.variables_digest).
    """

    seeds: np.ndarray
    ws: np.ndarray
    z: np.ndarray | None
    labels: np.ndarray | None
    noises: tuple[np.ndarray, ...] | None
    model: str

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int | slice) -> "Latents":
        """The latents of one or several sounds, always as a batch."""
        if not isinstance(index, slice):
            index = range(len(self))[index]  # IndexError, and negative numbers from the end
            index = slice(index, index + 1)
        return dataclasses.replace(
            self,
            seeds=self.seeds[index],
            ws=self.ws[index],
            z=None if self.z is None else self.z[index],
            labels=None if self.labels is None else self.labels[index],
            noises=None if self.noises is None else tuple(noise[index] for noise in self.noises),
        )

    def layer_noise(self, sizes: Sequence[tuple[int, int]]) -> tuple[np.ndarray, ...]:
        """Noise of each layer [batch, freq, time, 1], stored or drawn from the seeds; `sizes` has (freq, time) each."""
        if self.noises is not None:
            return self.noises
        return tuple(np.asarray(noise) for noise in noise_of(self.seeds, tuple(sizes)))

    @classmethod
    def join(cls, pieces: Sequence["Latents"]) -> "Latents":
        """Concatenate latents; z and labels are None if any piece lacks them.

        Raises:
            BadInput: there are no pieces, or they belong to different models.
        """
        if not pieces:
            raise BadInput("there are no latents to join; give at least one.")
        if len({piece.model for piece in pieces}) > 1:
            raise BadInput("latents of different runs or steps cannot be joined; make them all with one instrument.")
        given = next((piece.noises for piece in pieces if piece.noises is not None), None)
        noises = None
        if given is not None:
            sizes = [noise.shape[1:3] for noise in given]
            noises = tuple(map(np.concatenate, zip(*(piece.layer_noise(sizes) for piece in pieces), strict=True)))
        return cls(
            seeds=np.concatenate([piece.seeds for piece in pieces]),
            ws=np.concatenate([piece.ws for piece in pieces]),
            z=_joined([piece.z for piece in pieces]),
            labels=_joined([piece.labels for piece in pieces]),
            noises=noises,
            model=pieces[0].model,
        )


@dataclasses.dataclass(frozen=True)
class Sounds:
    """Rendered sounds.

    Attributes:
        waveforms: float32 [batch, samples].
        sample_rate: in Hz.
        latents: the latents they were rendered from.
    """

    waveforms: np.ndarray
    sample_rate: int
    latents: Latents


def _joined(arrays: Sequence[Any]) -> np.ndarray | None:
    return None if any(array is None for array in arrays) else np.concatenate(arrays)
