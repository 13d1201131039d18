"""Sums of the cubic kernel over subsets, compiled; see `evaluation.kernel_sums` for what they are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from drumgan_jax.evaluation.compiled.placing import (
    WHOLE,
    block_rows,
    over_devices,
    padded,
    place,
    place_number,
    product,
    split,
)
from drumgan_jax.evaluation.kernel_sums import (
    Points,
    SubsetSums,
    indicators,
    mean_over_subsets,
    takes_all_samples,
)

Array = jax.Array


def subset_sums(mesh: Mesh, x: Points, y: Points, of_x: np.ndarray, of_y: np.ndarray, constant: float) -> SubsetSums:
    """As `evaluation.kernel_sums.subset_sums`; the rows of x or the subsets are split over the devices."""
    if takes_all_samples(x, y, of_x):
        sums, by_x, by_y = _of_all(mesh, x, y, of_x, of_y, constant)
        return SubsetSums(sums, by_x / (len(y) - (x is y)), by_y / (len(x) - (x is y)))
    subsets, size = of_x.shape
    with jax.enable_x64(True):
        whole_x = _whole(mesh, x)
        whole_y = whole_x if x is y else _whole(mesh, y)
        sets = (place(mesh, split(mesh), padded(index.astype(np.int32), mesh.size)) for index in (of_x, of_y))
        along, down = (
            np.asarray(sums)[:subsets] for sums in by_subsets(mesh, x is y, *whole_x, *whole_y, constant, *sets)
        )
    pairs = size - (x is y)
    return SubsetSums(
        along.sum(axis=1),
        mean_over_subsets(along, of_x, len(x), pairs),
        mean_over_subsets(down, of_y, len(y), pairs),
    )


def sums_within_sounds(mesh: Mesh, points: Points, index: np.ndarray, constant: float) -> float:
    """As `evaluation.kernel_sums.sums_within_sounds`; rows are split over the devices."""
    with jax.enable_x64(True):
        own = np.arange(len(points), dtype=np.int32)
        own = np.pad(own, (0, -len(own) % mesh.size), constant_values=len(own))
        total = within_sounds(
            mesh,
            place(mesh, split(mesh), own),
            *(place(mesh, WHOLE, part) for part in (points.rows, points.shift, index.astype(np.int32))),
            place_number(mesh, int(np.bincount(index).max())),
            constant,
        )
        return float(total)


def _of_all(
    mesh: Mesh, x: Points, y: Points, of_x: np.ndarray, of_y: np.ndarray, constant: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    step = block_rows(mesh, len(x), len(y))
    # One more subset has all samples.
    in_x, in_y = (
        np.pad(indicators(subset, len(points)), ((0, 0), (0, 1)), constant_values=1)
        for subset, points in ((of_x, x), (of_y, y))
    )
    with jax.enable_x64(True):
        rows = (place(mesh, split(mesh), padded(part, step * mesh.size)) for part in (x.rows, x.shift, in_x))
        columns = (place(mesh, WHOLE, part) for part in (y.rows, y.shift, in_y))
        sums, by_x, by_y = map(np.asarray, by_blocks(mesh, x is y, step, *rows, *columns, constant))
    return sums[:-1], by_x[: len(x)], by_y


def _whole(mesh: Mesh, points: Points) -> tuple[Array, Array]:
    return place(mesh, WHOLE, points.rows), place(mesh, WHOLE, points.shift)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def by_blocks(
    mesh: Mesh,
    same: bool,
    step: int,
    x: Array,
    x_shift: Array,
    in_x: Array,
    y: Array,
    y_shift: Array,
    in_y: Array,
    constant: Array,
) -> tuple[Array, Array, Array]:
    """in_x^T K in_y [subsets] for the kernel matrix K, K in_y's last column, and in_x's last column times K.

    If `same`, the diagonal of K counts as zero. The matrix is computed in blocks of `step` rows of each device.
    """

    @over_devices(mesh, (split(mesh),) * 3 + (WHOLE,) * 4, (WHOLE, WHOLE, split(mesh)))
    def of_device(
        x: Array, x_shift: Array, in_x: Array, y: Array, y_shift: Array, in_y: Array, constant: Array
    ) -> tuple[Array, Array, Array]:
        first = jax.lax.axis_index(mesh.axis_names) * len(x)
        in_y = in_y.astype(jnp.float64)

        def add(
            sums: tuple[Array, Array], part: tuple[Array, Array, Array, Array]
        ) -> tuple[tuple[Array, Array], Array]:
            rows, shift, inside, number = part
            kernel = _kernel(rows, shift, y, y_shift, constant)
            if same:
                kernel = jnp.where(number[:, None] == jnp.arange(len(y), dtype=jnp.int32), 0.0, kernel)
            inside = inside.astype(jnp.float64)
            along = product(kernel, in_y.T)
            return (sums[0] + jnp.sum(inside * along, axis=0), sums[1] + inside[:, -1] @ kernel), along[:, -1]

        parts = (x, x_shift, in_x, first + jnp.arange(len(x), dtype=jnp.int32))
        blocks = jax.tree.map(lambda part: part.reshape(-1, step, *part.shape[1:]), parts)
        empty = (jnp.zeros(in_x.shape[1]), jnp.zeros(len(y)))
        sums, by_x = jax.lax.scan(add, empty, blocks)
        return *jax.lax.psum(sums, mesh.axis_names), by_x.reshape(-1)

    sums, by_y, by_x = of_device(x, x_shift, in_x, y, y_shift, in_y, constant)
    return sums, by_x, by_y


@functools.partial(jax.jit, static_argnums=(0, 1))
def by_subsets(
    mesh: Mesh,
    same: bool,
    x: Array,
    x_shift: Array,
    y: Array,
    y_shift: Array,
    constant: Array,
    of_x: Array,
    of_y: Array,
) -> tuple[Array, Array]:
    """Row and column sums [subsets, subset size] of each subset's kernel matrix, without its diagonal if `same`."""

    @over_devices(mesh, (WHOLE,) * 5 + (split(mesh),) * 2, split(mesh))
    def of_device(
        x: Array, x_shift: Array, y: Array, y_shift: Array, constant: Array, of_x: Array, of_y: Array
    ) -> tuple[Array, Array]:
        def sums(subset: tuple[Array, Array]) -> tuple[Array, Array]:
            i, j = subset
            kernel = _kernel(x[i], x_shift[i], y[j], y_shift[j], constant)
            if same:
                kernel = jnp.where(jnp.eye(len(i), dtype=bool), 0.0, kernel)
            return kernel.sum(axis=1), kernel.sum(axis=0)

        return jax.lax.map(sums, (of_x, of_y))

    return of_device(x, x_shift, y, y_shift, constant, of_x, of_y)


