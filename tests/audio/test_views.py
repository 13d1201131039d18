"""What an encoder sees: the thresholded view against NumPy, its gradients, and what it does not see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.audio.views import Plain, Thresholded
from drumgan_jax.core.errors import BadInput


def spectra(*scales: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    decay = 10.0 ** np.linspace(0, -6, 8)[:, None, None]
    return (np.array(scales)[:, None, None, None] * rng.standard_normal((len(scales), 8, 5, 2)) * decay).astype(
        np.float32
    )


def in_numpy(x: np.ndarray, floor_db: float) -> np.ndarray:
    power = np.square(np.float64(x)).sum(-1, keepdims=True)
    decibels = 10 * np.log10(power / power.max(axis=(1, 2, 3), keepdims=True))
    return np.maximum(decibels, -floor_db) / floor_db + 1


@pytest.mark.smoke
@pytest.mark.parametrize("floor_db", [20.0, 60.0, 200.0])
def test_the_view_is_decibels_over_a_floor_under_the_loudest_bin(floor_db: float) -> None:
    x = spectra(1.0, 30.0)
    seen = Thresholded(floor_db)(jnp.asarray(x))
    assert seen.shape == (2, 8, 5, 1)
    np.testing.assert_allclose(seen, in_numpy(x, floor_db), atol=2e-6)
    assert bool((seen == 0).any()) == (floor_db < 100)
    np.testing.assert_allclose(seen.max(axis=(1, 2, 3)), 1.0)


def test_neither_level_nor_what_is_under_the_floor_is_seen() -> None:
    x = spectra(1.0)
    view = Thresholded(60.0)
    seen = view(jnp.asarray(x))
    np.testing.assert_allclose(view(jnp.asarray(1e-3 * x)), seen, atol=1e-5)
    inaudible = np.where(seen > 0, x, 3e-4 * np.abs(x).max())
    np.testing.assert_allclose(view(jnp.asarray(inaudible)), seen, atol=1e-5)


def test_the_gradient_is_that_of_finite_differences() -> None:
    x, direction = spectra(1.0)[:, :3], np.random.default_rng(1).standard_normal((1, 3, 5, 2))
    gradient = np.float64(jax.grad(lambda x: jnp.sum(jnp.square(Thresholded(40.0)(x))))(jnp.asarray(x)))
    above, below = (np.square(in_numpy(x + step * direction, 40.0)).sum() for step in (1e-6, -1e-6))
    np.testing.assert_allclose((gradient * direction).sum(), (above - below) / 2e-6, rtol=1e-3)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-8, 1e8])
def test_views_and_gradients_of_silence_and_extremes_are_finite(scale: float) -> None:
    x = jnp.asarray(spectra(scale)).at[:, 1].set(0.0)
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(jnp.square(Thresholded(200.0)(x))))(x)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if scale < 1e-20:
        np.testing.assert_array_equal(Thresholded()(x), np.zeros((1, 8, 5, 1)))


def test_the_plain_view_is_the_example() -> None:
    x = jnp.asarray(spectra(2.0))
    np.testing.assert_array_equal(Plain()(x), x)


def test_unfit_floors_and_examples_are_told() -> None:
    for floor in (0.0, -6.0, 300.0, "loud", True):
        with pytest.raises(BadInput, match=r"config\.encoder\.view\.floor_db is"):
            Thresholded(floor)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="takes a complex spectrum of 2 channels, not 1; choose 'plain'"):
        Thresholded()(jnp.zeros((1, 4, 4, 1)))
