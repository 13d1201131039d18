"""Arrays of the host on the devices of a mesh."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Array = jax.Array

WHOLE = PartitionSpec()
# Elements of a block of pairs on one device: 128 MiB in float64.
BLOCK = 2**24
# A float64 of a TPU is a pair of float32.
_EPSILONS = {"tpu": 2.0**-44}


def split(mesh: Mesh, axis: int = 0) -> PartitionSpec:
    """The specification that splits an axis over all devices."""
    return PartitionSpec(*[None] * axis, mesh.axis_names)


def place(mesh: Mesh, spec: PartitionSpec, x: np.ndarray) -> Array:
    """An array that every process has, on the devices; with float64 only inside `jax.enable_x64(True)`."""
    return jax.make_array_from_callback(x.shape, NamedSharding(mesh, spec), lambda index: x[index])


def place_number(mesh: Mesh, number: int) -> Array:
    """A count, on all devices: an argument, so that another count compiles nothing anew."""
    return place(mesh, WHOLE, np.array(number, np.int32))


def padded(x: np.ndarray, multiple: int, axis: int = 0) -> np.ndarray:
    """An array with zeros after the end of an axis, up to a multiple."""
    widths = [(0, -x.shape[axis] % multiple if i == axis else 0) for i in range(x.ndim)]
    return np.pad(x, widths)


def block_rows(mesh: Mesh, rows: int, columns: int) -> int:
    """Rows of one device's blocks of pairs: all of its rows if there are few columns."""
    return max(1, min(math.ceil(rows / mesh.size), BLOCK // max(columns, 1)))


def epsilon(mesh: Mesh) -> float:
    """The rounding unit of float64 on these devices."""
    return _EPSILONS.get(mesh.devices.flat[0].platform, float(np.finfo(np.float64).eps))


def product(a: Array, b: Array) -> Array:
    """a b^T [a rows, b rows] in the full precision of its type; accelerators otherwise multiply with fewer bits."""
    return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def over_devices(mesh: Mesh, in_specs: Any, out_specs: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the function runs on every device with its part of the arguments."""
    return functools.partial(jax.shard_map, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
