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
import jax.numpy as jnp
import numpy as np

from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.weight_file import DAMAGES
from drumgan_jax.latents.seeds import sample_of

Array = jax.Array

NUM_SAMPLES = 100_000
# Rows summed at once, and columns of one product, sized to fit a core's cache (benchmarks/bench_components.py). Only
# the blocks on and above the diagonal are computed.
_ROWS, _COLUMNS = 2048, 128
_CHUNK = 2**14
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
        return found


_BY_COMPONENT = ("directions", "deviations", "explained_variance_ratio")


def principal_components(
    chunks: Iterable[Array], metric: Array | np.ndarray | None = None, count: int | None = None
) -> Components:
    """Exact principal components of all rows of all chunks.

    Sums are taken in float32 around the first chunk's mean, to avoid cancellation, and accumulated in float64. Only one
    chunk is held in memory. The variance is the unbiased one.

    Without a mapping network, w has the same variance in all directions and its PCA is meaningless. GANSpace then takes
    the PCA of the first layer's activations and regresses w on them. A metric R does this for activations w R, from the
    covariances alone: component k with unit vector v_k and deviation s_k has the direction C R v_k / s_k, where C is
    the covariance of w. Entries of w with a zero row of R (labels) are zero in every direction.

    Args:
        chunks: samples [rows, w_dim] float32; each distinct number of rows compiles once.
        metric: R [w_dim, w_dim]; None for components of w itself.
        count: number of components; None for all: w_dim, or the number of nonzero rows of R.

    Raises:
        BadInput: there are fewer than two samples, or fewer components than `count`.
    """
    num_samples, mean, covariance = _moments(chunks)
    if metric is None:
        variances, vectors = _descending(covariance)
        total, directions, deviations = variances.sum(), vectors.T, np.sqrt(variances)
    else:
        r = np.asarray(metric, np.float64)
        moved = np.abs(r).sum(axis=1) > 0
        inside = covariance * np.outer(moved, moved)
        variances, vectors = _descending(r.T @ inside @ r)
        total, vectors, variances = variances.sum(), vectors[:, : moved.sum()], variances[: moved.sum()]
        strengths = np.sqrt(variances)
        floor = max(_FLAT * strengths.max(initial=0.0), np.finfo(float).tiny)
        steps = (inside @ r @ vectors / np.maximum(strengths, floor)).T
        deviations = np.linalg.norm(steps, axis=1)
        directions = steps / np.maximum(deviations, np.finfo(float).tiny)[:, None]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    found = Components(
        mean=mean.astype(np.float32),
        directions=(directions * np.where(largest < 0, -1.0, 1.0)).astype(np.float32),
        deviations=deviations.astype(np.float32),
        explained_variance_ratio=(variances / max(total, np.finfo(float).tiny)).astype(np.float32),
        num_samples=num_samples,
    )
    return found if count is None else found.first(count)


def components_of(generator: Any, variables: Mapping[str, Any], num_labels: int, num_samples: int) -> Components:
    """Components of w that a generator's `map` makes from random z and uniformly drawn labels.

    Args:
        generator: a parts.Generator.
        variables: its collections.
        num_labels: number of classes; 0 for none.
        num_samples: number of w.

    Raises:
        BadInput: there are fewer than two samples.
    """
    chunks = _sampled(generator, variables, num_labels, num_samples)
    return principal_components(chunks, None if generator.learns_w else generator.first_layer_map(variables["params"]))


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
        # From memory, because NumPy leaves the handle of a damaged file open.
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
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


def _sampled(generator: Any, variables: Mapping[str, Any], num_labels: int, num_samples: int) -> Iterator[Array]:
    for start in range(0, num_samples, _CHUNK):
        drawn = sample_of(np.uint32(start // _CHUNK), _CHUNK, generator.z_dim, num_labels)
        yield _first_w(generator, variables, *drawn)[: num_samples - start]


@functools.partial(jax.jit, static_argnums=0)
def _first_w(generator: Any, variables: Any, z: Array, labels: Array) -> Array:
    ws: Array = generator.apply(variables, z, labels if labels.shape[1] else None, method="map")
    return ws[:, 0]


def _moments(chunks: Iterable[Array]) -> tuple[int, np.ndarray, np.ndarray]:
    """Number, mean and covariance of all rows, in float64."""
    count, shift, total, scatter = 0, None, np.zeros(1), np.zeros((1, 1))
    for chunk in chunks:
        chunk = jnp.asarray(chunk, jnp.float32)
        if shift is None:
            shift = jnp.mean(chunk, axis=0)
        sums, blocks = _sums(chunk, shift)
        total = total + np.asarray(sums, np.float64)
        scatter = scatter + _assembled([np.asarray(block, np.float64) for block in blocks])
        count += len(chunk)
    if shift is None or count < 2:
        raise BadInput(f"{count} sample(s) have no principal components; take two or more.")
    covariance = (scatter - np.outer(total, total) / count) / (count - 1)
    return count, np.asarray(shift, np.float64) + total / count, covariance


@jax.jit
def _sums(chunk: Array, shift: Array) -> tuple[Array, list[Array]]:
    """Sum [d] of the rows minus a shift, and upper blocks [columns, d - start] of the sum of their outer products."""
    rows, width = chunk.shape
    starts = range(0, width, _COLUMNS)
    # Pad with the shift itself, which adds zero.
    missing = -rows % _ROWS
    if missing:
        chunk = jnp.concatenate([chunk, jnp.broadcast_to(shift, (missing, width))])

    def add(sums: tuple[Array, list[Array]], part: Array) -> tuple[tuple[Array, list[Array]], None]:
        part = part - shift
        products = [
            block + jnp.matmul(part[:, i : i + _COLUMNS].T, part[:, i:], precision=jax.lax.Precision.HIGHEST)
            for block, i in zip(sums[1], starts, strict=True)
        ]
        return (sums[0] + part.sum(axis=0), products), None

    empty = (jnp.zeros(width), [jnp.zeros((min(_COLUMNS, width - i), width - i)) for i in starts])
    return jax.lax.scan(add, empty, chunk.reshape(-1, _ROWS, width))[0]


def _assembled(blocks: list[np.ndarray]) -> np.ndarray:
    """Assemble the symmetric matrix [d, d] from its upper blocks."""
    width = blocks[0].shape[1]
    upper = np.zeros((width, width))
    for block in blocks:
        start = width - block.shape[1]
        upper[start : start + len(block), start:] = block
    upper = np.triu(upper)
    return upper + np.triu(upper, 1).T


def _descending(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, clipped at zero, and eigenvectors (columns) of a symmetric matrix, in descending order."""
    values, vectors = np.linalg.eigh(matrix)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]
