"""Sizes of growing networks, and examples brought from one to another."""

import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks.growing import average_pool, fit, growth_sizes, upsample_nearest


def test_the_six_stages_of_drumgan() -> None:
    """48 frames halve four times only: time grows at the last four of five growths."""
    expected = ((32, 3), (64, 3), (128, 6), (256, 12), (512, 24), (1024, 48))
    assert growth_sizes((1024, 48, 2), (32, 3)) == expected


@pytest.mark.parametrize("base", [(30, 3), (32, 5), (0, 3), (512, 3)])
def test_a_base_that_does_not_grow_to_the_example(base: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match="cannot grow from the base"):
        growth_sizes((1024, 48, 2), base)


def test_averages_and_repeats_against_numpy() -> None:
    x = np.random.default_rng(0).normal(size=(2, 8, 6, 3))
    means = x.reshape(2, 4, 2, 3, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(average_pool(jnp.asarray(x, jnp.float32), (4, 3)), means, atol=1e-6)
    np.testing.assert_array_equal(
        upsample_nearest(jnp.asarray(x, jnp.float32), (16, 6)), np.repeat(x.astype(np.float32), 2, axis=1)
    )
    np.testing.assert_array_equal(
        upsample_nearest(jnp.asarray(x, jnp.float32), (16, 12)), np.repeat(np.repeat(x.astype(np.float32), 2, 1), 2, 2)
    )


def test_real_examples_of_a_stage() -> None:
    """Averaged to its size; at alpha 0 they show no more than the stage before could."""
    sizes = ((2, 3), (4, 3), (8, 6))
    x = np.random.default_rng(0).normal(size=(2, 8, 6, 1))
    of_stage_1 = x.reshape(2, 4, 2, 3, 2, 1).mean(axis=(2, 4))
    of_stage_0 = np.repeat(x.reshape(2, 2, 4, 3, 2, 1).mean(axis=(2, 4)), 2, axis=1)
    x32 = jnp.asarray(x, jnp.float32)
    np.testing.assert_allclose(fit(x32, sizes, 0, 1.0), of_stage_0[:, ::2], atol=1e-6)
    np.testing.assert_allclose(fit(x32, sizes, 1, 1.0), of_stage_1, atol=1e-6)
    np.testing.assert_allclose(fit(x32, sizes, 1, 0.0), of_stage_0, atol=1e-6)
    np.testing.assert_allclose(fit(x32, sizes, 1, 0.25), 0.75 * of_stage_0 + 0.25 * of_stage_1, atol=1e-6)
    np.testing.assert_array_equal(fit(x32, sizes, 2, 1.0), x32)
