"""Conversion of TensorFlow's weights to Flax variables, for networks whose modules have TensorFlow's names."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import linen as nn

from drumgan_jax.networks.torch_layout import fitted

# TensorFlow's names of a layer's arrays by Flax's; both keep kernels as HWIO, and dense kernels as IO.
_LEAVES = {"kernel": "kernel", "bias": "bias", "scale": "gamma", "mean": "moving_mean", "var": "moving_variance"}
_BIAS_OF_NORMALIZATION = "beta"
# What Adam keeps beside each array, and its two counters.
_OPTIMIZER = ("/Adam", "/Adam_1", "beta1_power", "beta2_power")


def convert(arrays: Mapping[str, np.ndarray], network: nn.Module, example: tuple[int, ...]) -> dict[str, Any]:
    """A network's variables from a TensorFlow checkpoint; the arrays of its optimiser, Adam, are left out.

    Args:
        arrays: arrays by TensorFlow's names, such as "conv2d_1/kernel"; layers of normalisation are named
            "batch_normalization" and so on.
        network: network with modules named as in `arrays`; `__call__` takes one array.
        example: shape of that array.

    Raises:
        BadInput: an array is missing or unknown, has another shape, is not of floats, or is not finite.
    """
    kept = {name: array for name, array in arrays.items() if not name.endswith(_OPTIMIZER)}
    return fitted(kept, network, example, _name_of, lambda kernel: kernel)


def _name_of(path: tuple[str, ...]) -> str:
    *layer, leaf = path[1:]
    shifts = leaf == "bias" and layer[-1].startswith("batch_normalization")
    return "/".join([*layer, _BIAS_OF_NORMALIZATION if shifts else _LEAVES[leaf]])
