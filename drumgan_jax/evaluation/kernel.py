"""The kernel distance: KID on Inception's embeddings, and the same on any other's."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.intervals import NORMAL, Figure, has_several_rows, rows_of_sounds, sound_index

# Rows on each side of a block of kernel values: 8 MiB in float64.
BLOCK = 1000


def kernel_distance(
    real: np.ndarray,
    fake: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
    *,
    real_sounds: np.ndarray | None = None,
    fake_sounds: np.ndarray | None = None,
) -> Figure:
    """Mean over random subsets of the unbiased squared maximum mean discrepancy (Bińkowski et al. 2018, eq. 4).

    The kernel is (x.y / features + 1)^3. Subsets are drawn without replacement as torch-fidelity draws them, with the
    fake set as its first input. It can be slightly negative.

    Embeddings are measured from their common mean, products of what remains are in float32 and all else in float64.
    That takes half the time of float64, from which it was found to differ by 2e-8 of a distance of 4e-4 and by 4e-7 of
    one of 7e-6 (2048 features).

    The interval is of the choice of sounds on both sides, by the delta method on each sound's share of the distance
    (the sum of its samples'), with the error of drawing finitely many subsets; `spread` is the standard deviation over
    subsets. The estimate is unbiased for independent samples only: two of one sound are more alike than two of the law,
    which keeps the distance of equal laws above zero, the more so the fewer the sounds. The value has that excess in
    it, as published; the interval reaches down by it.

    Args:
        real: real embeddings [samples, features].
        fake: generated embeddings [samples, features].
        subsets: how many.
        subset_size: samples of each side in a subset.
        seed: of the draws.
        real_sounds: number of the sound of each real embedding [samples] int, non-decreasing; None where each is of a
            sound of its own.
        fake_sounds: the same of generated embeddings.

    Raises:
        BadInput: fewer samples than a subset takes, fewer than two in a subset, several samples that are all of one
            sound, or other dimensions on one side than on the other.
    """
    for name, side in (("real", real), ("generated", fake)):
        if len(side) < 2:
            raise BadInput(f"A kernel distance needs at least 2 {name} embeddings, not {len(side)}; give more sounds.")
        if len(side) < subset_size:
            raise BadInput(
                f"A kernel distance on subsets of {subset_size} needs that many {name} embeddings, not {len(side)}; "
                "give more sounds or a smaller subset size."
            )
    if subset_size < 2:
        raise BadInput(f"A kernel distance needs subsets of at least 2 embeddings, not {subset_size}.")
    if real.shape[1] != fake.shape[1]:
        raise BadInput(
            f"A kernel distance was asked of embeddings of {real.shape[1]} and of {fake.shape[1]} dimensions; embed "
            "both sides with the same embedder."
        )
    of_fake, of_real = sound_index(fake_sounds, len(fake), "generated"), sound_index(real_sounds, len(real), "real")
    draws = np.random.RandomState(seed)
    drawn = [[draws.choice(len(side), subset_size, replace=False) for side in (fake, real)] for _ in range(subsets)]
    indices = np.array([pair[0] for pair in drawn]), np.array([pair[1] for pair in drawn])
    x, y, constant = _measured_from_mean(fake, real)
    within_fake, fake_near_fake, _ = _subset_sums(x, x, indices[0], indices[0], constant)
    within_real, real_near_real, _ = _subset_sums(y, y, indices[1], indices[1], constant)
    across, fake_near_real, real_near_fake = _subset_sums(x, y, indices[0], indices[1], constant)
    estimates = (within_fake + within_real) / (subset_size * (subset_size - 1)) - 2 * across / subset_size**2

    # Each sample's derivative of the distance; the factor 2 because it enters as either of a pair.
    variance = (
        _variance_of_mean(2 * (fake_near_fake - fake_near_real), of_fake)
        + _variance_of_mean(2 * (real_near_real - real_near_fake), of_real)
        + estimates.var() / subsets
    )
    value, half = float(estimates.mean()), NORMAL * math.sqrt(variance)
    interval, unbiased = "delta method over samples, and the draw of subsets", value
    if has_several_rows(of_fake) or has_several_rows(of_real):
        interval = "delta method over sounds, the draw of subsets, and the excess of pairs of one sound"
        unbiased -= _excess(x, fake_near_fake, of_fake, constant) + _excess(y, real_near_real, of_real, constant)
    return Figure(value, min(value, unbiased) - half, max(value, unbiased) + half, interval, float(estimates.std()))


def _variance_of_mean(shares: np.ndarray, index: np.ndarray) -> float:
    """Of the mean of shares [samples], NaN of those that are not known, by sounds of `sound_index` [samples].

    The sum over sounds of the square of the sum of its centred shares, over the number of shares squared (Liang and
    Zeger 1986).
    """
    known = np.isfinite(shares)
    centred = np.where(known, shares - np.nanmean(shares), 0)
    return float(np.sum(np.bincount(index, centred) ** 2) / known.sum() ** 2)


def _excess(points: "_Points", near: np.ndarray, index: np.ndarray, constant: float) -> float:
    """What pairs of samples of one sound add to the mean kernel value of a side's pairs.

    Args:
        points: of the side.
        near: mean kernel value of each with the others [samples]; NaN where not known.
        index: which sound each is of [samples], from `sound_index`.
        constant: from `_measured_from_mean`.
    """
    within, pairs = 0.0, 0
    for rows in rows_of_sounds(index):
        sound, ones = points[rows], np.ones((len(rows), 1))
        within += _sums(sound, sound, ones, ones, constant)[0].item()
        pairs += len(rows) * (len(rows) - 1)
    all_pairs = len(points) * (len(points) - 1)
    # The mean of all pairs less the mean of pairs of two sounds.
    return (within - pairs * float(np.nanmean(near))) / (all_pairs - pairs)


@dataclasses.dataclass(frozen=True)
class _Points:
    """Embeddings as their difference from a common mean c.

    Attributes:
        rows: the differences [samples, features] in float32.
        shift: c.row / features [samples] in float64.
    """

    rows: np.ndarray
    shift: np.ndarray

    def __getitem__(self, index: slice | np.ndarray) -> "_Points":
        return _Points(self.rows[index], self.shift[index])

    def __len__(self) -> int:
        return len(self.rows)


def _measured_from_mean(a: np.ndarray, b: np.ndarray) -> tuple[_Points, _Points, float]:
    """Both sets, and what the kernel adds to every product: c.c / features + 1."""
    features = a.shape[1]
    # Any c near the mean will do, so one that float32 holds.
    mean = ((a.mean(axis=0, dtype=np.float64) + b.mean(axis=0, dtype=np.float64)) / 2).astype(np.float32)
    exact = mean.astype(np.float64)
    points = []
    for side in (a, b):
        rows = np.subtract(side, mean, dtype=np.float32)
        parts = (rows[start : start + BLOCK].astype(np.float64) @ exact for start in range(0, len(rows), BLOCK))
        shift = np.concatenate(list(parts)) / features
        # The scale goes into the rows, where it costs nothing.
        rows *= np.float32(features**-0.5)
        points.append(_Points(rows, shift))
    return points[0], points[1], float(exact @ exact) / features + 1


def _subset_sums(
    x: _Points, y: _Points, of_x: np.ndarray, of_y: np.ndarray, constant: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of kernel values over subsets [subsets, subset size] of x and of y, and means over pairs by sample.

    By whichever needs fewer kernel values: those of every subset, or those of all samples, of which a subset's sum is
    a quadratic form in its indicator. A sample is no pair with itself where `x` is `y`.

    Returns:
        Sums [subsets], and mean kernel values of each of x [samples] and of y; NaN of samples in no subset.
    """
    subsets, size = of_x.shape
    self_pairs = int(x is y)
    if len(x) * len(y) <= subsets * size * size:
        in_x, in_y = _indicators(of_x, len(x)), _indicators(of_y, len(y))
        sums, by_x, by_y = _sums(x, y, in_x, in_y, constant)
        return sums, by_x / (len(y) - self_pairs), by_y / (len(x) - self_pairs)

    sums, ones = np.empty(subsets), np.ones((size, 1))
    by_x, by_y, seen_x, seen_y = (np.zeros(len(points)) for points in (x, y, x, y))
    for i, (some_x, some_y) in enumerate(zip(of_x, of_y, strict=True)):
        part = x[some_x]
        sums[i : i + 1], part_x, part_y = _sums(part, part if self_pairs else y[some_y], ones, ones, constant)
        by_x[some_x] += part_x
        by_y[some_y] += part_y
        seen_x[some_x] += size - self_pairs
        seen_y[some_y] += size - self_pairs
    return sums, _ratio(by_x, seen_x), _ratio(by_y, seen_y)


def _indicators(subset: np.ndarray, samples: int) -> np.ndarray:
    """Which of the samples [samples, subsets] are in subsets [subsets, subset size], as 0 and 1."""
    result = np.zeros((samples, len(subset)))
    result[subset, np.arange(len(subset))[:, None]] = 1
    return result


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _sums(
    x: _Points, y: _Points, in_x: np.ndarray, in_y: np.ndarray, constant: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the kernel matrix, in_x^T K in_y [subsets] of indicators [samples, subsets], and its row and column sums.

    Where x is y the diagonal counts as zero.
    """
    sums, by_x, by_y = np.zeros(in_x.shape[1]), np.zeros(len(x)), np.zeros(len(y))
    for rows, columns, kernel in _kernel_blocks(x, y, constant):
        part = np.einsum("xs,xs->s", in_x[rows], kernel @ in_y[columns])
        along, down = kernel.sum(axis=1), kernel.sum(axis=0)
        sums += part
        by_x[rows] += along
        by_y[columns] += down
        if x is y and rows != columns:
            # The block below the diagonal is this one's transpose.
            sums += part
            by_x[columns] += down
            by_y[rows] += along
    return sums, by_x, by_y


def _kernel_blocks(x: _Points, y: _Points, constant: float) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Blocks of kernel values, good until the next one; where x is y, those on and above the diagonal, itself zero."""
    # Fresh memory for every block would take longer to get than to fill.
    memory = np.empty((2, BLOCK * BLOCK))
    for row in range(0, len(x), BLOCK):
        for column in range(row if x is y else 0, len(y), BLOCK):
            rows, columns = slice(row, row + BLOCK), slice(column, column + BLOCK)
            product = x.rows[rows] @ y.rows[columns].T
            base, kernel = memory[:, : product.size].reshape(2, *product.shape)
            np.add(product, (x.shift[rows] + constant)[:, None], out=base)
            base += y.shift[columns]
            np.multiply(base, base, out=kernel)
            kernel *= base
            if x is y and row == column:
                np.fill_diagonal(kernel, 0)
            yield rows, columns, kernel
