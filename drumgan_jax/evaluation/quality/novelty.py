"""Whether sounds are new: their distance to the nearest training sound, beside that of held-out recordings."""

import dataclasses

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.intervals import Figure, bootstrap
from drumgan_jax.evaluation.quality.thumbnails import decibels

# At most this share of the held-out recordings would be counted as copies.
COPY = 0.05


@dataclasses.dataclass(frozen=True)
class Novelty:
    """How new a set is.

    Attributes:
        distance: median distance to the nearest training sound, in dB.
        held_out: the same of held-out recordings, which are as new as a sound can be while it is of the same kind.
        copied: share of sounds that are nearer to a training sound than all but COPY / 2 of the held-out recordings, as
            they are or with the mean level of every band taken away (so that an equaliser hides nothing); up to COPY
            for new sounds.
    """

    distance: float
    held_out: float
    copied: Figure


def nearest_distances(kept: np.ndarray, training: np.ndarray, level: bool = True) -> np.ndarray:
    """Root mean squared difference in dB to the nearest training sound [sounds].

    Args:
        kept: thumbnails [sounds, time, freq].
        training: thumbnails of the training sounds [training sounds, time, freq].
        level: whether the mean level of every band counts.
    """
    x, y = (_cells(one, level) for one in (kept, training))
    squared = np.sum(x**2, axis=1)[:, None] + np.sum(y**2, axis=1) - 2.0 * x @ y.T
    nearest: np.ndarray = np.sqrt(np.maximum(squared.min(axis=1), 0.0) / x.shape[1])
    return nearest


def novelty(kept: np.ndarray, training: np.ndarray, held_out: np.ndarray) -> Novelty:
    """How new sounds are; all arguments are thumbnails [sounds, time, freq].

    Raises:
        BadInput: there are no training sounds or no held-out recordings.
    """
    if not len(training) or not len(held_out):
        raise BadInput("novelty needs training sounds and held-out recordings; give a data set with both splits.")
    copies = np.zeros(len(kept), bool)
    for level in (False, True):
        distances, usual = (nearest_distances(side, training, level) for side in (kept, held_out))
        copies |= distances < np.quantile(usual, COPY / 2)
    copied = bootstrap(copies.astype(float))
    return Novelty(float(np.median(distances)), float(np.median(usual)), copied)


def _cells(kept: np.ndarray, level: bool) -> np.ndarray:
    """Cells of thumbnails in dB [sounds, cells] float64."""
    cells = decibels(kept).astype(np.float64)
    if not level:
        cells -= cells.mean(axis=1, keepdims=True)
    return cells.reshape(len(kept), -1)
