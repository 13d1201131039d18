"""Fréchet distance between two sets of embeddings: FID on Inception embeddings, FAD on VGGish embeddings."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.intervals import (
    GROUPS,
    Figure,
    groups_of_sounds,
    has_several_rows,
    jackknife,
    sound_index,
    student,
)
from drumgan_jax.evaluation.moments import Moments, merged, moments_of_parts, without_each

# Distances [sets] from one set to others, and the moments of parts of rows: on the host, or compiled for devices.
Distances = Callable[[Moments, Sequence[Moments]], np.ndarray]
MomentsOfParts = Callable[[np.ndarray, Sequence[np.ndarray]], list[Moments]]

SIZES = 25
SMALLEST = 500


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Fréchet distance between the Gaussians of two sets, |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    (Dowson and Landau 1982, eq. 4; FID in Heusel et al. 2017, eq. 6.) With any factorisation S1 = F F^T, S1 S2 has the
    nonzero eigenvalues of F^T S2 F, which is symmetric, so no matrix square root is needed. Computed in float64 by
    LAPACK on the host, as XLA does on a CPU. It is also defined if a set has fewer vectors than dimensions, or only
    one vector or equal vectors (zero covariance).

    Raises:
        BadInput: a set is empty, holds values that are not finite, or the dimensions differ.
    """
    return distance_from(a)(b)


def frechet_distances(a: Moments, others: Sequence[Moments]) -> np.ndarray:
    """`frechet_distance` [sets] from one set to each of the others."""
    distance = distance_from(a)
    return np.array([distance(b) for b in others])


def distance_from(a: Moments) -> Callable[[Moments], float]:
    """`frechet_distance` from one set to many, which factorises its covariance once."""
    check_moments(a, len(a.mean))
    factor = _factor(a)

    def distance(b: Moments) -> float:
        check_moments(b, len(a.mean))
        covariance = b.covariance
        values = np.linalg.eigvalsh(factor.T @ covariance @ factor) if factor.shape[1] else np.zeros(0)
        # At most b's rank of them can be above zero; the rest is rounding error, whose square roots are not small.
        rank = min(factor.shape[1], b.count - 1)
        cross = np.sqrt(np.maximum(values[len(values) - rank :], 0)).sum()
        result = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance) + np.trace(covariance) - 2 * cross
        # Rounding can leave a tiny negative number for equal sets.
        return float(max(result, 0.0))

    return distance


def _factor(moments: Moments) -> np.ndarray:
    """F [dimensions, rank] with F F^T equal to the covariance, without its null space."""
    covariance, dimensions = moments.covariance, len(moments.mean)
    rounding = dimensions * np.finfo(np.float64).eps
    if moments.count > dimensions:
        try:
            lower = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            pass
        else:
            # The share of each dimension's variance that earlier dimensions do not explain; rounding error if one is
            # linearly dependent.
            if np.min(np.diagonal(lower) ** 2 / np.diagonal(covariance)) > rounding:
                return lower
    values, vectors = np.linalg.eigh(covariance)
    rank = min(int(np.sum(values > rounding * values[-1])), moments.count - 1)
    kept = slice(dimensions - rank, None)
    return vectors[:, kept] * np.sqrt(values[kept])


def check_moments(moments: Moments, dimensions: int) -> None:
    """Check that a set can be compared.

    Raises:
        BadInput: it is empty, holds values that are not finite, or has not this number of dimensions.
    """
    if not moments.count:
        raise BadInput("A Fréchet distance needs sounds on both sides, not an empty set; give at least one.")
    if len(moments.mean) != dimensions:
        raise BadInput(
            f"A Fréchet distance cannot compare embeddings with {dimensions} and {len(moments.mean)} dimensions; embed "
            "both sides with the same embedder."
        )
    if not np.isfinite(moments.scatter).all() or not np.isfinite(moments.mean).all():
        raise BadInput("A Fréchet distance cannot use embeddings that are not finite; look for NaN in the sounds.")


