"""Balls of neighbours, compiled; see `evaluation.neighbours` for the definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from drumgan_jax.evaluation.compiled.placing import (
    WHOLE,
    block_rows,
    epsilon,
    over_devices,
    padded,
    place,
    place_number,
    product,
    split,
)
from drumgan_jax.evaluation.neighbours import Neighbourhoods, relative_to_mean, rounding

Array = jax.Array

# Further than any embedding, and squared still within the range of a TPU's float64, which is that of float32.
_FAR = 1e30


def find_neighbourhoods(mesh: Mesh, real: np.ndarray, fake: np.ndarray, k: int) -> Neighbourhoods:
    """As `evaluation.neighbours.find_neighbourhoods`; the rows of both sides are split over the devices."""
    slack = rounding(real.shape[1], epsilon(mesh))
    sides = relative_to_mean(real, fake)
    step = block_rows(mesh, max(map(len, sides)), max(map(len, sides)))
    with jax.enable_x64(True):
        placed = [place(mesh, split(mesh), padded(side, step * mesh.size)) for side in sides]
        counts = [place_number(mesh, len(side)) for side in sides]
        around, covered, recalled, flat_real, flat_fake = map(
            np.asarray, neighbourhoods(mesh, k, step, slack, *placed, *counts)
        )
    real_rows = slice(len(real))
    return Neighbourhoods(
        around[: len(fake)].astype(np.int64), covered[real_rows], recalled[real_rows], int(flat_real), int(flat_fake)
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def neighbourhoods(
    mesh: Mesh, k: int, step: int, slack: float, real: Array, fake: Array, real_count: Array, fake_count: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """The parts of Neighbourhoods in float64, of the first so many rows of each side, in blocks of `step` rows."""
    axes = mesh.axis_names

    @over_devices(mesh, (split(mesh),) * 2 + (WHOLE,) * 2, (WHOLE, split(mesh), split(mesh), WHOLE, WHOLE))
    def of_device(
        real: Array, fake: Array, real_count: Array, fake_count: Array
    ) -> tuple[Array, Array, Array, Array, Array]:
        def side(rows: Array, count: Array) -> tuple[Array, Array, Array, Array, Array]:
            """All rows, the squared norms of all and of the device's own, own squared radii, and own flat balls."""
            everywhere = jax.lax.all_gather(rows, axes, tiled=True)
            norms = jnp.where(jnp.arange(len(everywhere), dtype=jnp.int32) < count, _squared_norms(everywhere), _FAR)
            own = jnp.arange(len(rows), dtype=jnp.int32) + jax.lax.axis_index(axes) * len(rows)
            own_norms = _squared_norms(rows)
            near = jax.lax.map(lambda part: _kth(norms - 2 * product(part, everywhere), k), _blocks(rows, step))
            radii = jnp.maximum(near.reshape(-1) + own_norms, 0.0)
            flat = jax.lax.psum(jnp.sum((radii <= 2 * slack * own_norms) & (own < count), dtype=jnp.int32), axes)
            return everywhere, norms, own_norms, jnp.where(own < count, radii, -_FAR), flat

        _, _, real_norms, real_radii, flat_real = side(real, real_count)
        fakes, fake_norms, _, fake_radii, flat_fake = side(fake, fake_count)
        fake_radii = jax.lax.all_gather(fake_radii, axes, tiled=True)

        def across(around: Array, part: tuple[Array, Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            rows, norms, radii = part
            distances = (1 + slack) * fake_norms - 2 * product(rows, fakes)
            own = (1 + slack) * norms
            near = distances < (radii - own)[:, None]
            recalled = jnp.min(distances - fake_radii, axis=1) < -own
            return around + near.sum(axis=0, dtype=jnp.int32), (near.any(axis=1), recalled)

        blocks = _blocks(real, step), _blocks(real_norms, step), _blocks(real_radii, step)
        around, (covered, recalled) = jax.lax.scan(across, jnp.zeros(len(fakes), jnp.int32), blocks)
        return jax.lax.psum(around, axes), covered.reshape(-1), recalled.reshape(-1), flat_real, flat_fake

    return of_device(real, fake, real_count, fake_count)


def _squared_norms(x: Array) -> Array:
    return jnp.sum(x * x, axis=1)


def _blocks(x: Array, step: int) -> Array:
    return x.reshape(-1, step, *x.shape[1:])


def _kth(distances: Array, k: int) -> Array:
    """The k-th smallest of each row, counted from 0, from distances [rows, columns]."""
    columns = jnp.arange(distances.shape[1])

    def without_nearest(_: Array, distances: Array) -> Array:
        return jnp.where(columns == jnp.argmin(distances, axis=1)[:, None], _FAR, distances)

    # A few passes are faster than sorting.
    return jnp.min(jax.lax.fori_loop(0, k, without_nearest, distances), axis=1)
