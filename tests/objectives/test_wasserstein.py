"""Losses, gradient penalty and label errors against NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_contexts import judged, loss_context

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import DiscriminatorOutput
from drumgan_jax.core.settings import build_section
from drumgan_jax.objectives.wasserstein import Wasserstein


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def float32(array):
    return jnp.asarray(array, jnp.float32)


def outputs(scores, labels=None):
    return DiscriminatorOutput(logits=(float32(scores),), labels=None if labels is None else float32(labels))


def penalize(discriminate, real, fake, weight=10.0):
    """Loss and metrics of the gradient penalty, with a fixed key."""
    (penalty,) = Wasserstein(weight).regularizers
    context = loss_context(discriminate=discriminate, real=float32(real), fake=float32(fake))
    loss, state, metrics = penalty.function(context, {}, jax.random.key(3))
    assert state == {}
    return loss, metrics


def between(real, fake):
    """Where the gradient is taken, of `penalize`'s key."""
    alpha = np.asarray(jax.random.uniform(jax.random.key(3), (len(real), 1, 1, 1)), np.float64)
    return real + alpha * (fake - real)


REAL, FAKE = normal(0, 6, 2, 4, 1), normal(1, 6, 2, 4, 1)


@pytest.mark.smoke
def test_parity_25_penalty_of_a_linear_critic():
    """Its gradient is its weights everywhere: (|w| - 1)^2, whatever the batch, times the weight."""
    weights = normal(2, 2, 4, 1)
    loss, metrics = penalize(
        lambda x: DiscriminatorOutput((jnp.einsum("bftc,ftc->b", x, float32(weights)),)), REAL, FAKE
    )
    norm = np.sqrt((weights**2).sum())
    np.testing.assert_allclose(metrics["gradient_penalty/norm"], norm, rtol=1e-6)
    np.testing.assert_allclose(metrics["gradient_penalty/penalty"], (norm - 1) ** 2, rtol=1e-5)
    np.testing.assert_allclose(loss, 10 * (norm - 1) ** 2, rtol=1e-5)


