"""From PyTorch's layout of weights to Flax's, for networks whose modules carry PyTorch's names."""

from collections.abc import Mapping
from typing import Any

import flax
import jax
import numpy as np
from flax import linen as nn

from drumgan_jax.core.errors import BadInput

# Flax's names of a layer's arrays by PyTorch's; a scale and a kernel are never in the same layer.
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def convert(
    state: Mapping[str, np.ndarray], network: nn.Module, example: tuple[int, ...], ignored: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A network's variables of a PyTorch state dict: convolution kernels OIHW to HWIO, dense kernels transposed.

    Args:
        state: arrays by PyTorch's names, "layer1.conv_1.weight".
        network: its modules are named as in `state`; `__call__` takes one array.
        example: shape of that array.
        ignored: beginnings of names that the network has no use for. BatchNorm's counts of batches never are used.

    Raises:
        BadInput: arrays are missing, of another shape, not of floats, not finite, or not known to the network.
    """
    shapes = jax.eval_shape(network.init, jax.random.key(0), jax.ShapeDtypeStruct(example, np.float32))
    wanted = flax.traverse_util.flatten_dict(shapes)
    names = {path: ".".join([*path[1:-1], _LEAVES[path[-1]]]) for path in wanted}
    known = {
        name: array
        for name, array in state.items()
        if not name.startswith(ignored or ("\n",)) and not name.endswith("num_batches_tracked")
    }
    _check_names(set(known), set(names.values()), type(network).__name__)
    variables = {}
    for path, spec in wanted.items():
        array = known[names[path]]
        array = _transposed(array) if path[-1] == "kernel" else array
        if array.shape != spec.shape or not np.issubdtype(array.dtype, np.floating):
            raise BadInput(
                f"the weights' {names[path]} is {array.dtype} {known[names[path]].shape}, which does not fit"
                f" {type(network).__name__}; give the published file."
            )
        # A number beyond float32 becomes infinite here, and is told below with those that were.
        with np.errstate(over="ignore"):
            variables[path] = np.ascontiguousarray(array, np.float32)
        if not np.isfinite(variables[path]).all():
            raise BadInput(f"the weights' {names[path]} holds NaN or infinite numbers; give the published file.")
    return flax.traverse_util.unflatten_dict(variables)


def _transposed(weight: np.ndarray) -> np.ndarray:
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T


def _check_names(found: set[str], wanted: set[str], network: str) -> None:
    for names, problem in ((wanted - found, "lack"), (found - wanted, "have unknown")):
        if names:
            first, *others = sorted(names)
            more = f" and {len(others)} more" if others else ""
            raise BadInput(f"the weights {problem} {first}{more} for {network}; give the published file.")