def frechet_figure(real: Moments, groups: Sequence[Moments], *, distances: Distances = frechet_distances) -> Figure:
    """Squared Fréchet distance of a generated set given as groups of about equal size.

    The jackknife interval covers the sampling of the generated set with the real set fixed; the upward bias of a
    finite set remains in the value (see `frechet_infinity`).

    Args:
        real: moments of the real set.
        groups: moments of the generated set's groups; empty groups are ignored.
        distances: computes the distances.

    Raises:
        BadInput: as `frechet_distance`, or there are fewer than two groups.
    """
    groups = [group for group in groups if group.count]
    if len(groups) < 2:
        raise BadInput(f"A Fréchet distance's interval needs 2 groups of samples, not {len(groups)}; give more sounds.")
    value, *without = distances(real, [merged(groups), *without_each(groups)]).tolist()
    return jackknife(without, value)


def frechet_infinity(
    real: Moments,
    rows: np.ndarray,
    seed: int = 0,
    *,
    sounds: np.ndarray | None = None,
    distances: Distances = frechet_distances,
    moments: MomentsOfParts = moments_of_parts,
) -> tuple[Figure, float, float]:
    """Squared Fréchet distance extrapolated to infinitely many generated samples (Chong and Forsyth 2020, eq. 6).

    The figure is the intercept of a line in 1 / size, fitted to the distances to the whole real set at 25 evenly spaced
    sizes up to all rows, each drawn WITHOUT replacement. (fadtk draws with replacement, which repeats rows and leaves
    most of the bias in.) The smallest size is the larger of 500 and twice the dimensions, because the bias is linear in
    1 / size only well above the dimensions, but at most half the rows. Only the generated side is extrapolated.

    The interval combines the jackknife over up to 10 groups of whole sounds with the standard error of the intercept.
    Bias that depends on the number of sounds rather than of rows remains in the value.

    Args:
        real: moments of the real set.
        rows: generated embeddings [samples, dimensions].
        seed: seed of the draws.
        sounds: sound number of each row [samples] int, non-decreasing; None if every row is its own sound.
        distances: computes the distances.
        moments: computes the moments of parts of the rows.

    Returns:
        The figure, the line's slope, and its coefficient of determination.

    Raises:
        BadInput: as `frechet_distance`, or there are fewer than 50 rows or only one sound.
    """
    count, dimensions = rows.shape
    if count < 2 * SIZES:
        raise BadInput(f"Extrapolating a Fréchet distance needs {2 * SIZES} embeddings, not {count}; give more sounds.")
    index = sound_index(sounds, count, "generated")
    smallest = min(max(SMALLEST, 2 * dimensions), count // 2)
    sizes = np.linspace(smallest, count, SIZES).astype(int)
    rng = np.random.default_rng(seed)
    found = distances(real, moments(rows, [rng.permutation(count)[:size] for size in sizes]))

    inverse = 1 / sizes - np.mean(1 / sizes)
    slope = float(inverse @ found / (inverse @ inverse))
    value = float(found.mean() - slope * np.mean(1 / sizes))
    residual = float(np.sum((found - found.mean() - slope * inverse) ** 2))
    total = float(np.sum((found - found.mean()) ** 2))
    error = math.sqrt(residual / (SIZES - 2) * (1 / SIZES + np.mean(1 / sizes) ** 2 / (inverse @ inverse)))

    groups = moments(rows, groups_of_sounds(index, GROUPS, rng))
    sampling = frechet_figure(real, groups, distances=distances)
    units = " of sounds" if has_several_rows(index) else ""
    half = math.hypot(sampling.high - sampling.value, student(SIZES - 2) * error)
    figure = Figure(value, value - half, value + half, f"{sampling.interval}{units}, and the standard error of the fit")
    return figure, slope, 1 - residual / total if total else 1.0
