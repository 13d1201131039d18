"""Hinge losses against NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_contexts import judged

from drumgan_jax.core.parts import DiscriminatorOutput
from drumgan_jax.objectives.hinge import Hinge


def maps(seed):
    """Scores of two maps of unlike sizes, on both sides of both corners."""
    random = np.random.default_rng(seed)
    return [random.normal(size=(4, 1, 3)) * 2, random.normal(size=(4, 2, 5)) * 2 + 0.5]


def outputs(scores):
    return DiscriminatorOutput(logits=tuple(jnp.asarray(part, jnp.float32) for part in scores))


def together(scores):
    return np.concatenate([part.ravel() for part in scores])


REAL, FAKE = maps(0), maps(1)


@pytest.mark.smoke
def test_parity_24_losses_count_every_score_of_every_map_alike():
    loss, metrics = Hinge().discriminator_loss(judged(outputs(REAL), outputs(FAKE)))
    real, fake = together(REAL), together(FAKE)
    np.testing.assert_allclose(loss, np.maximum(1 - real, 0).mean() + np.maximum(1 + fake, 0).mean(), rtol=1e-6)
    np.testing.assert_allclose([metrics["score/real"], metrics["score/fake"]], [real.mean(), fake.mean()], rtol=1e-5)
    loss, metrics = Hinge().generator_loss(judged(None, outputs(FAKE)))
    np.testing.assert_allclose([loss, metrics["score/fake"]], [-fake.mean(), fake.mean()], rtol=1e-5)


def test_scores_beyond_the_margin_have_no_gradient():
    def loss(real, fake):
        return Hinge().discriminator_loss(judged(DiscriminatorOutput((real,)), DiscriminatorOutput((fake,))))[0]

    scores = jnp.asarray([-1.5, -0.5, 0.5, 1.5])
    by_real, by_fake = jax.grad(loss, (0, 1))(scores, scores)
    np.testing.assert_array_equal(by_real, [-0.25, -0.25, -0.25, 0])
    np.testing.assert_array_equal(by_fake, [0, 0.25, 0.25, 0.25])


def test_nothing_is_regularised_nor_kept():
    assert Hinge().regularizers == ()
    assert Hinge().initial_state() == {}
