"""Streaming mean and covariance of vectors, on the host or on devices."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and covariance of a set of vectors, in float64.

    Attributes:
        count: number of vectors.
        mean: their mean [dimensions].
        scatter: sum of outer products of deviations from the mean [dimensions, dimensions].
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def empty(cls, dimensions: int) -> "Moments":
        """Moments of the empty set."""
        return cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

    @classmethod
    def of(cls, vectors: np.ndarray) -> "Moments":
        """Moments of vectors [count, dimensions]."""
        vectors = np.asarray(vectors, np.float64)
        if not len(vectors):
            return cls.empty(vectors.shape[1])
        mean = vectors.mean(axis=0)
        deviations = vectors - mean
        return cls(len(vectors), mean, deviations.T @ deviations)

    def merge(self, other: "Moments") -> "Moments":
        """Moments of the union of both sets (Chan, Golub and LeVeque 1983, eq. 2.1)."""
        if not other.count or not self.count:
            return self if not other.count else other
        count = self.count + other.count
        shift = other.mean - self.mean
        return Moments(
            count,
            self.mean + shift * (other.count / count),
            self.scatter + other.scatter + np.outer(shift, shift) * (self.count * other.count / count),
        )

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance [dimensions, dimensions]; zero for fewer than two vectors."""
        return self.scatter / max(self.count - 1, 1)


def moments_of_parts(rows: np.ndarray, parts: Sequence[np.ndarray]) -> list[Moments]:
    """Moments of some of the rows [rows, dimensions], for each array of row numbers in `parts`."""
    return [Moments.of(rows[part]) for part in parts]


def merged(groups: Sequence[Moments]) -> Moments:
    """Moments of the union of one or more groups."""
    return functools.reduce(Moments.merge, groups)


def without_each(groups: Sequence[Moments]) -> Iterator[Moments]:
    """Yield the moments of all groups but one, for each of two or more groups in turn.

    Merged from both ends rather than subtracted from the total, which would lose digits to cancellation.
    """
    after = [groups[-1]]
    for group in reversed(groups[1:-1]):
        after.append(group.merge(after[-1]))
    yield after.pop()
    before = groups[0]
    for group in groups[1:-1]:
        yield before.merge(after.pop())
        before = before.merge(group)
    yield before


class MomentsStream:
    """Streaming mean and covariance of vectors on devices, in float64; the same on any number of devices.

    Float64, because the Fréchet distance takes square roots of a covariance's eigenvalues: with fewer vectors than
    dimensions many eigenvalues are zero, float32 makes each 1e-7 of the largest and its root 3e-4 of the largest root,
    and hundreds of them add up. Only the sums are kept, replicated on every device.
    """

    def __init__(self, dimensions: int):
        self._dimensions = dimensions
        self._total: _Sums | None = None

    def add(self, rows: Array, mask: Array) -> None:
        """Add a batch.

        Args:
            rows: vectors [rows, dimensions] float32, optionally sharded along rows over a mesh.
            mask: which rows count [rows] bool, with the same sharding.
        """
        with jax.enable_x64(True):
            if self._total is None:
                self._total = jax.device_put(_Sums.zeros(self._dimensions), _replicated(rows.sharding))
            self._total = _fold(self._total, rows, mask, self._total.mean.sharding)

    def result(self) -> Moments:
        """Moments of all batches so far, on the host."""
        if self._total is None:
            return Moments.empty(self._dimensions)
        total = jax.device_get(self._total)
        return Moments(round(float(total.count)), total.mean, total.scatter)


@flax.struct.dataclass
class _Sums:
    count: Any
    mean: Any
    scatter: Any

    @classmethod
    def zeros(cls, dimensions: int) -> "_Sums":
        return cls(np.zeros(()), np.zeros(dimensions), np.zeros((dimensions, dimensions)))


def _replicated(sharding: Sharding) -> Sharding:
    """The sharding of an array that every device of `sharding` holds whole."""
    return NamedSharding(sharding.mesh, PartitionSpec()) if isinstance(sharding, NamedSharding) else sharding


@functools.partial(jax.jit, static_argnums=3, donate_argnums=0)
def _fold(total: _Sums, rows: Array, mask: Array, sharding: Sharding) -> _Sums:
    # Masked rows may be NaN, so they are replaced rather than multiplied by zero.
    vectors = jnp.where(mask[:, None], rows.astype(jnp.float64), 0.0)
    count = mask.sum(dtype=jnp.float64)
    mean = vectors.sum(axis=0) / jnp.maximum(count, 1.0)
    deviations = jnp.where(mask[:, None], vectors - mean, 0.0)
    scatter = jnp.matmul(deviations.T, deviations, precision=jax.lax.Precision.HIGHEST)

    # Chan, Golub and LeVeque (1983), eq. 2.1, without division by zero while both counts are 0.
    both = total.count + count
    shift = mean - total.mean
    share = count / jnp.maximum(both, 1.0)
    result = _Sums(
        both,
        total.mean + shift * share,
        total.scatter + scatter + jnp.outer(shift, shift) * (total.count * share),
    )
    return jax.lax.with_sharding_constraint(result, sharding)
