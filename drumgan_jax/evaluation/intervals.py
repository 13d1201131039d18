"""A figure with its 95 % interval, and two ways to find the interval."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from drumgan_jax.errors import BadInput

LEVEL = 0.95
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


def bootstrap(values: np.ndarray, seed: int = 0) -> Figure:
    """The mean of values [samples], with the percentile interval of its bootstrap (Efron 1979).

    Resamples are drawn as counts of each distinct value, which is the same law and quick for values of few kinds.
    Values that are all alike have an interval of no width.

    Raises:
        BadInput: no values.
    """
    if not len(values):
        raise BadInput("A bootstrap interval needs at least 1 sample, not 0; give more samples.")
    kinds, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(values), counts / len(values), RESAMPLES)
    low, high = np.quantile(drawn @ kinds / len(values), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = float(counts @ kinds / len(values))
    return Figure(value, float(low), float(high), f"bootstrap, {RESAMPLES} resamples")
