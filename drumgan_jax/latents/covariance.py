"""The covariance of a stream of rows, or its products with few vectors, on the host and in bounded memory."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

# Rows that are summed in float32 before they are added in float64; few enough to be read twice from a cache.
ROWS = 2**12
# Added to a Nyström approximation and taken off again, as a share of its norm: as the rounding errors of the sums.
_LIFT = float(np.finfo(np.float32).eps)


@dataclasses.dataclass(frozen=True)
class RowSums:
    """Sums over rows relative to a shift.

    Attributes:
        count: number of rows.
        shift: what is subtracted from each [width] float32; near their mean, to avoid cancellation.
        total: sum of the differences [width].
        products: sum of their outer products [width, width], or that times test vectors [width, tests].
        tests: the test vectors [width, tests] float32; None for the sum itself.
    """

    count: int
    shift: np.ndarray
    total: np.ndarray
    products: np.ndarray
    tests: np.ndarray | None = None

    @property
    def mean(self) -> np.ndarray:
        """Mean of the rows [width]."""
        return self.shift.astype(np.float64) + self.total / self.count

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance [width, width], or that times the test vectors [width, tests]."""
        total = self.total if self.tests is None else self.total @ self.tests
        return (self.products - np.outer(self.total, total) / self.count) / (self.count - 1)

    def only_with(self, tests: np.ndarray) -> "RowSums":
        """The same rows' sums for test vectors [width, tests] float32."""
        return dataclasses.replace(self, products=self.products @ tests, tests=tests)

    def add(self, blocks: Iterable[np.ndarray], most: int | None = None) -> "RowSums":
        """The sums with further blocks, of which none is read once there are `most` rows."""
        count, total, products = self.count, self.total, self.products
        shifted = None if self.tests is None else self.shift @ self.tests
        for block in blocks if most is None or count < most else ():
            if self.tests is None:
                part = block - self.shift
                # Of a matrix with itself, NumPy computes only a half.
                of_block = part.T @ part
                total = total + part.sum(axis=0)
            else:
                # That their products are relative to the shift is enough, and saves a pass over the rows.
                along = block @ self.tests
                along -= shifted
                of_block = block.T @ along
                of_block -= np.outer(self.shift, along.sum(axis=0))
                total = total + block.sum(axis=0) - len(block) * self.shift.astype(np.float64)
            products = products + of_block
            count += len(block)
            if most is not None and count >= most:
                break
        return dataclasses.replace(self, count=count, total=total, products=products)


def blocks_of(chunks: Iterable[Any]) -> Iterator[np.ndarray]:
    """Yield the rows of all chunks, [rows, width] float32 on the host, at most ROWS at once."""
    for chunk in chunks:
        rows = np.asarray(chunk, np.float32)
        yield from (rows[start : start + ROWS] for start in range(0, len(rows), ROWS))


def sums_of(blocks: Iterator[np.ndarray], most: int | None = None) -> RowSums | None:
    """Sums of blocks, of which none is read once there are `most` rows; None without any row."""
    first = next((block for block in blocks if len(block)), None)
    if first is None:
        return None
    width = first.shape[1]
    empty = RowSums(0, first.mean(axis=0, dtype=np.float64).astype(np.float32), np.zeros(width), np.zeros((width,) * 2))
    return empty.add([first]).add(blocks, most)


def nystroem(products: np.ndarray, tests: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvectors of a positive semidefinite matrix A, nearly, from its products with orthonormal test vectors.

    (Tropp, Yurtsever, Udell and Cevher 2017, algorithm 3, whose approximation is A T (T^T A T)^-1 T^T A.)

    Args:
        products: A T [width, tests].
        tests: T [width, tests].

    Returns:
        Eigenvalues, descending [tests], eigenvectors V [width, tests], and X [tests, tests] such that A T X = A V.
    """
    lift = _LIFT * float(np.linalg.norm(products)) + np.finfo(np.float64).tiny
    lifted = products + lift * tests
    core = tests.T @ lifted
    lower = np.linalg.cholesky((core + core.T) / 2)
    vectors, roots, turn = np.linalg.svd(np.linalg.solve(lower, lifted.T).T, full_matrices=False)
    return np.maximum(roots**2 - lift, 0.0), vectors, np.linalg.solve(lower.T, turn.T * roots)