def test_parity_25_penalty_of_a_quadratic_critic_and_its_derivative():
    """At one place per pair of examples, averaged; of a map of scores the sum is differentiated."""
    scale = 0.3

    def loss(scale):
        return penalize(lambda x: DiscriminatorOutput((scale * x[..., 0] ** 2,)), REAL, FAKE)[0]

    # Scores sum to a |x|^2, whose gradient 2 a x has norm 2 a |x|.
    lengths = np.sqrt((between(REAL, FAKE) ** 2).sum(axis=(1, 2, 3)))
    found, slope = jax.value_and_grad(loss)(scale)
    np.testing.assert_allclose(found, 10 * ((2 * scale * lengths - 1) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(slope, 10 * (4 * lengths * (2 * scale * lengths - 1)).mean(), rtol=1e-5)


def test_parity_25_second_derivatives_of_a_network():
    """By the parameters of a two-layer critic, against central differences of NumPy in float64."""
    first, second, step = normal(2, 8, 5), normal(3, 5), normal(4, 8, 5)

    def loss(first):
        return penalize(
            lambda x: DiscriminatorOutput((jnp.tanh(x.reshape(6, 8) @ first) @ float32(second),)),
            REAL,
            FAKE,
            weight=1.0,
        )[0]

    def expected(first):
        hidden = np.tanh(between(REAL, FAKE).reshape(6, 8) @ first)
        gradient = ((1 - hidden**2) * second) @ first.T
        return ((np.sqrt((gradient**2).sum(axis=1)) - 1) ** 2).mean()

    found, slope = jax.value_and_grad(loss)(float32(first))
    np.testing.assert_allclose(found, expected(first), rtol=1e-5)
    difference = (expected(first + 1e-5 * step) - expected(first - 1e-5 * step)) / 2e-5
    np.testing.assert_allclose((np.asarray(slope) * step).sum(), difference, rtol=1e-4)


def test_a_flat_critic_has_finite_derivatives():
    """Where the gradient is 0 the norm has no derivative: it is 0 there, not NaN."""

    def loss(scale):
        return penalize(lambda x: DiscriminatorOutput((scale * x.sum(axis=(1, 2, 3)),)), REAL, FAKE)[0]

    found, slope = jax.value_and_grad(loss)(0.0)
    assert (found, slope) == (10.0, 0.0)


def test_the_penalty_does_not_reach_the_generator():
    def loss(fake):
        return penalize(lambda x: DiscriminatorOutput(((x**2).sum(axis=(1, 2, 3)),)), REAL, fake)[0]

    np.testing.assert_array_equal(jax.grad(loss)(float32(FAKE)), 0)


def test_losses_and_drift():
    real, fake = normal(0, 8), normal(1, 8)
    loss, metrics = Wasserstein(drift_weight=0.1).discriminator_loss(judged(outputs(real), outputs(fake)))
    np.testing.assert_allclose(loss, fake.mean() - real.mean() + 0.1 * (real**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["score/real"], real.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["score/fake"], fake.mean(), rtol=1e-5)
    loss, metrics = Wasserstein().generator_loss(judged(None, outputs(fake)))
    np.testing.assert_allclose(loss, -fake.mean(), rtol=1e-5)
    assert set(metrics) == {"score/fake"}
    assert Wasserstein().initial_state() == {}


def test_label_errors_are_in_both_players_losses():
    """On real and generated examples for the critic, on generated ones for the generator; soft labels."""
    real, fake, labels = normal(0, 4), normal(1, 4), np.random.default_rng(2).dirichlet(np.ones(3), 4)
    said_real, said_fake = normal(3, 4, 3), normal(4, 4, 3)
    objective, bare = Wasserstein(label_weight=2.0), Wasserstein()
    given = outputs(real, said_real), outputs(fake, said_fake), float32(labels)
    errors = ((said_real - labels) ** 2).mean(), ((said_fake - labels) ** 2).mean()
    loss, metrics = objective.discriminator_loss(judged(*given))
    np.testing.assert_allclose(loss - bare.discriminator_loss(judged(*given))[0], 2 * sum(errors), rtol=1e-5)
    np.testing.assert_allclose(metrics["loss/labels_real"], errors[0], rtol=1e-5)
    np.testing.assert_allclose(metrics["loss/labels_fake"], errors[1], rtol=1e-5)
    loss, metrics = objective.generator_loss(judged(*given))
    np.testing.assert_allclose(loss - bare.generator_loss(judged(*given))[0], 2 * errors[1], rtol=1e-5)
    np.testing.assert_allclose(metrics["loss/labels_fake"], errors[1], rtol=1e-5)


def test_labels_must_be_there_and_predicted():
    scores = outputs(normal(0, 4))
    with pytest.raises(BadInput, match="not conditional"):
        Wasserstein(label_weight=1.0).generator_loss(judged(scores, scores))
    with pytest.raises(BadInput, match="predicts no labels"):
        Wasserstein(label_weight=1.0).discriminator_loss(judged(scores, scores, jnp.zeros((4, 3))))


def test_weight_zero_leaves_the_penalty_out():
    (penalty,) = Wasserstein().regularizers
    assert (penalty.name, penalty.player, penalty.interval) == ("gradient_penalty", "discriminator", 1)
    assert Wasserstein(penalty_weight=0.0).regularizers == ()


def test_weights_may_be_schedules():
    objective = build_section(
        Wasserstein, {"drift_weight": {"kind": "linear", "start": 0.1, "end": 0.3, "images": 100}}, "objective"
    )
    real, fake = normal(0, 8), normal(1, 8)
    for images, weight in ((0, 0.1), (50, 0.2), (500, 0.3)):
        context = judged(outputs(real), outputs(fake), images=jnp.int32(images))
        loss, _ = objective.discriminator_loss(context)
        np.testing.assert_allclose(loss, fake.mean() - real.mean() + weight * (real**2).mean(), rtol=1e-5)


@pytest.mark.parametrize("name", ["penalty_weight", "drift_weight", "label_weight"])
def test_negative_weights_are_refused(name):
    with pytest.raises(BadInput, match=f"config.objective.{name} is -1"):
        Wasserstein(**{name: -1.0})
