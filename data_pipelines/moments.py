"""Streaming mean and standard deviation, accurate to float64, for data that do not fit in memory."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any, Self

import numpy as np


@dataclasses.dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations, merged by the rule of Chan, Golub and LeVeque (1983).

    Attributes:
        count: number of values in each mean.
        mean: mean, in float64 and the shape of the statistics.
        squares: sum of squared deviations from the mean, likewise.
    """

    count: int
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Self:
        """Moments of no values."""
        return cls(0, np.zeros(shape), np.zeros(shape))

    @classmethod
    def of(cls, values: np.ndarray, shape: tuple[int, ...]) -> Self:
        """Moments of an array, over the axes where `shape` is 1."""
        axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
        mean = np.asarray(np.mean(values, axis=axes, keepdims=True, dtype=np.float64))
        squares = np.sum(np.square(values - mean), axis=axes, keepdims=True)
        return cls(math.prod(values.shape[axis] for axis in axes), mean, squares)

    def merge(self, other: "Moments") -> "Moments":
        """Moments of the values of both."""
        count = self.count + other.count
        if not count:
            return self
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        squares = self.squares + other.squares + np.square(delta) * (self.count * other.count / count)
        return Moments(count, mean, squares)

    @property
    def std(self) -> np.ndarray:
        """Standard deviation over all values (biased: divided by the count)."""
        return np.sqrt(self.squares / max(self.count, 1))

    def to_json(self) -> dict[str, Any]:
        """The moments in types that JSON stores without loss."""
        return {"count": self.count, "mean": self.mean.tolist(), "squares": self.squares.tolist()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Moments from the output of `to_json`."""
        return cls(stored["count"], np.asarray(stored["mean"]), np.asarray(stored["squares"]))


def merge_all(moments: Iterable[Moments], shape: tuple[int, ...]) -> Moments:
    """Merge all moments in their given order, so that the result does not depend on which chunk finished first."""
    total = Moments.none(shape)
    for one in moments:
        total = total.merge(one)
    return total
