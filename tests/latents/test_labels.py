"""Class weights from what people write."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.latents.labels import class_weights

NAMES = ("kick", "snare", "hat")


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("snare", [[0, 1, 0], [0, 1, 0]]),
        ({"kick": 0.7, "hat": 0.3}, [[0.7, 0, 0.3]] * 2),
        ({"kick": 2, "snare": 6}, [[0.25, 0.75, 0]] * 2),
        (["hat", {"kick": 1.0, "hat": 0.0}], [[0, 0, 1], [1, 0, 0]]),
        (np.array([[1, 1, 2], [0, 5, 0]]), [[0.25, 0.25, 0.5], [0, 1, 0]]),
        ([[1, 1, 2], [0, 5.0, 0]], [[0.25, 0.25, 0.5], [0, 1, 0]]),
        ((np.array([1, 1, 2]), (0, 5, 0)), [[0.25, 0.25, 0.5], [0, 1, 0]]),
        (jnp.asarray([[1, 1, 2], [0, 5, 0]]), [[0.25, 0.25, 0.5], [0, 1, 0]]),
        (jnp.asarray([[1, 1, 2], [0, 5, 0]], jnp.bfloat16), [[0.25, 0.25, 0.5], [0, 1, 0]]),
    ],
)
def test_weights_sum_to_one(labels: Any, expected: list[list[float]]) -> None:
    weights = class_weights(labels, NAMES, 2)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, atol=1e-7)


def test_a_system_without_labels_has_rows_of_none() -> None:
    assert class_weights(np.zeros((2, 0)), (), 2).shape == (2, 0)
    with pytest.raises(BadInput, match="trained without labels"):
        class_weights("kick", (), 2)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ("cowbell", "no class cowbell; its classes: kick, snare, hat"),
        (["kick", {"bell": 1, "cow": 1}], "no class bell, cow"),
        ({"kick": -0.5, "snare": 1.0}, "negative"),
        ({"kick": float("nan")}, "not a number"),
        ({"kick": 0.0}, "weights of a sound are zero"),
        ({}, "weights of a sound are zero"),
        (["kick"], r"labels are \(1, 3\)"),
        ([], r"labels are \(0, 3\)"),
        (np.ones((2, 2)), r"labels are \(2, 2\)"),
        (3, r"labels are \(\)"),
        ([[1, 0, 0], [1, 0]], "must be numbers"),
        ([["a", "b", "c"]] * 2, "must be numbers"),
        ([[None, 1, 0]] * 2, "must be numbers"),
        (["kick", [1, 0, 0]], "must be numbers"),
        ({"kick": "much"}, "must be numbers"),
        (None, "must be numbers"),
    ],
)
def test_weights_that_are_none_are_refused(labels: Any, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        class_weights(labels, NAMES, 2)
