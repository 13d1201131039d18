"""Fréchet distances and moments, compiled; see `evaluation.frechet` for the definition."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from drumgan_jax.evaluation.compiled.placing import (
    WHOLE,
    epsilon,
    over_devices,
    padded,
    place,
    place_number,
    product,
    split,
)
from drumgan_jax.evaluation.frechet import check_moments
from drumgan_jax.evaluation.moments import Moments

Array = jax.Array


def frechet_distances(mesh: Mesh, a: Moments, others: Sequence[Moments]) -> np.ndarray:
    """Squared Fréchet distance [sets] from one set to each of the others, which are split over the devices.

    Raises:
        BadInput: as `evaluation.frechet.frechet_distance`.
    """
    for one in (a, *others):
        check_moments(one, len(a.mean))
    sets, dimensions = len(others), len(a.mean)
    # Devices that have none take the last again.
    others = [*others, *[others[-1]] * (-sets % mesh.size)]
    # No eigenvalues of the product are above zero beyond this rank.
    rank = max(min(a.count - 1, dimensions), 1)
    counts = np.array([b.count for b in others], np.int32)
    means, covariances = np.stack([b.mean for b in others]), np.stack([b.covariance for b in others])
    with jax.enable_x64(True):
        whole = (place_number(mesh, a.count), *(place(mesh, WHOLE, x) for x in (a.mean, a.covariance)))
        parts = (place(mesh, split(mesh), x) for x in (counts, means, covariances))
        return np.asarray(distances(mesh, rank, dimensions * epsilon(mesh), *whole, *parts))[:sets]


def moments_of_parts(mesh: Mesh, rows: np.ndarray, parts: Sequence[np.ndarray]) -> list[Moments]:
    """As `evaluation.moments.moments_of_parts`; the rows are split over the devices."""
    members = np.zeros((len(parts), len(rows)), bool)
    for of_part, part in zip(members, parts, strict=True):
        of_part[part] = True
    with jax.enable_x64(True):
        means, scatters = moments(
            mesh,
            place(mesh, split(mesh), padded(rows, mesh.size)),
            place(mesh, split(mesh, 1), padded(members, mesh.size, 1)),
        )
        found = zip(parts, np.asarray(means), np.asarray(scatters), strict=True)
    return [Moments(len(part), mean, scatter) for part, mean, scatter in found]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def distances(
    mesh: Mesh,
    most: int,
    rounding: float,
    count: Array,
    mean: Array,
    covariance: Array,
    counts: Array,
    means: Array,
    covariances: Array,
) -> Array:
    """`frechet_distances` from one set's moments to those of others [sets, ...], in float64.

    The covariance of the one has at most rank `most`; its eigenvalues of a smaller share than `rounding` are zero.
    """
    order = np.arange(most, dtype=np.int32)

    @over_devices(mesh, (WHOLE,) * 3 + (split(mesh),) * 3, split(mesh))
    def of_device(
        count: Array, mean: Array, covariance: Array, counts: Array, means: Array, covariances: Array
    ) -> Array:
        values, vectors = _eigh(covariance)
        rank = jnp.minimum(jnp.sum(values > rounding * values[-1], dtype=jnp.int32), count - 1)
        roots = jnp.sqrt(jnp.maximum(values[-most:], 0.0))
        factor = vectors[:, -most:] * jnp.where(order >= most - rank, roots, 0.0)

        def distance(other: tuple[Array, Array, Array]) -> Array:
            its_count, its_mean, its_covariance = other
            middle = product(factor.T, product(factor.T, its_covariance))
            roots = jnp.sqrt(jnp.maximum(_eigh(middle)[0], 0.0))
            # At most so many can be above zero; the rest is rounding error, whose square roots are not small.
            largest = order >= most - jnp.minimum(rank, its_count - 1)
            cross = jnp.sum(jnp.where(largest, roots, 0.0))
            traces = jnp.trace(covariance) + jnp.trace(its_covariance)
            return jnp.maximum(jnp.sum((mean - its_mean) ** 2) + traces - 2 * cross, 0.0)

        return jax.lax.map(distance, (counts, means, covariances))

    return of_device(count, mean, covariance, counts, means, covariances)


@functools.partial(jax.jit, static_argnums=0)
def moments(mesh: Mesh, rows: Array, members: Array) -> tuple[Array, Array]:
    """Mean [parts, dimensions] and scatter of those rows that are members [parts, rows] bool, in float64."""
    axes = mesh.axis_names

    @over_devices(mesh, (split(mesh), split(mesh, 1)), WHOLE)
    def of_device(rows: Array, members: Array) -> tuple[Array, Array]:
        rows = rows.astype(jnp.float64)

        def moments_of(inside: Array) -> tuple[Array, Array]:
            chosen = jnp.where(inside[:, None], rows, 0.0)
            count = jax.lax.psum(inside.sum(dtype=jnp.float64), axes)
            mean = jax.lax.psum(chosen.sum(axis=0), axes) / count
            deviations = jnp.where(inside[:, None], rows - mean, 0.0)
            return mean, jax.lax.psum(product(deviations.T, deviations.T), axes)

        return jax.lax.map(moments_of, members)

    return of_device(rows, members)


def _eigh(matrix: Array) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors (columns) of a symmetric matrix."""
    vectors, values = jax.lax.platform_dependent(matrix, tpu=_by_rotations, default=_by_library)
    return values, vectors


def _by_library(matrix: Array) -> tuple[Array, Array]:
    vectors, values = jax.lax.linalg.eigh(matrix, symmetrize_input=False)
    return vectors, values


def _by_rotations(matrix: Array) -> tuple[Array, Array]:
    # The default there, by polar decompositions, does not compile in float64.
    jacobi = jax.lax.linalg.EighImplementation.JACOBI
    vectors, values = jax.lax.linalg.eigh(matrix, symmetrize_input=False, implementation=jacobi)
    return vectors, values
