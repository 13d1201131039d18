"""Principal components of w (GANSpace, Härkönen et al. 2020): exact, from a stream of samples, in bounded memory."""

import contextlib
import dataclasses
import functools
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from drumgan_jax.core.array_files import DAMAGES, read_arrays
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.latents.covariance import RowSums, blocks_of, nystroem, sums_of
from drumgan_jax.latents.seeds import sample_of

Array = jax.Array

NUM_SAMPLES = 100_000
_CHUNK = 2**14
# A randomised search takes its test vectors, two for each component and some more, from the covariance of so many rows.
_SAMPLE, _MORE = 3 * 2**14, 8
# Deviations below this share of the largest are rounding errors.
_FLAT = 1e-6


@dataclasses.dataclass(frozen=True)
class Components:
    """Principal components, the strongest first.

    Attributes:
        mean: mean of the samples [w_dim].
        directions: unit vectors [components, w_dim]; in each, the entry of the largest magnitude is positive.
        deviations: standard deviation along each direction [components].
        explained_variance_ratio: share of the variance along each direction [components].
        num_samples: number of samples used.
    """

    mean: np.ndarray
    directions: np.ndarray
    deviations: np.ndarray
    explained_variance_ratio: np.ndarray
    num_samples: int

    def __len__(self) -> int:
        return len(self.directions)

    def first(self, count: int) -> "Components":
        """The strongest `count` components.

        Raises:
            BadInput: there are fewer.
        """
        if not 1 <= count <= len(self):
            raise BadInput(f"there are {len(self)} components, not {count}; ask for 1 to {len(self)}.")
        parts = {name: getattr(self, name)[:count] for name in _BY_COMPONENT}
        return dataclasses.replace(self, **parts)

    def arrays(self) -> dict[str, np.ndarray]:
        """The components as arrays by name, from which `of_arrays` builds them again."""
        return {f.name: np.asarray(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Components":
        """Build components from the arrays that `arrays` returns.

        Raises:
            ValueError, KeyError: arrays are missing or do not fit each other.
        """
        parts = {name: arrays[name] for name in ("mean", *_BY_COMPONENT)}
        found = cls(num_samples=int(arrays["num_samples"]), **parts)
        count = len(found.deviations)
        shapes = {found.directions.shape, (count, *found.mean.shape)}
        if len(shapes) > 1 or found.explained_variance_ratio.shape != (count,):
            raise ValueError("arrays of different components")
        if not all(np.issubdtype(part.dtype, np.floating) and np.isfinite(part).all() for part in parts.values()):
            raise ValueError("components that are no finite numbers")
        return found


_BY_COMPONENT = ("directions", "deviations", "explained_variance_ratio")


def principal_components(
    chunks: Iterable[Array | np.ndarray],
    metric: Array | np.ndarray | None = None,
    count: int | None = None,
    *,
    randomised: bool = False,
) -> Components:
    """Principal components of all rows of all chunks: exact, or sooner and nearly so.

    Sums are taken in float32 around the first rows' mean, to avoid cancellation, and accumulated in float64, on the
    host, whose matrix product takes advantage of the symmetry. Only one chunk is held in memory. The variance is the
    unbiased one.

    If `randomised`, the covariance of the first 49,152 rows is exact, and gives the test vectors, two for each
    component and eight more, with which alone the covariance of the others is multiplied. The components are those of
    its Nyström approximation (Halko, Martinsson and Tropp 2011, eq. 5.5; Tropp et al. 2017, algorithm 3). Rows should
    be in random order. The first 20 directions of 1,000,000 x 512 samples whose deviations fall as k^-0.7 were off by
    5e-4 (exact: 1e-8); the share of variance outside the test vectors is that of the first rows.

    Without a mapping network, w has the same variance in all directions and its PCA is meaningless. GANSpace then takes
    the PCA of the first layer's activations and regresses w on them. A metric R does this for activations w R, from the
    covariances alone: component k with unit vector v_k and deviation s_k has the direction C R v_k / s_k, where C is
    the covariance of w. Entries of w with a zero row of R (labels) are zero in every direction.

    Args:
        chunks: samples [rows, w_dim] float32.
        metric: R [w_dim, w_dim]; None for components of w itself.
        count: number of components; None for all: w_dim, or the number of nonzero rows of R.
        randomised: whether to save time; needs a `count`.

    Raises:
        BadInput: there are fewer than two samples, or fewer components than `count`.
    """
    if randomised and count is None:
        raise BadInput("a randomised search finds a given number of components; give the number.")
    blocks = blocks_of(chunks)
    sums = sums_of(blocks, _SAMPLE if randomised else None)
    if sums is None or sums.count < 2:
        raise BadInput(f"{sums.count if sums else 0} sample(s) have no principal components; take two or more.")
    r = None if metric is None else np.asarray(metric, np.float64)
    axes = _axes(sums, r)
    tests = 2 * (count or 0) + _MORE
    if randomised and tests < len(axes.variances):
        sums, axes = _from_tests(sums, blocks, r, axes, tests)
    elif randomised:
        sums = sums.add(blocks)
        axes = _axes(sums, r)
    directions, deviations = axes.vectors.T, np.sqrt(axes.variances)
    if axes.response is not None:
        floor = max(_FLAT * deviations.max(initial=0.0), np.finfo(float).tiny)
        steps = (axes.response / np.maximum(deviations, floor)).T
        deviations = np.linalg.norm(steps, axis=1)
        directions = steps / np.maximum(deviations, np.finfo(float).tiny)[:, None]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    found = Components(
        mean=sums.mean.astype(np.float32),
        directions=(directions * np.where(largest < 0, -1.0, 1.0)).astype(np.float32),
        deviations=deviations.astype(np.float32),
        explained_variance_ratio=(axes.variances / max(axes.total, np.finfo(float).tiny)).astype(np.float32),
        num_samples=sums.count,
    )
    return found if count is None else found.first(count)


def components_of(
    generator: Any,
    variables: Mapping[str, Any],
    num_labels: int,
    num_samples: int,
    count: int | None = None,
    *,
    typical: np.ndarray | None = None,
    randomised: bool = False,
) -> Components:
    """Components of w that a generator's `map` makes from random z and uniformly drawn labels.

    Args:
        generator: a parts.Generator.
        variables: its collections.
        num_labels: number of classes; 0 for none.
        num_samples: number of w.
        count: as in `principal_components`.
        typical: see `seeds.sample_of`.
        randomised: as in `principal_components`.

    Raises:
        BadInput: as `principal_components`.
    """
    chunks = _sampled(generator, variables, num_labels, num_samples, typical)
    metric = None if generator.learns_w else generator.first_layer_map(variables["params"])
    return principal_components(chunks, metric, count, randomised=randomised)


def save_components(path: str | os.PathLike[str], components: Components, model: str) -> None:
    """Write the components of a model (named by its digest) as .npz, atomically.

    Raises:
        OSError: the file cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, model=np.array(model), **components.arrays())  # type: ignore[arg-type]
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_components(path: str | os.PathLike[str], model: str) -> Components | None:
    """Components that `save_components` wrote, or None if the file is unreadable or belongs to another model."""
    try:
        arrays = read_arrays(path, "delete it")
        return Components.of_arrays(arrays) if str(arrays["model"]) == model else None
    except DAMAGES:
        return None


def kept_components(path: Path | None, model: str, find: Callable[[], Components]) -> Components:
    """A model's components from a file, or else from `find`, whose result is then saved there."""
    found = None if path is None else load_components(path, model)
    if found is None:
        found = find()
        if path is not None:
            # A read-only run can still be played.
            with contextlib.suppress(OSError):
                save_components(path, found, model)
    return found


def _sampled(
    generator: Any, variables: Mapping[str, Any], num_labels: int, num_samples: int, typical: np.ndarray | None
) -> Iterator[Array]:
    for start in range(0, num_samples, _CHUNK):
        drawn = sample_of(np.uint32(start // _CHUNK), _CHUNK, generator.z_dim, num_labels, typical)
        yield _first_w(generator, variables, *drawn)[: num_samples - start]


@functools.partial(jax.jit, static_argnums=0)
def _first_w(generator: Any, variables: Any, z: Array, labels: Array) -> Array:
    ws: Array = generator.apply(variables, z, labels if labels.shape[1] else None, method="map")
    return ws[:, 0]


@dataclasses.dataclass(frozen=True)
class _Axes:
    """Axes of the samples, or of what a metric makes of them, the strongest first.

    Attributes:
        variances: along each [axes].
        vectors: unit vectors [w_dim, axes].
        response: covariance of w with each axis, if there is a metric [w_dim, axes].
        total: variance along all axes.
    """

    variances: np.ndarray
    vectors: np.ndarray
    response: np.ndarray | None
    total: float


def _axes(sums: RowSums, r: np.ndarray | None) -> _Axes:
    covariance = sums.covariance
    if r is None:
        variances, vectors = _descending(covariance)
        return _Axes(variances, vectors, None, float(variances.sum()))
    moved = np.abs(r).sum(axis=1) > 0
    of_r = moved[:, None] * (covariance @ r)
    variances, vectors = _descending(r.T @ of_r)
    total, found = float(variances.sum()), int(moved.sum())
    return _Axes(variances[:found], vectors[:, :found], of_r @ vectors[:, :found], total)


def _from_tests(
    sums: RowSums, blocks: Iterable[np.ndarray], r: np.ndarray | None, first: _Axes, tests: int
) -> tuple[RowSums, _Axes]:
    """Sums with the remaining blocks, and their axes, with the strongest axes of the first rows as test vectors."""
    vectors = first.vectors[:, :tests]
    sums = sums.only_with((vectors if r is None else r @ vectors).astype(np.float32)).add(blocks)
    products = sums.covariance if r is None else (np.abs(r).sum(axis=1) > 0)[:, None] * sums.covariance
    variances, found, mixture = nystroem(products if r is None else r.T @ products, vectors)
    rest = first.total - float(first.variances[:tests].sum())
    response = None if r is None else products @ mixture
    return sums, _Axes(variances, found, response, float(variances.sum()) + rest)


def _descending(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, clipped at zero, and eigenvectors (columns) of a symmetric matrix, in descending order."""
    values, vectors = np.linalg.eigh(matrix)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]
