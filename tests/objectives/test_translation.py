"""Augmentation of the examples that a discriminator sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.objectives.augmentation import NoAugmentation, Translation


def test_translation_shifts_each_example_by_whole_bins_and_lets_zeros_in() -> None:
    x = np.random.default_rng(0).normal(size=(16, 4, 8, 1)).astype(np.float32)
    moved = np.asarray(jax.jit(Translation(time=0.25, freq=0.25))(x, jax.random.key(0)))
    found = set()
    for one, other in zip(x, moved, strict=True):
        padded = np.pad(one, ((1, 1), (2, 2), (0, 0)))
        shifts = [
            (freq, time)
            for freq in range(3)
            for time in range(5)
            if np.array_equal(padded[freq : freq + 4, time : time + 8], other)
        ]
        assert len(shifts) == 1
        found |= set(shifts)
    assert len(found) > 5
    np.testing.assert_array_equal(Translation(time=0.0)(jnp.asarray(x), jax.random.key(0)), x)


def test_translation_is_differentiable_and_its_fractions_are_checked() -> None:
    x = jnp.ones((2, 4, 8, 1))
    gradient = jax.grad(lambda x: Translation(0.25)(x, jax.random.key(1)).sum())(x)
    assert set(np.unique(gradient)) <= {0.0, 1.0}
    with pytest.raises(BadInput, match=r"config\.augmentation\.time is 2\.0; it must be a number from 0 to 1"):
        Translation(2.0)
    np.testing.assert_array_equal(NoAugmentation()(x, jax.random.key(0)), x)
