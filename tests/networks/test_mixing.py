"""Random mixing against NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from drumgan_jax.networks.mixing import double, draw, mix

WIDTHS, CHANNELS, BATCH = (3, 4, 5, 6), 2, 2
ACROSS_CHANNELS, ACROSS_SCALES = (2, 4, 8, 16), (2, 2, 4, 8)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def maps(seed):
    return [normal(seed + i, BATCH, 16 >> i, 24 >> i, width) for i, width in enumerate(WIDTHS)]


def float32(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


def interpolated(x, axis):
    """Twice the places along an axis, the first and last kept, by NumPy's own linear interpolation."""
    size = x.shape[axis]
    places = np.linspace(0, size - 1, 2 * size)
    return np.apply_along_axis(lambda row: np.interp(places, np.arange(size), row), axis, x)


@pytest.mark.smoke
@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 3, 2), (1, 1, 2, 1)])
def test_doubling_keeps_the_corners_and_is_linear_between(shape):
    x = normal(0, *shape)
    expected = interpolated(interpolated(x, 1), 2)
    found = jax.jit(double)(float32(x))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(
        found[:, :: 2 * shape[1] - 1, :: 2 * shape[2] - 1], x[:, [0, -1]][:, :, [0, -1]], atol=1e-6
    )


def test_mixing_is_the_reference():
    """Across channels; then from the lowest scale up what is below added, doubled, and convolved 3 x 3."""
    kernels = jax.tree.map(np.float64, draw(jax.random.key(0), WIDTHS, CHANNELS))
    given, below, expected = maps(1), 0.0, []
    for scale in (3, 2, 1, 0):
        x = reference.same(given[scale], kernels[f"channels_{scale}"]) + below
        below = reference.same(interpolated(interpolated(x, 1), 2), kernels[f"scales_{scale}"])
        expected.insert(0, below)
    found = jax.jit(mix)(float32(kernels), float32(given))
    assert [x.shape for x in found] == [(BATCH, 32 >> i, 48 >> i, out) for i, out in enumerate(ACROSS_SCALES)]
    for ours, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, wanted, atol=2e-6 * np.abs(wanted).max())


def test_mixing_is_linear():
    kernels, one, other = draw(jax.random.key(0), WIDTHS, CHANNELS), float32(maps(1)), float32(maps(11))
    mixed = jax.jit(mix)
    together = mixed(kernels, [2.0 * a - b for a, b in zip(one, other, strict=True)])
    for both, a, b in zip(together, mixed(kernels, one), mixed(kernels, other), strict=True):
        np.testing.assert_allclose(both, 2.0 * a - b, atol=1e-5 * np.abs(both).max())


def test_weights_are_normal_with_twice_the_variance_of_one_over_the_fan_in():
    kernels = draw(jax.random.key(0), (64, 128, 256, 512), 64)
    assert {name: kernel.shape for name, kernel in kernels.items()} == {
        **{f"channels_{i}": (1, 1, width, width) for i, width in enumerate((64, 128, 256, 512))},
        **{f"scales_{i}": (3, 3, *sizes) for i, sizes in enumerate(((64, 64), (128, 64), (256, 128), (512, 256)))},
    }
    for name, kernel in kernels.items():
        values = np.asarray(kernel, np.float64).ravel() / np.sqrt(2 / np.prod(kernel.shape[:3]))
        # Five standard errors each of the mean, the deviation and the fourth moment of normal numbers.
        error = 5 / np.sqrt(values.size)
        assert abs(values.mean()) < error, name
        assert abs(values.std() - 1) < error / np.sqrt(2), name
        assert abs((values**4).mean() - 3) < error * np.sqrt(96), name


def test_another_key_draws_others():
    kernels, others = (draw(jax.random.key(seed), WIDTHS, CHANNELS) for seed in (0, 1))
    flat = np.concatenate([np.ravel(kernel) for kernel in kernels.values()])
    assert len(np.unique(flat)) == flat.size
    assert not np.isin(np.concatenate([np.ravel(kernel) for kernel in others.values()]), flat).any()
