"""Weights as bytes: near what they were, in half the room, and small or whole-numbered ones as they were."""

import numpy as np
import pytest

from drumgan_jax.core.weight_file import in_bytes, out_of_bytes, variables_digest


@pytest.mark.parametrize(("bits", "most"), [(8, 127), (6, 31)])
def test_large_arrays_come_back_within_half_a_step_of_each_last_index(bits: int, most: int) -> None:
    random = np.random.default_rng(0)
    sizes = np.exp(random.uniform(-12, 3, 700))
    arrays = {
        "params/kernel": (random.normal(size=(3, 64, 700)) * sizes).astype(np.float32),
        "statistics/directions": (random.normal(size=(64, 700)) * sizes).astype(np.float16),
        "params/zeros": np.zeros((200, 300), np.float32),
        "params/small": random.normal(size=(3, 3)).astype(np.float32),
        "params/vector": random.normal(size=100_000).astype(np.float16),
        "counts": np.arange(40_000).reshape(200, 200),
    }
    packed = in_bytes(arrays, bits)
    assert packed["params/kernel"].dtype == np.int8
    assert packed["params/kernel#scale"].shape == (700,)
    whole = out_of_bytes(packed)
    assert whole.keys() == arrays.keys()
    for name in ("params/kernel", "statistics/directions", "params/zeros"):
        array = arrays[name].astype(np.float32)
        largest = np.abs(array).max(axis=tuple(range(array.ndim - 1)))
        error = np.abs(whole[name] - array).max(axis=tuple(range(array.ndim - 1)))
        assert np.all(error <= largest / (2 * most) * 1.01 + 1e-7)
        assert whole[name].dtype == np.float32
    for name in ("params/small", "params/vector", "counts"):
        np.testing.assert_array_equal(whole[name], arrays[name])
        assert whole[name].dtype == arrays[name].dtype


def test_components_are_part_of_what_a_model_is_known_by_and_the_average_is_not() -> None:
    params, statistics = {"a": np.ones(2, np.float32)}, {"directions": np.ones(3), "w_average": np.zeros(2)}
    known = variables_digest({"params": params, "statistics": statistics})
    assert known != variables_digest({"params": params})
    assert known != variables_digest({"params": params, "statistics": {**statistics, "directions": np.zeros(3)}})
    assert known == variables_digest({"params": params, "statistics": {**statistics, "w_average": np.ones(2)}})
