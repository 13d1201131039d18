"""Mean and covariance of a stream of vectors, and the Fréchet distance between two such."""

import dataclasses

import numpy as np


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


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Fréchet distance between two Gaussians (Heusel et al. 2017, eq. 6), in float64.

    The trace of the square root of the product of covariances is taken from two symmetric eigendecompositions, which
    stay real and defined for rank-deficient covariances.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b.covariance @ root), 0)).sum()
    distance = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    # Rounding can leave a tiny negative number for equal sets.
    return float(max(distance, 0.0))