@functools.partial(jax.jit, static_argnums=0)
def within_sounds(
    mesh: Mesh, own: Array, rows: Array, shift: Array, sounds: Array, longest: Array, constant: Array
) -> Array:
    """`sums_within_sounds` of samples whose sound numbers are ascending, of which none has more than `longest`.

    `own` are the numbers of the samples that a device pairs with later ones; past the end, of none.
    """

    @over_devices(mesh, (split(mesh),) + (WHOLE,) * 5, WHOLE)
    def of_device(own: Array, rows: Array, shift: Array, sounds: Array, longest: Array, constant: Array) -> Array:
        def add(distance: Array, total: Array) -> Array:
            later = jnp.minimum(own + distance, len(rows) - 1)
            paired = (own + distance < len(rows)) & (sounds[own] == sounds[later])
            products = jnp.sum(rows[own].astype(jnp.float64) * rows[later].astype(jnp.float64), axis=1)
            kernel = (products + (shift[own] + shift[later] + constant)) ** 3
            return total + 2 * jnp.sum(jnp.where(paired, kernel, 0.0))

        return jax.lax.psum(jax.lax.fori_loop(jnp.int32(1), longest, add, jnp.zeros(())), mesh.axis_names)

    return of_device(own, rows, shift, sounds, longest, constant)


def _kernel(x: Array, x_shift: Array, y: Array, y_shift: Array, constant: Array) -> Array:
    """Kernel values [x rows, y rows] in float64, from products in float32."""
    base = product(x, y).astype(jnp.float64) + (x_shift + constant)[:, None] + y_shift
    return base * base * base
