"""A figure with its 95 % interval, by jackknife or bootstrap over single rows or over sounds with several rows."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from drumgan_jax.core.errors import BadInput

LEVEL = 0.95
# Half width of a 95 % interval of the normal distribution, in standard errors.
NORMAL = 1.959964
# Groups of whole sounds that a jackknife leaves out one at a time.
GROUPS = 10
RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Figure:
    """A metric's value with its uncertainty.

    Attributes:
        value: the metric.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
        interval: the interval's method and the variation that it covers.
        standard_deviation: over splits or subsets (divided by n, not n - 1), if the metric's definition reports one.
    """

    value: float
    low: float
    high: float
    interval: str
    standard_deviation: float | None = None


def sound_index(sounds: np.ndarray | None, rows: int, side: str) -> np.ndarray:
    """Sound number of each row, counted from 0 [rows].

    Rows of one sound are not independent, so intervals cover the sampling of sounds and not of rows.

    Args:
        sounds: sound number of each row [rows] int, non-decreasing; None if every row is its own sound.
        rows: number of rows.
        side: adjective for the sounds in messages.

    Raises:
        BadInput: there are several rows but only one sound, so the variance between sounds is unknown.
    """
    if sounds is None:
        return np.arange(rows)
    index = np.unique(sounds, return_inverse=True)[1]
    if len(index) != rows or np.any(np.diff(sounds) < 0):
        raise ValueError(f"sound numbers must be non-decreasing, one for each of {rows} rows")
    if rows > 1 and not index.any():
        raise BadInput(f"An interval needs at least 2 {side} sounds, not 1 with several embeddings; give more sounds.")
    return index


def has_several_rows(index: np.ndarray) -> bool:
    """Whether any sound in a `sound_index` [rows] has more than one row."""
    return int(index.max()) + 1 < len(index)


def rows_of_sounds(index: np.ndarray) -> list[np.ndarray]:
    """Row numbers of each sound in a `sound_index` [rows]."""
    return np.split(np.arange(len(index)), np.flatnonzero(np.diff(index)) + 1)


def groups_of_sounds(index: np.ndarray, groups: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Row numbers of random groups of whole sounds, for a jackknife.

    Args:
        index: sound number of each row [rows], from `sound_index`.
        groups: number of groups; with fewer sounds, each sound is a group.
        rng: draws the groups.
    """
    members = rows_of_sounds(index)
    parts = np.array_split(rng.permutation(len(members)), min(groups, len(members)))
    return [np.concatenate([members[sound] for sound in part]) for part in parts]


def student(degrees: int) -> float:
    """Half width of a 95 % interval in standard errors, by Student's t with `degrees` degrees of freedom."""
    return float(stdtrit(degrees, (1 + LEVEL) / 2))


def jackknife(without_each: Sequence[float], value: float) -> Figure:
    """Jackknife interval of an estimate over groups of samples (Tukey 1958).

    Args:
        without_each: the estimate without each group in turn; the groups are of about equal size.
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


def bootstrap(values: np.ndarray, seed: int = 0, *, index: np.ndarray | None = None, by_sound: bool = False) -> Figure:
    """Mean of values with a bootstrap percentile interval (Efron 1979).

    With an index whole sounds are resampled. A mean is then over all values of its sounds, so that a sound of many
    values has much weight, or, `by_sound`, over the means of each sound's values, so that all sounds have the same.
    Resamples are drawn as counts of each distinct value (or sum and number of a sound's values), which has the same
    distribution and is fast if there are few distinct values. Equal values have an interval of zero width.

    Args:
        values: values to average [samples].
        seed: seed of the resamples.
        index: sound number of each value [samples], from `sound_index`; None if each value is its own sound.
        by_sound: whether every sound has the same weight, else every value.

    Raises:
        BadInput: no values.
    """
    if not len(values):
        raise BadInput("A bootstrap interval needs at least 1 sample, not 0; give more samples.")
    kinds, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    sizes, units = np.ones(len(kinds)), ""
    if index is not None and has_several_rows(index):
        sums_and_sizes = np.stack([np.bincount(index, values), np.bincount(index)], axis=1, dtype=np.float64)
        if by_sound:
            sums_and_sizes = sums_and_sizes / sums_and_sizes[:, 1:]
        distinct, counts = np.unique(sums_and_sizes, axis=0, return_counts=True)
        (kinds, sizes), units = distinct.T, " of sounds"
    value = float(counts @ kinds / (counts @ sizes))
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), RESAMPLES)
    low, high = np.quantile(drawn @ kinds / (drawn @ sizes), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(value, float(low), float(high), f"bootstrap{units}, {RESAMPLES} resamples")
