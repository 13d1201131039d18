"""Sums of the cubic kernel over subsets of samples, on the host."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.evaluation.intervals import rows_of_sounds

Array = jax.Array

# Rows and columns of a block of products: 16 MB in float32. The matrix product is slower in smaller ones.
BLOCK = 2000
# Rows of it that are cubed at once, so that they stay in a core's cache.
_SLAB = 64


@dataclasses.dataclass(frozen=True)
class Points:
    """Embeddings relative to a common mean c.

    Attributes:
        rows: the differences from c [samples, dimensions] in float32, divided by the root of the dimensions.
        shift: c.difference / dimensions [samples] in float64.
    """

    rows: np.ndarray
    shift: np.ndarray

    def __getitem__(self, index: slice | np.ndarray) -> "Points":
        return Points(self.rows[index], self.shift[index])

    def __len__(self) -> int:
        return len(self.rows)


class SubsetSums(NamedTuple):
    """Kernel values of samples of x with samples of y, of which some form pairs of subsets.

    Attributes:
        sums: sum over the pairs of each subset [subsets].
        near_x: mean of each sample of x over its pairs [samples]; NaN for samples in no subset.
        near_y: the same of y.
    """

    sums: np.ndarray
    near_x: np.ndarray
    near_y: np.ndarray


def centred(a: np.ndarray, b: np.ndarray) -> tuple[Points, Points, float]:
    """Both sets relative to a common mean c, and the kernel's constant term: c.c / dimensions + 1.

    The kernel of two samples is then (product of rows + both shifts + constant)^3.
    """
    dimensions = a.shape[1]
    # Any c near the mean will do; this one is exact in float32.
    mean = ((a.mean(axis=0, dtype=np.float64) + b.mean(axis=0, dtype=np.float64)) / 2).astype(np.float32)
    exact = mean.astype(np.float64)
    points = []
    for side in (a, b):
        rows = np.subtract(side, mean, dtype=np.float32)
        parts = (rows[start : start + BLOCK].astype(np.float64) @ exact for start in range(0, len(rows), BLOCK))
        shift = np.concatenate(list(parts)) / dimensions
        # Scaling the rows is cheaper than scaling their products.
        rows *= np.float32(dimensions**-0.5)
        points.append(Points(rows, shift))
    return points[0], points[1], float(exact @ exact) / dimensions + 1


def takes_all_samples(x: Points, y: Points, of_x: np.ndarray) -> bool:
    """Whether all samples have fewer pairs than all subsets [subsets, subset size] together."""
    subsets, size = of_x.shape
    return len(x) * len(y) <= subsets * size * size


def subset_sums(x: Points, y: Points, of_x: np.ndarray, of_y: np.ndarray, constant: float) -> SubsetSums:
    """Sums of kernel values over subsets [subsets, subset size] of x and y, and each sample's mean over its pairs.

    Evaluates the kernel on every subset or on all samples, whichever needs fewer values; a subset's sum is then a
    quadratic form in its indicator vector. If `x` is `y`, a sample is not paired with itself.
    """
    if takes_all_samples(x, y, of_x):
        in_x, in_y = indicators(of_x, len(x)), indicators(of_y, len(y))
        sums, by_x, by_y = _sums(x, y, in_x, in_y, constant)
        return SubsetSums(sums, by_x / (len(y) - (x is y)), by_y / (len(x) - (x is y)))

    subsets, size = of_x.shape
    sums, ones = np.empty(subsets), np.ones((size, 1), np.float32)
    along, down = np.empty((subsets, size)), np.empty((subsets, size))
    for i, (some_x, some_y) in enumerate(zip(of_x, of_y, strict=True)):
        part = x[some_x]
        sums[i : i + 1], along[i], down[i] = _sums(part, part if x is y else y[some_y], ones, ones, constant)
    pairs = size - (x is y)
    return SubsetSums(sums, mean_over_subsets(along, of_x, len(x), pairs), mean_over_subsets(down, of_y, len(y), pairs))


def sums_within_sounds(points: Points, index: np.ndarray, constant: float) -> float:
    """Sum of kernel values over the pairs of samples from one sound, by `sound_index` [samples]."""
    total = 0.0
    for rows in rows_of_sounds(index):
        sound, ones = points[rows], np.ones((len(rows), 1), np.float32)
        total += _sums(sound, sound, ones, ones, constant)[0].item()
    return total


def indicators(subset: np.ndarray, samples: int) -> np.ndarray:
    """Indicator vectors of subsets [subsets, subset size]: 1 for each sample in a subset, else 0 [samples, subsets]."""
    result = np.zeros((samples, len(subset)), np.float32)
    result[subset, np.arange(len(subset))[:, None]] = 1
    return result


def mean_over_subsets(sums: np.ndarray, subset: np.ndarray, samples: int, pairs: int) -> np.ndarray:
    """Mean [samples] of a sample's pairs from its sum in each subset [subsets, subset size]; NaN if it is in none."""
    total = np.bincount(subset.ravel(), sums.ravel(), samples)
    count = np.bincount(subset.ravel(), minlength=samples) * pairs
    return np.divide(total, count, out=np.full(samples, np.nan), where=count > 0)


