"""Device mesh with the axes `data` and `fsdp`, and the rules for sharding arrays over it."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental.mesh_utils import create_hybrid_device_mesh
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from drumgan_jax.core.errors import BadInput, shown

AXES = ("data", "fsdp")
# Splitting smaller parameters (in elements) costs more in collectives than it saves in memory.
MIN_SPLIT_SIZE = 2**16


def make_mesh(data: int = -1, fsdp: int = 1, devices: Sequence[Any] | None = None) -> Mesh:
    """Make the mesh over devices: batches are split over both axes, big parameters over `fsdp`.

    Over several slices, which only the data centre's network connects, `data` spans them and `fsdp` stays within one.

    Args:
        data: devices along `data`; -1 for all that `fsdp` leaves.
        fsdp: devices along `fsdp`; -1 for all that `data` leaves.
        devices: of the mesh, also those of a topology that is not here; None for all devices of the run.

    Raises:
        BadInput: the product is not the number of devices, or slices do not divide `data`.
    """
    devices = jax.devices() if devices is None else devices
    slices = len({getattr(device, "slice_index", None) for device in devices})
    shape = mesh_sizes(data, fsdp, len(devices), slices)
    # Sharded convolutions do not compile with make_mesh's default, explicit axes.
    automatic = (AxisType.Auto,) * 2
    if slices == 1:
        return jax.make_mesh(shape, AXES, axis_types=automatic, devices=devices)
    of_slice = shape[0] // slices, shape[1]
    return Mesh(
        create_hybrid_device_mesh(of_slice, (slices, 1), devices, allow_split_physical_axes=True),
        AXES,
        axis_types=automatic,
    )


def mesh_sizes(data: int, fsdp: int, count: int, slices: int = 1) -> tuple[int, int]:
    """Devices along both axes of a mesh of `count` on so many slices; see make_mesh."""
    sizes = {"data": data, "fsdp": fsdp}
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < -1 or size == 0:
            raise BadInput(f"config.mesh.{name} is {shown(size)}; it must be a whole number above 0, or -1.")
    free = [name for name, size in sizes.items() if size == -1]
    if len(free) == 1:
        other = sizes["fsdp" if free == ["data"] else "data"]
        sizes[free[0]] = count // other if count % other == 0 else -1
    if min(sizes.values()) < 1 or sizes["data"] * sizes["fsdp"] != count:
        raise BadInput(
            f"config.mesh is data={data}, fsdp={fsdp}, which does not fit the {count} device(s); their "
            "product must be that number (-1 for one of them takes the remaining devices)."
        )
    if sizes["data"] % slices:
        raise BadInput(
            f"config.mesh is data={sizes['data']}, fsdp={sizes['fsdp']} on {slices} slices; `data` must be a multiple"
            f" of {slices}, because only gradients may go from slice to slice."
        )
    return sizes["data"], sizes["fsdp"]


def platform_of(mesh: Mesh) -> str:
    """What the devices of a mesh are: cpu, gpu or tpu."""
    return str(mesh.devices.flat[0].platform)


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding that keeps the whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Sharding that splits the first axis, the batch, over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def shard_batch(x: jax.Array, mesh: Mesh) -> jax.Array:
    """Split an array over the devices along the batch if it divides evenly; for use inside compiled functions."""
    return x if len(x) % mesh.size else jax.lax.with_sharding_constraint(x, batch_sharding(mesh))


def gathered(tree: Any, mesh: Mesh) -> Any:
    """The whole of arrays that are split over `fsdp`, on every device; for use inside compiled functions.

    Left to itself, the compiler also splits what is computed with them, and exchanges that: of the generator's step of
    electrogan:full on 256 chips of a v5e, fourteen times as much.
    """
    if mesh.shape["fsdp"] == 1:
        return tree
    return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, replicated(mesh)), tree)


def check_batch(devices: int, batch_size: int, accumulation: int) -> None:
    """Check that batches can be split evenly.

    Raises:
        BadInput: they cannot; names the batch size, the micro-batches and the devices.
    """
    pieces = devices * accumulation
    if batch_size % pieces:
        nearest = max(1, round(batch_size / pieces)) * pieces
        raise BadInput(
            f"config.train.batch_size is {batch_size}, which {devices} device(s) x {accumulation} "
            f"micro-batch(es) do not divide evenly; use a multiple of {pieces}, such as {nearest}."
        )


def local_rows(mesh: Mesh, batch_size: int) -> np.ndarray:
    """Indices of the rows of a global batch that this process's devices hold, ascending."""
    indices = batch_sharding(mesh).addressable_devices_indices_map((batch_size,))
    rows = [np.arange(batch_size)[index] for index in indices.values()]
    return np.unique(np.concatenate(rows))


def state_shardings(mesh: Mesh, shapes: Any) -> Any:
    """Shardings for all leaves of a tree of shapes: parameters, averages and optimiser states.

    An array of at least MIN_SPLIT_SIZE elements is split over `fsdp` along its largest axis that divides evenly; all
    others are replicated. Optimiser states and averages have the shape of their parameter and so the same sharding.
    """
    return jax.tree.map(lambda leaf: NamedSharding(mesh, _split(leaf.shape, mesh.shape["fsdp"])), shapes)


class StateLayout:
    """Layout of a task's state on the mesh: its shapes, its initialisation there, and compiled steps.

    Args:
        mesh: the devices.
        init: makes the state; only traced.

    Attributes:
        shapes: the state as jax.ShapeDtypeStruct with shardings.
        shardings: sharding of each leaf.
        make: `init`, compiled.
    """

    def __init__(self, mesh: Mesh, init: Callable[[], Any]):
        bare = jax.eval_shape(init)
        self._mesh = mesh
        self.shardings = state_shardings(mesh, bare)
        self.shapes = jax.tree.map(
            lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where), bare, self.shardings
        )
        self.make = jax.jit(init, out_shardings=self.shardings)

    def compile_step(self, step: Callable[[Any, Any], tuple[Any, Any]]) -> Any:
        """Compile a step from state and batch to state and metrics; the given state is donated."""
        return jax.jit(
            step,
            in_shardings=(self.shardings, batch_sharding(self._mesh)),
            out_shardings=(self.shardings, replicated(self._mesh)),
            donate_argnums=0,
        )


def piece_of(shape: tuple[int, ...], pieces: int) -> tuple[int, ...]:
    """Shape of what each of so many pieces of `fsdp` holds of an array of the state; see state_shardings."""
    spec = [*_split(shape, pieces), *[None] * len(shape)]
    return tuple(size // pieces if name else size for size, name in zip(shape, spec, strict=False))


def _split(shape: tuple[int, ...], pieces: int) -> PartitionSpec:
    axes = [axis for axis, size in enumerate(shape) if size % pieces == 0]
    if pieces == 1 or not axes or math.prod(shape) < MIN_SPLIT_SIZE:
        return PartitionSpec()
    largest = max(axes, key=lambda axis: shape[axis])
    return PartitionSpec(*("fsdp" if axis == largest else None for axis in range(len(shape))))
