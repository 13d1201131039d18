"""The spectral distance as a loss; its formula is checked in tests/evaluation/test_reconstruction.py."""

import jax
import numpy as np
import pytest

from drumgan_jax.audio.spectral_distance import multi_scale_spectral_loss


@pytest.mark.smoke
def test_the_distance_has_a_finite_gradient_that_leads_nearer() -> None:
    time = np.arange(1000) / 8000
    wanted = (0.5 * np.sin(2 * np.pi * 200 * time) * np.exp(-20 * time)).astype(np.float32)[None]
    other = np.random.default_rng(0).standard_normal((1, 1000)).astype(np.float32) * 0.1
    both = np.concatenate([other, np.zeros_like(other)])

    def loss(waveform: jax.Array) -> jax.Array:
        return multi_scale_spectral_loss(wanted, waveform).sum()

    slope = jax.jit(jax.value_and_grad(loss))
    value, gradient = slope(both)
    assert np.isfinite(gradient).all()
    assert slope(both - 1e-4 * gradient / np.abs(gradient).max())[0] < value