def _sums(
    x: Points, y: Points, in_x: np.ndarray, in_y: np.ndarray, constant: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """in_x^T K in_y [subsets] for the kernel matrix K and indicators [samples, subsets], and K's row and column sums.

    If x is y, the diagonal counts as zero.
    """
    sums, by_x, by_y = _sums_without_products(x, y, in_x, in_y, constant)
    in_y = np.concatenate([in_y, np.ones((len(y), 1), np.float32)], axis=1)
    for rows, columns, along, down in _blocks(x, y, in_y, constant):
        part = np.einsum("xs,xs->s", in_x[rows], along[:, :-1], dtype=np.float64)
        sums += part
        by_x[rows] += along[:, -1]
        by_y[columns] += down
        if x is y and rows != columns:
            # The block below the diagonal is the transpose of this one.
            sums += part
            by_x[columns] += down
            by_y[rows] += along[:, -1]
    return sums, by_x, by_y


def _sums_without_products(
    x: Points, y: Points, in_x: np.ndarray, in_y: np.ndarray, constant: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`_sums` as if all products of rows were zero, in float64: cubes of w = u + v, by the binomial theorem."""
    u, v = x.shift + constant, y.shift
    powers_u, powers_v = u[:, None] ** np.arange(4), v[:, None] ** np.arange(3, -1, -1)
    powers_u *= [1, 3, 3, 1]
    sums = ((in_x.T @ powers_u) * (in_y.T @ powers_v)).sum(axis=1)
    by_x, by_y = powers_u @ powers_v.sum(axis=0), powers_v @ powers_u.sum(axis=0)
    if x is y:
        diagonal = (u + v) ** 3
        sums -= in_x.T @ diagonal
        by_x -= diagonal
        by_y -= diagonal
    return sums, by_x, by_y


def _blocks(
    x: Points, y: Points, in_y: np.ndarray, constant: float
) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
    """Yield sums over blocks of (w + r)^3 - w^3 in float32 for products r and the rest w.

    What is left out is large, has no rounding error in `_sums_without_products`, and float32 is enough for the rest. If
    x is y, only blocks on or above the diagonal, and the diagonal is zero.

    Yields:
        The block's rows and columns, the block times `in_y` [rows, subsets], and its sums over rows [columns].
    """
    u = x.shift + constant
    columns_three, columns_half = (_scaled(y.shift, scale) for scale in (1.5, 0.75**0.5))
    rows_three, rows_half = (_scaled(u, scale)[:, None] for scale in (1.5, 0.75**0.5))
    # Allocating memory for every block would take longer than filling it.
    memory = np.empty(BLOCK * BLOCK, np.float32)
    for row in range(0, len(x), BLOCK):
        for column in range(row if x is y else 0, len(y), BLOCK):
            rows, columns = slice(row, row + BLOCK), slice(column, column + BLOCK)
            left, right, of_columns = x.rows[rows], y.rows[columns], in_y[columns]
            rest = rows_three[rows], columns_three[columns], rows_half[rows], columns_half[columns]
            diagonal = x is y and row == column
            if len(left) == len(right) == BLOCK:
                # XLA's product is nearly twice as fast as NumPy's, and worth a program of this one shape. All of it is
                # XLA's, as NumPy's threads go on spinning after a product of theirs. The two round differently, by
                # 1e-9 on average, which cancels only within one of them.
                with jax.default_device(jax.local_devices(backend="cpu")[0]):
                    along, down = map(np.asarray, _block_sums(left, right, of_columns, *rest, diagonal=diagonal))
            else:
                product = np.matmul(left, right.T, out=memory[: len(left) * len(right)].reshape(len(left), len(right)))
                cubes = _cubes_of(product, *rest)
                if diagonal:
                    np.fill_diagonal(cubes, 0)
                along, down = cubes @ of_columns, cubes.sum(axis=0)
            yield rows, columns, along, down


@functools.partial(jax.jit, static_argnames="diagonal")
def _block_sums(left: Array, right: Array, of_columns: Array, *rest: Array, diagonal: bool) -> tuple[Array, Array]:
    """A block's (w + r)^3 - w^3 [rows, columns] times `of_columns` [columns, subsets], and its sums [columns]."""
    precision = jax.lax.Precision.HIGHEST
    cubes = _cubes(jnp.matmul(left, right.T, precision=precision), *rest)
    if diagonal:
        cubes = jnp.where(jnp.eye(len(left), dtype=bool), 0.0, cubes)
    return jnp.matmul(cubes, of_columns, precision=precision), cubes.sum(axis=0)


def _cubes(r: Any, rows_three: Any, columns_three: Any, rows_half: Any, columns_half: Any) -> Any:
    """(w + r)^3 - w^3 = r ((r + 3 w / 2)^2 + 3 w^2 / 4), from 3 w / 2 and the root of 3 w^2 / 4 by rows and columns."""
    return r * ((r + (rows_three + columns_three)) ** 2 + (rows_half + columns_half) ** 2)


def _cubes_of(
    product: np.ndarray, rows_three: np.ndarray, columns_three: np.ndarray, *halves: np.ndarray
) -> np.ndarray:
    """`_cubes` of a product, in its place, a slab at a time."""
    rows_half, columns_half = halves
    for start in range(0, len(product), _SLAB):
        some = slice(start, start + _SLAB)
        product[some] = _cubes(product[some], rows_three[some], columns_three, rows_half[some], columns_half)
    return product


def _scaled(values: np.ndarray, scale: float) -> np.ndarray:
    return (values * scale).astype(np.float32)
