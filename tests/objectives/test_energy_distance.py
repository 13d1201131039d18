"""The energy distance against NumPy float64, and what it is for: it is least where both sides are equally various."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_contexts import judged

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import DiscriminatorOutput
from drumgan_jax.objectives.energy_distance import energy_distance
from drumgan_jax.objectives.relativistic import Relativistic

RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(6, 5)), RNG.normal(size=(6, 5)) * 2 + 1
LABELS = np.eye(2)[[0, 0, 1, 0, 1, 1]]


def pairs(labels: np.ndarray | None) -> float:
    """2 E|x - g| - E|g - g'| - E|x - x'| over pairs of one class, in float64."""
    across, fakes, reals = [], [], []
    for i in range(6):
        for j in range(6):
            if labels is not None and labels[i] @ labels[j] == 0:
                continue
            across.append(np.linalg.norm(REAL[i] - FAKE[j]))
            if i != j:
                fakes.append(np.linalg.norm(FAKE[i] - FAKE[j]))
                reals.append(np.linalg.norm(REAL[i] - REAL[j]))
    return float(2 * np.mean(across) - np.mean(fakes) - np.mean(reals))


@pytest.mark.smoke
@pytest.mark.parametrize("labels", [None, LABELS])
def test_it_is_the_mean_over_pairs_of_one_class(labels: np.ndarray | None) -> None:
    found = energy_distance(jnp.asarray(REAL), jnp.asarray(FAKE), None if labels is None else jnp.asarray(labels))
    np.testing.assert_allclose(found, pairs(labels), rtol=1e-5)


def test_a_class_that_is_there_once_has_no_pair() -> None:
    labels = jnp.eye(6)
    found = energy_distance(jnp.asarray(REAL), jnp.asarray(FAKE), labels)
    np.testing.assert_allclose(found, 2 * np.linalg.norm(REAL - FAKE, axis=1).mean(), rtol=1e-5)


def test_neither_one_sound_nor_the_mean_is_as_near_as_other_draws() -> None:
    real, other = np.random.default_rng(1).normal(size=(2, 200, 8)).astype(np.float32)
    one, mean = np.repeat(real[:1], 200, axis=0), np.repeat(real.mean(axis=0)[None], 200, axis=0)
    found = [float(energy_distance(real, fake, None)) for fake in (other, 0.7 * other, 1.4 * other, mean, one)]
    assert found[0] == min(found)
    assert abs(found[0]) < 0.05
    assert min(found[3:]) > found[0] + 0.5


def test_equal_sounds_have_a_finite_gradient() -> None:
    same = jnp.ones((4, 3))
    gradient = jax.grad(lambda fake: energy_distance(same, fake, None))(same)
    assert np.isfinite(gradient).all()


def test_it_joins_the_generators_loss_by_its_weight() -> None:
    logits = DiscriminatorOutput((jnp.zeros(6),))
    sounds = {"real": jnp.asarray(REAL), "fake": jnp.asarray(FAKE)}
    context = judged(logits, logits, jnp.asarray(LABELS), features=sounds.__getitem__)
    plain, _ = Relativistic(0.0, 0.0).generator_loss(context)
    loss, metrics = Relativistic(0.0, 0.0, energy=0.5).generator_loss(context)
    np.testing.assert_allclose(loss - plain, 0.5 * pairs(LABELS), rtol=1e-5)
    np.testing.assert_allclose(metrics["energy"], pairs(LABELS), rtol=1e-5)
    with pytest.raises(
        BadInput, match=r"config\.objective\.energy needs a representation that keeps phases; set it to 0"
    ):
        Relativistic(0.0, 0.0, energy=0.5).generator_loss(judged(logits, logits))
