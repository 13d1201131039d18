"""Adam's lazy correction and the moving average's decay, against the reference's figures (PARITY 20, 27)."""

import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.training.averages import ema_decay, lazy_correction, lerp, tree_norm


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
