"""A figure with its 95 % interval, and two ways to find the interval, of single rows or of sounds of several."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from drumgan_jax.core.errors import BadInput

LEVEL = 0.95
# Half a 95 % interval of a normal law, in standard errors.
NORMAL = 1.959964
# Parts of a side, of whole sounds, that a jackknife leaves out one at a time.
GROUPS = 10
RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Figure:
    """A metric's value, and how far to trust it.

    Attributes:
        value: the metric.
        low: lower end of its 95 % interval.
        high: upper end of it.
        interval: how the interval was found, and what it covers.
        spread: standard deviation over splits or subsets (by their number, not one less), of a metric whose
            definition reports one.
    """

    value: float
    low: float
    high: float
    interval: str
    spread: float | None = None


def sound_index(sounds: np.ndarray | None, rows: int, side: str) -> np.ndarray:
    """Which sound each row is of, counted from 0 [rows].

    Rows of one sound are not independent, so that intervals are of the choice of sounds and not of rows.

    Args:
        sounds: number of each row's sound [rows] int, non-decreasing; None where every row is a sound of its own.
        rows: how many.
        side: what to call the sounds in a message.

    Raises:
        BadInput: all of several rows are of one sound, which says nothing of how sounds differ.
    """
    if sounds is None:
        return np.arange(rows)
    index = np.unique(sounds, return_inverse=True)[1]
    if len(index) != rows or np.any(np.diff(sounds) < 0):
        raise ValueError(f"sound numbers must be one for each of {rows} rows, none less than the one before it")
    if rows > 1 and not index.any():
        raise BadInput(
            f"An interval needs at least 2 {side} sounds, not 1, however many embeddings it has; give more sounds."
        )
    return index


def has_several_rows(index: np.ndarray) -> bool:
    """Whether any sound of a `sound_index` [rows] has more than one row."""
    return int(index.max()) + 1 < len(index)


def rows_of_sounds(index: np.ndarray) -> list[np.ndarray]:
    """Row numbers of each sound of a `sound_index` [rows]."""
    return np.split(np.arange(len(index)), np.flatnonzero(np.diff(index)) + 1)


def groups_of_sounds(index: np.ndarray, groups: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Row numbers of random groups of whole sounds, for a jackknife.

    Args:
        index: which sound each row is of [rows], from `sound_index`.
        groups: how many, or one a sound where there are fewer sounds.
        rng: of the choice.
    """
    members = rows_of_sounds(index)
    parts = np.array_split(rng.permutation(len(members)), min(groups, len(members)))
    return [np.concatenate([members[sound] for sound in part]) for part in parts]


def student(degrees: int) -> float:
    """Half the width of a 95 % interval in standard errors (Student's t with so many degrees of freedom)."""
    return float(stdtrit(degrees, (1 + LEVEL) / 2))


def jackknife(without_each: Sequence[float], value: float) -> Figure:
    """Interval of an estimate from the estimates without each group of samples (Tukey 1958).

    Args:
        without_each: the estimate with one group of about equal size left out, for every group.
        value: the estimate from all groups.

    Raises:
        BadInput: fewer than two groups.
    """
    groups = len(without_each)
    if groups < 2:
        raise BadInput(f"A jackknife interval needs at least 2 groups of samples, not {groups}; give more samples.")
    error = math.sqrt((groups - 1) * np.var(without_each))
    half = student(groups - 1) * error
    return Figure(value, value - half, value + half, f"jackknife over {groups} groups")


def bootstrap(values: np.ndarray, seed: int = 0, *, index: np.ndarray | None = None) -> Figure:
    """The mean of values, with the percentile interval of its bootstrap (Efron 1979).

    With an index whole sounds are resampled, and a resample's mean is of as many values as its sounds have. Resamples
    are drawn as counts of each distinct value (or sum and number of a sound's values), which is the same law and quick
    for values of few kinds. Values that are all alike have an interval of no width.

    Args:
        values: what to average [samples].
        seed: of the resamples.
        index: which sound each value is of [samples], from `sound_index`; None where each is of its own.

    Raises:
        BadInput: no values.
    """
    if not len(values):
        raise BadInput("A bootstrap interval needs at least 1 sample, not 0; give more samples.")
    kinds, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    value = float(counts @ kinds / len(values))
    sizes, units = np.ones(len(kinds)), ""
    if index is not None and has_several_rows(index):
        sums_and_sizes = np.stack([np.bincount(index, values), np.bincount(index)], axis=1)
        distinct, counts = np.unique(sums_and_sizes, axis=0, return_counts=True)
        (kinds, sizes), units = distinct.T, " of sounds"
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), RESAMPLES)
    low, high = np.quantile(drawn @ kinds / (drawn @ sizes), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(value, float(low), float(high), f"bootstrap{units}, {RESAMPLES} resamples")
