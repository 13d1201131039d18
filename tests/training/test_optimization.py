"""Adam's lazy correction and the moving average's decay, against the reference's figures (PARITY 20, 27)."""

import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.core.settings import build_section
from drumgan_jax.runs.settings import AdamSettings, TrainSettings
from drumgan_jax.training.optimization import Player, ema_decay, lazy_correction, lerp, moving_average, tree_norm


@pytest.mark.smoke
def test_lazy_correction_is_the_references():
    assert lazy_correction([4]) == pytest.approx(0.8)
    assert 0.99 ** lazy_correction([4]) == pytest.approx(0.9919920, abs=1e-7)
    assert lazy_correction([16]) == pytest.approx(0.9411765, abs=1e-7)
    assert 0.99 ** lazy_correction([16]) == pytest.approx(0.9905855, abs=1e-7)
    assert lazy_correction([]) == 1.0


@pytest.mark.parametrize(
    ("batch", "half_life", "decay"),
    [(32, 10_000, 0.9977844), (64, 20_000, 0.9977844), (16, 5_000, 0.9977844), (4, 10_000, 0.9997228)],
)
def test_ema_decay_after_the_rampup(batch, half_life, decay):
    assert float(ema_decay(jnp.int32(10**6), batch, half_life, 0.05)) == pytest.approx(decay, abs=1e-7)


def test_ema_decay_ramps_up_from_nothing():
    for step in range(40):
        half_life = min(100.0, step * 8 * 0.5)
        expected = 0.5 ** (8 / max(half_life, 1e-8))
        assert float(ema_decay(jnp.int32(step), 8, 100.0, 0.5)) == pytest.approx(expected, rel=1e-6)
    assert float(ema_decay(jnp.int32(0), 8, 100.0, 0.5)) == 0.0


def test_lerp_and_norm():
    old, new = {"a": jnp.asarray([1.0, 2.0])}, {"a": jnp.asarray([3.0, 6.0])}
    np.testing.assert_allclose(lerp(old, new, 0.25)["a"], [2.5, 5.0])
    np.testing.assert_allclose(tree_norm({"a": jnp.asarray([3.0]), "b": jnp.asarray([[4.0]])}), 5.0)


def test_settings_follow_their_schedules():
    """Learning rate and betas by the examples seen, against Adam in NumPy float64."""
    settings = build_section(
        AdamSettings,
        {
            "learning_rate": {"kind": "linear", "start": 0.1, "end": 0.02, "images": 40},
            "beta1": {"kind": "steps", "levels": [0.0, 0.5], "images": [16]},
            "beta2": 0.9,
        },
        "optimizer.toy",
    )
    player = Player("toy", settings, (4,))
    c = 0.8
    params, value, m, v = {"a": {"x": jnp.asarray(1.0)}}, 1.0, 0.0, 0.0
    moments = player.init(params)
    for step in range(6):
        images, gradient = 8 * step, np.cos(step) + 2.0
        rate, beta1 = (0.1 - 0.08 * min(images / 40, 1)) * c, (0.0 if images < 16 else 0.5) ** c
        m, v = beta1 * m + (1 - beta1) * gradient, 0.9**c * v + (1 - 0.9**c) * gradient**2
        t = step + 1
        value -= rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - 0.9 ** (c * t))) + 1e-8)
        gradients = {"a": {"x": jnp.float32(gradient)}}
        params, moments, norms = player.descend(params, moments, gradients, jnp.int32(images), "term")
        assert params["a"]["x"] == pytest.approx(value, rel=1e-5)
        assert player.learning_rate(images) == {"learning_rate/toy": pytest.approx(rate)}
    assert set(norms) == {"norm/term_gradient", "norm/term_update"}


def test_the_moving_average_follows_a_scheduled_half_life():
    settings = build_section(
        TrainSettings,
        {
            "batch_size": 8,
            "total_images": 80,
            "ema_half_life_images": {"kind": "steps", "levels": [100.0, 10.0], "images": [40]},
            "ema_rampup": 100.0,
        },
        "train",
    )
    for step, half_life in ((4, 100.0), (5, 10.0)):
        keep = 0.5 ** (8 / half_life)
        found = moving_average(settings, jnp.int32(step), jnp.asarray(1.0), jnp.asarray(3.0))
        assert float(found) == pytest.approx(keep + 3 * (1 - keep), rel=1e-6)
