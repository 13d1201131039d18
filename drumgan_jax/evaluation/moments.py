"""Mean and covariance of a stream of vectors, on the host or on devices."""

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
    """Streaming mean and covariance in float64.

    Attributes:
        count: vectors seen.
        mean: their mean [features].
        scatter: sum of outer products of deviations from the mean [features, features].
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def empty(cls, features: int) -> "Moments":
        """Moments of no vector at all."""
        return cls(0, np.zeros(features), np.zeros((features, features)))

    @classmethod
    def of(cls, vectors: np.ndarray) -> "Moments":
        """Moments of vectors [count, features]."""
        vectors = np.asarray(vectors, np.float64)
        if not len(vectors):
            return cls.empty(vectors.shape[1])
        mean = vectors.mean(axis=0)
        deviations = vectors - mean
        return cls(len(vectors), mean, deviations.T @ deviations)

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both streams together (Chan, Golub and LeVeque 1983, eq. 2.1)."""
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
        """Unbiased covariance [features, features]; zero for fewer than two vectors."""
        return self.scatter / max(self.count - 1, 1)


def merged(groups: Sequence[Moments]) -> Moments:
    """Moments of all groups together; there must be at least one."""
    return functools.reduce(Moments.merge, groups)


def without_each(groups: Sequence[Moments]) -> Iterator[Moments]:
    """Moments of all groups but one, for every group in turn; there must be at least two.

    Merged from both ends rather than subtracted from the whole, which would cancel digits.
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

    In float64 because the Fréchet distance takes square roots of a covariance's eigenvalues: a set with fewer
    vectors than features has eigenvalues of zero, which float32 leaves at 1e-7 of the largest and their roots at 3e-4
    of its root, hundreds of times over. Only the sums are kept, whole on every device.
    """

    def __init__(self, features: int):
        self._features = features
        self._total: _Sums | None = None

    def add(self, rows: Array, mask: Array) -> None:
        """Take one batch.

        Args:
            rows: vectors [rows, features] float32, split along rows over a mesh or not.
            mask: which of them count [rows] bool, laid out likewise.
        """
        with jax.enable_x64(True):
            if self._total is None:
                self._total = jax.device_put(_Sums.zeros(self._features), _whole(rows.sharding))
            self._total = _fold(self._total, rows, mask, self._total.mean.sharding)

    def result(self) -> Moments:
        """Moments of all batches so far, on the host."""
        if self._total is None:
            return Moments.empty(self._features)
        total = jax.device_get(self._total)
        return Moments(round(float(total.count)), total.mean, total.scatter)


@flax.struct.dataclass
class _Sums:
    count: Any
    mean: Any
    scatter: Any

    @classmethod
    def zeros(cls, features: int) -> "_Sums":
        return cls(np.zeros(()), np.zeros(features), np.zeros((features, features)))


def _whole(sharding: Sharding) -> Sharding:
    """The sharding of an array that is whole on every device of another's."""
    return NamedSharding(sharding.mesh, PartitionSpec()) if isinstance(sharding, NamedSharding) else sharding


@functools.partial(jax.jit, static_argnums=3, donate_argnums=0)
def _fold(total: _Sums, rows: Array, mask: Array, sharding: Sharding) -> _Sums:
    # What a mask hides may be anything, NaN included, so it is replaced and not multiplied away.
    vectors = jnp.where(mask[:, None], rows.astype(jnp.float64), 0.0)
    count = mask.sum(dtype=jnp.float64)
    mean = vectors.sum(axis=0) / jnp.maximum(count, 1.0)
    deviations = jnp.where(mask[:, None], vectors - mean, 0.0)
    scatter = jnp.matmul(deviations.T, deviations, precision=jax.lax.Precision.HIGHEST)

    # Chan, Golub and LeVeque (1983), eq. 2.1, with no division by zero while nothing was seen.
    both = total.count + count
    shift = mean - total.mean
    share = count / jnp.maximum(both, 1.0)
    result = _Sums(
        both,
        total.mean + shift * share,
        total.scatter + scatter + jnp.outer(shift, shift) * (total.count * share),
    )
    return jax.lax.with_sharding_constraint(result, sharding)
