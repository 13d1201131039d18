"""Conversion of PyTorch weights to Flax variables, for networks whose modules have PyTorch's names."""

from collections.abc import Callable, Mapping
from typing import Any

import flax
import jax
import numpy as np
from flax import linen as nn

from drumgan_jax.core.errors import BadInput, brief

# PyTorch's names of a layer's arrays by Flax's; no layer has both a scale and a kernel.
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def convert(
    state: Mapping[str, np.ndarray], network: nn.Module, example: tuple[int, ...], ignored: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A network's variables from a PyTorch state dict: convolution kernels OIHW to HWIO, dense kernels transposed.

    Args:
        state: arrays by PyTorch's names, such as "layer1.conv_1.weight".
        network: network with modules named as in `state`; `__call__` takes one array.
        example: shape of that array.
        ignored: prefixes of names to ignore. BatchNorm's batch counters are always ignored.

    Raises:
        BadInput: an array is missing or unknown, has another shape, is not of floats, or is not finite.
    """
    arrays = {
        name: array
        for name, array in state.items()
        if not name.startswith(ignored or ("\n",)) and not name.endswith("num_batches_tracked")
    }
    return fitted(arrays, network, example, lambda path: ".".join([*path[1:-1], _LEAVES[path[-1]]]), _transposed)


def fitted(
    arrays: Mapping[str, np.ndarray],
    network: nn.Module,
    example: tuple[int, ...],
    name_of: Callable[[tuple[str, ...]], str],
    oriented: Callable[[np.ndarray], np.ndarray],
) -> dict[str, Any]:
    """A network's variables from arrays of another library.

    Args:
        arrays: arrays by their names in that library.
        network: network whose `__call__` takes one array.
        example: shape of that array.
        name_of: from a variable's path to the name of its array.
        oriented: from a kernel in the library's layout to Flax's.

    Raises:
        BadInput: an array is missing or unknown, has another shape, is not of floats, or is not finite.
    """
    shapes = jax.eval_shape(network.init, jax.random.key(0), jax.ShapeDtypeStruct(example, np.float32))
    expected = flax.traverse_util.flatten_dict(shapes)
    names = {path: name_of(path) for path in expected}
    _check_names(set(arrays), set(names.values()), type(network).__name__)
    variables = {}
    for path, spec in expected.items():
        array = arrays[names[path]]
        array = oriented(array) if path[-1] == "kernel" else array
        if array.shape != spec.shape or not np.issubdtype(array.dtype, np.floating):
            raise BadInput(
                f"the weights' {names[path]} is {array.dtype} {arrays[names[path]].shape}, which does not fit"
                f" {type(network).__name__}; give the published file."
            )
        # A number beyond float32 becomes infinite here, and is reported below like the others.
        with np.errstate(over="ignore"):
            variables[path] = np.ascontiguousarray(array, np.float32)
        if not np.isfinite(variables[path]).all():
            raise BadInput(f"the weights' {names[path]} holds NaN or infinite numbers; give the published file.")
    return flax.traverse_util.unflatten_dict(variables)


def _transposed(weight: np.ndarray) -> np.ndarray:
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T


def _check_names(present: set[str], expected: set[str], network: str) -> None:
    for names, problem in ((expected - present, "lack"), (present - expected, "have unknown")):
        if names:
            first, *others = sorted(names)
            more = f" and {len(others)} more" if others else ""
            raise BadInput(f"the weights {problem} {brief(first)}{more} for {network}; give the published file.")
