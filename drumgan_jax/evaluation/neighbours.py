"""Precision, recall, density and coverage, from blockwise nearest neighbours."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.intervals import Figure, bootstrap, sound_index

# Elements in a block of distances: 8 MiB in float64.
BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class Neighbourhoods:
    """Which samples are in whose balls.

    Attributes:
        around_fake: number of real balls around each fake sample [fake samples].
        covered: whether each real ball holds a fake sample [real samples] bool.
        recalled: whether each real sample is in a fake ball [real samples] bool.
        flat_real: number of real balls of radius 0.
        flat_fake: number of fake balls of radius 0.
    """

    around_fake: np.ndarray
    covered: np.ndarray
    recalled: np.ndarray
    flat_real: int
    flat_fake: int


def find_neighbourhoods(real: np.ndarray, fake: np.ndarray, k: int) -> Neighbourhoods:
    """Balls of both sides, from embeddings [samples, dimensions], with ties as `neighbour_metrics` says; on the host.

    k is the rank of the neighbour that sets the radius.
    """
    real, fake = relative_to_mean(real, fake)
    slack = rounding(real.shape[1], float(np.finfo(np.float64).eps))
    real_radii, fake_radii = _squared_radii(real, k), _squared_radii(fake, k)
    around_fake = np.zeros(len(fake), np.int64)
    covered, recalled = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, reals, distances in _blocks(real, fake, 1 + slack):
        near = distances < (real_radii[rows] - (1 + slack) * reals)[:, None]
        around_fake += near.sum(axis=0)
        covered[rows] = near.any(axis=1)
        distances -= fake_radii
        recalled[rows] = distances.min(axis=1) < -(1 + slack) * reals
    flat_real, flat_fake = (
        int(np.sum(radii <= 2 * slack * _squared_norms(x))) for x, radii in ((real, real_radii), (fake, fake_radii))
    )
    return Neighbourhoods(around_fake, covered, recalled, flat_real, flat_fake)


def relative_to_mean(real: np.ndarray, fake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sides [samples, dimensions] relative to their common mean, in float64.

    Distances do not change, and smaller norms mean smaller rounding errors.
    """
    centre = (real.mean(axis=0, dtype=np.float64) + fake.mean(axis=0, dtype=np.float64)) / 2
    return real - centre, fake - centre


def rounding(dimensions: int, epsilon: float) -> float:
    """Largest rounding error of a squared distance over |x|^2 + |y|^2, in arithmetic with this epsilon."""
    return 2 * (dimensions + 4) * epsilon


def neighbour_metrics(
    real: np.ndarray,
    fake: np.ndarray,
    k: int = 5,
    *,
    real_sounds: np.ndarray | None = None,
    fake_sounds: np.ndarray | None = None,
    by_sound: bool = True,
    find: Callable[[np.ndarray, np.ndarray, int], Neighbourhoods] = find_neighbourhoods,
) -> tuple[dict[str, Figure], list[str]]:
    """Precision, recall, density and coverage of a generated set (Naeem et al. 2020, eq. 3 to 6).

    Each sample has a ball with the distance to its k-th nearest neighbour in its own set, itself not counted, as its
    radius; a point inside is strictly nearer than that.
    precision: the share of fake samples inside any real ball; recall: the share of real samples inside any fake ball;
    density: the mean number of real balls around a fake sample, divided by k (it can exceed 1);
    coverage: the share of real balls with a fake sample inside.

    Distances are Euclidean, in float64. Differences within rounding error count as ties: a squared distance must be
    below the squared radius by more than 2 (dimensions + 4) epsilon (|x|^2 + |y|^2), with vectors relative to the
    common mean. A fake sample that copies the k-th neighbour is on the ball, not inside; a copy of a real sample whose
    ball has radius 0 is not inside that ball either.

    A sound of several samples counts as the mean over them, unless not `by_sound`: then every sample counts as much.
    The intervals cover the sampling of the averaged sounds, with the balls fixed.

    Args:
        real: real embeddings [samples, dimensions].
        fake: generated embeddings [samples, dimensions].
        k: rank of the neighbour that sets the radius.
        real_sounds: sound number of each real embedding [samples] int, non-decreasing; None if each is its own sound.
        fake_sounds: sound number of each generated embedding, likewise.
        by_sound: whether every sound has the same weight in a mean, else every sample.
        find: finds the balls.

    Returns:
        Figures `precision`, `recall`, `density`, `coverage`, and a sentence for each side whose duplicates make some
        of them meaningless.

    Raises:
        BadInput: a side has at most k samples or only one sound, or the dimensions differ.
    """
    for name, side in (("real", real), ("generated", fake)):
        if len(side) <= k:
            raise BadInput(
                f"Neighbour metrics with k = {k} need at least {k + 1} {name} embeddings, not {len(side)}; give more "
                "sounds."
            )
    if real.shape[1] != fake.shape[1]:
        raise BadInput(
            f"Neighbour metrics cannot compare embeddings with {real.shape[1]} and {fake.shape[1]} dimensions; embed "
            "both sides with the same embedder."
        )
    real_index, fake_index = (
        sound_index(real_sounds, len(real), "real"),
        sound_index(fake_sounds, len(fake), "generated"),
    )
    found = find(real, fake, k)
    figures = {
        "precision": bootstrap(found.around_fake > 0, index=fake_index, by_sound=by_sound),
        "recall": bootstrap(found.recalled, index=real_index, by_sound=by_sound),
        "density": bootstrap(found.around_fake / k, index=fake_index, by_sound=by_sound),
        "coverage": bootstrap(found.covered, index=real_index, by_sound=by_sound),
    }
    sides = (("real", real, found.flat_real, "density and coverage"), ("generated", fake, found.flat_fake, "recall"))
    return figures, [
        f"{flat} of {len(side)} {name} embeddings have {k} or more duplicates, so their balls have radius 0 and nothing"
        f" can be inside; {metrics} cannot be trusted until the duplicates are removed."
        for name, side, flat, metrics in sides
        if flat
    ]


def _squared_norms(x: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", x, x)


def _blocks(x: np.ndarray, y: np.ndarray, scale: float) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield blocks of rows of x: their slice, squared norms, and scale |y|^2 - 2 x.y [rows, y rows].

    The last array is valid until the next block. The norm of y is one more dimension of the product, which saves a pass
    over the block.
    """
    extended = np.concatenate([y, scale * _squared_norms(y)[:, None]], axis=1).T
    norms = _squared_norms(x)
    step = max(1, BLOCK // len(y))
    # Allocating memory for every block would take longer than filling it.
    memory = np.empty((min(step, len(x)), len(y)))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        part = x[rows]
        part = np.concatenate([-2 * part, np.ones((len(part), 1))], axis=1)
        yield rows, norms[rows], np.matmul(part, extended, out=memory[: len(part)])


def _squared_radii(x: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each row to its k-th neighbour [samples]; the row itself is the nearest, with 0."""
    radii = np.empty(len(x))
    for rows, norms, distances in _blocks(x, x, 1.0):
        distances.partition(k, axis=1)
        radii[rows] = distances[:, k] + norms
    return np.maximum(radii, 0)
