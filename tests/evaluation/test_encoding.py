"""Scores of encoders: against NumPy, at chance, and of a perfect one."""

import numpy as np
import pytest

from drumgan_jax.evaluation.encoding import FIGURES, latent_scores, sound_figures
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.evaluation.reconstruction import reconstruction_metrics


def test_latents_that_are_right_by_chance_and_wrong_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    wanted = (rng.standard_normal((200, 6)) + 3.0).astype(np.float32)
    assert latent_scores(wanted, wanted, 6) == pytest.approx({"mse": 0.0, "ratio": 0.0, "cosine": 1.0})
    chance = latent_scores(wanted, np.broadcast_to(wanted.mean(axis=0), wanted.shape), 6)
    assert (chance["mse"], chance["ratio"]) == pytest.approx((np.var(wanted, axis=0).mean(), 1.0), rel=1e-5)
    mirrored = latent_scores(wanted, 2 * wanted.mean(axis=0) - wanted, 6)
    assert (mirrored["ratio"], mirrored["cosine"]) == pytest.approx((4.0, -1.0), rel=1e-5)
    # Labels count in the error, not in the direction.
    off = wanted + np.array([0, 0, 0, 0, 3, -3], np.float32)
    found = latent_scores(wanted, off, 4)
    assert (found["mse"], found["cosine"]) == pytest.approx((3.0, 1.0), rel=1e-5)
    silent = latent_scores(np.zeros((2, 3)), np.zeros((2, 3)), 3)
    assert silent == {"mse": 0.0, "ratio": 0.0, "cosine": 0.0}


def test_figures_of_sounds_are_those_of_the_command_line() -> None:
    rng = np.random.default_rng(1)
    reference = rng.standard_normal((2, 4096)).astype(np.float32) * 0.1
    decoded = (reference + 0.01 * rng.standard_normal((2, 4096))).astype(np.float32)
    expected = reconstruction_metrics(reference, decoded, 44100)
    for name, values in zip(FIGURES, sound_figures(reference, decoded), strict=True):
        np.testing.assert_allclose(values, expected[name], rtol=1e-4)


def test_more_of_a_cosine_and_of_a_signal_to_noise_ratio_is_better() -> None:
    assert [is_higher_better(name) for name in ("latent/cosine", "test/snr_db", "latent/mse", "train/mse")] == [
        True,
        True,
        False,
        False,
    ]
