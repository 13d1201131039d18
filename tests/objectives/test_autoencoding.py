"""The autoencoding objective against its formula in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from loss_contexts import loss_context

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import DiscriminatorOutput
from drumgan_jax.objectives.autoencoding import Autoencoding

PENALTIES = {"r1_gamma": 1.0, "r2_gamma": 1.0}
REAL, FAKE = np.array([[1.0], [2.0]]), np.array([[0.5], [-1.0]])


def context(**parts):
    return loss_context(
        discriminate=lambda x: DiscriminatorOutput((3.0 * x[:, 0],)),
        real=jnp.asarray(REAL),
        fake=jnp.asarray(FAKE),
        **parts,
    )


def softplus(x):
    return np.log1p(np.exp(x))


def test_the_generators_loss_is_the_formula():
    noises = []

    def reconstruct(x, deviation):
        noises.append(deviation)
        return x - 0.5, x - 0.25

    distances = {
        "log_magnitude": lambda x, plain, noisy: jnp.abs(x - plain).mean(),
        "log_mel": lambda x, plain, noisy: jnp.square(x - noisy).mean(),
        "spectra": lambda x, plain, noisy: jnp.abs(x - noisy).mean(),
        "noisiness": lambda x, plain, noisy: jnp.abs(noisy - plain).mean(),
    }
    weights = {"log_magnitude": 2.0, "log_mel": 4.0, "spectra": 8.0, "noisiness": 16.0, "adversarial": 0.5}
    objective = Autoencoding(**PENALTIES, **weights, latent_noise=0.2)
    loss, metrics = objective.generator_loss(context(reconstruct=reconstruct, distances=distances))
    expected = (
        softplus(3 * (REAL - FAKE)).mean() + 2.0 * 0.5 + 4.0 * 0.0625 + 8.0 * 0.25 + 16.0 * 0.25 + 0.5 * softplus(0.75)
    )
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert noises == [0.2]
    assert float(metrics["reconstruction/log_magnitude"]) == pytest.approx(0.5)
    assert float(metrics["reconstruction/log_mel"]) == pytest.approx(0.0625)


def test_the_discriminators_loss_is_the_relativistic_one():
    loss, _ = Autoencoding(**PENALTIES).discriminator_loss(context())
    assert float(loss) == pytest.approx(softplus(3 * (FAKE - REAL)).mean(), rel=1e-6)


def test_a_weight_of_zero_needs_no_distance_and_others_do():
    identity = {"reconstruct": lambda x, deviation: (x, x)}
    objective = Autoencoding(**PENALTIES, log_magnitude=0.0, adversarial=0.0)
    loss, _ = objective.generator_loss(context(**identity))
    assert float(loss) == pytest.approx(softplus(3 * (REAL - FAKE)).mean(), rel=1e-6)
    with pytest.raises(BadInput, match=r"log_mel needs a representation of log magnitudes"):
        Autoencoding(**PENALTIES, log_magnitude=0.0, log_mel=1.0).generator_loss(context(**identity))


def test_a_generator_without_an_encoder_is_refused():
    with pytest.raises(BadInput, match="generator that encodes"):
        Autoencoding(**PENALTIES).generator_loss(context())
