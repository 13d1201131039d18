"""The relativistic losses, R1 and R2 against NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_contexts import judged, loss_context

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import DiscriminatorOutput
from drumgan_jax.core.settings import build_section
from drumgan_jax.objectives.relativistic import Relativistic


def outputs(logits):
    return DiscriminatorOutput(logits=(jnp.asarray(logits, jnp.float32),))


REAL, FAKE = (np.random.default_rng(seed).normal(size=8) for seed in (0, 1))


@pytest.mark.smoke
def test_both_players_see_the_difference_of_paired_logits():
    objective = Relativistic(r1_gamma=1.0, r2_gamma=1.0)
    context = judged(outputs(REAL), outputs(FAKE))
    loss, metrics = objective.discriminator_loss(context)
    np.testing.assert_allclose(loss, np.log1p(np.exp(FAKE - REAL)).mean(), rtol=1e-5)
    np.testing.assert_allclose([metrics["score/real"], metrics["score/fake"]], [REAL.mean(), FAKE.mean()], rtol=1e-5)
    loss, _ = objective.generator_loss(context)
    np.testing.assert_allclose(loss, np.log1p(np.exp(REAL - FAKE)).mean(), rtol=1e-5)
    assert objective.initial_state() == {}


def test_r1_is_at_real_and_r2_at_generated_examples():
    real, fake = (np.random.default_rng(seed).normal(size=(3, 2, 4, 1)) for seed in (2, 3))
    context = loss_context(
        discriminate=lambda x: DiscriminatorOutput((0.5 * jnp.sum(x**2, axis=(1, 2, 3)),)),
        real=jnp.asarray(real, jnp.float32),
        fake=jnp.asarray(fake, jnp.float32),
    )
    # The gradient of half a sum of squares is x itself.
    expected = {"r1": (real**2).sum(axis=(1, 2, 3)).mean(), "r2": (fake**2).sum(axis=(1, 2, 3)).mean()}
    for r in Relativistic(r1_gamma=4.0, r2_gamma=6.0, interval=2).regularizers:
        loss, _, metrics = r.function(context, {}, jax.random.key(0))
        np.testing.assert_allclose(metrics[f"{r.name}/penalty"], expected[r.name], rtol=1e-5)
        np.testing.assert_allclose(loss, expected[r.name] * {"r1": 2, "r2": 3}[r.name], rtol=1e-5)
        assert (r.player, r.interval) == ("discriminator", 2)


def test_weights_are_schedules_or_left_out_or_refused():
    falling = {"kind": "cosine", "start": 2.0, "end": 0.0, "images": 100}
    objective = build_section(Relativistic, {"r1_gamma": falling, "r2_gamma": 0.0}, "objective")
    (r1,) = objective.regularizers
    x = jnp.ones((2, 1, 3, 1))
    discriminate = lambda x: DiscriminatorOutput((jnp.sum(x, axis=(1, 2, 3)),))  # noqa: E731
    for images, gamma in ((0, 2.0), (50, 1.0), (100, 0.0)):
        context = loss_context(discriminate=discriminate, real=x, images=jnp.int32(images))
        np.testing.assert_allclose(r1.function(context, {}, jax.random.key(0))[0], 3 * gamma / 2, atol=1e-6)
    with pytest.raises(BadInput, match=r"config\.objective\.r2_gamma is -1\.0; it must be a number from 0"):
        Relativistic(r1_gamma=1.0, r2_gamma=-1.0)
