"""Layouts that are not the network's: one sentence that names what is wrong."""

import numpy as np
import pytest
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks.torch_layout import convert


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(3, (2, 5), name="block.0")(x)
        x = nn.BatchNorm(use_running_average=True, name="norm")(x)
        return nn.Dense(4, name="head")(x)


def state():
    random = np.random.default_rng(0)
    shapes = {
        "block.0.weight": (3, 2, 2, 5),
        "block.0.bias": (3,),
        "norm.weight": (3,),
        "norm.bias": (3,),
        "norm.running_mean": (3,),
        "norm.running_var": (3,),
        "head.weight": (4, 3),
        "head.bias": (4,),
    }
    return {name: random.normal(size=shape) for name, shape in shapes.items()}


def converted(weights, **options):
    return convert(weights, Network(), (1, 8, 8, 2), **options)


def test_arrays_go_where_flax_wants_them_in_float32():
    weights = state()
    variables = converted({**weights, "norm.num_batches_tracked": np.array(3)})
    kernel = variables["params"]["block.0"]["kernel"]
    assert kernel.dtype == np.float32
    assert kernel[1, 3, 0, 2] == np.float32(weights["block.0.weight"][2, 0, 1, 3])
    np.testing.assert_array_equal(variables["params"]["head"]["kernel"], np.float32(weights["head.weight"].T))
    np.testing.assert_array_equal(variables["params"]["norm"]["scale"], np.float32(weights["norm.weight"]))
    np.testing.assert_array_equal(variables["batch_stats"]["norm"]["var"], np.float32(weights["norm.running_var"]))


def test_missing_unknown_and_ill_shaped_arrays_are_named():
    weights = state()
    missing = {name: array for name, array in weights.items() if not name.startswith("norm.")}
    with pytest.raises(BadInput, match=r"lack norm\.bias and 3 more for Network"):
        converted(missing)
    extra = {**weights, "aux.weight": np.zeros(2)}
    with pytest.raises(BadInput, match=r"have unknown aux\.weight for Network"):
        converted(extra)
    assert converted(extra, ignored=("aux.",)).keys() == {"params", "batch_stats"}
    with pytest.raises(BadInput, match=r"head\.weight is float64 \(3, 4\)"):
        converted({**weights, "head.weight": weights["head.weight"].T})
    with pytest.raises(BadInput, match=r"head\.bias is int64"):
        converted({**weights, "head.bias": np.zeros(4, np.int64)})


@pytest.mark.parametrize("number", [np.nan, -np.inf, 1e300])
def test_numbers_that_are_not_finite_in_float32_are_named(number):
    weights = state()
    weights["norm.running_var"][1] = number
    with pytest.raises(BadInput, match=r"norm\.running_var holds NaN or infinite numbers"):
        converted(weights)
