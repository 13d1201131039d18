"""Losses, R1 and path length against NumPy float64, and through real networks in bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_contexts import judged, loss_context

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import DiscriminatorOutput
from drumgan_jax.networks.stylegan2 import Discriminator, Generator
from drumgan_jax.objectives.gradient_penalties import r1_regularizer
from drumgan_jax.objectives.logistic import Logistic, path_length_regularizer, path_lengths

pytestmark = pytest.mark.usefixtures("unoptimized")


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def float32(array):
    return jnp.asarray(array, jnp.float32)


def quadratic_critic(matrix):
    return lambda x: DiscriminatorOutput(logits=(jnp.einsum("bftc,ftcd,bftd->b", x, matrix, x),))


@pytest.mark.smoke
def test_parity_19_r1():
    """gamma / 2 times the mean over examples of the squared gradient, summed over an example; no interval here."""
    x, half = normal(0, 3, 2, 4, 2), normal(1, 2, 4, 2, 2)
    matrix = half + half.swapaxes(-1, -2)
    gradient = 2 * np.einsum("ftcd,bftd->bftc", matrix, x)
    expected = (gradient**2).sum(axis=(1, 2, 3)).mean()
    r1, _ = Logistic(r1_gamma=8.0).regularizers
    given = loss_context(discriminate=quadratic_critic(float32(matrix)), real=float32(x))
    loss, statistics, metrics = r1.function(given, {"path_length_mean": jnp.zeros(())}, jax.random.key(0))
    np.testing.assert_allclose(metrics["r1/penalty"], expected, rtol=1e-5)
    np.testing.assert_allclose(loss, expected * 8 / 2, rtol=1e-5)
    assert (r1.player, r1.interval) == ("discriminator", 16)
    assert statistics == {"path_length_mean": 0}


def test_parity_19_r1_is_differentiable_by_the_critic():
    x, a = float32(normal(0, 3, 2, 4, 2)), 0.7

    def loss(a):
        given = loss_context(
            discriminate=lambda x: DiscriminatorOutput(logits=(a * jnp.sum(x**2, axis=(1, 2, 3)),)), real=x
        )
        return r1_regularizer(2.0, given, {}, jax.random.key(0))[0]

    # The penalty is mean sum (2 a x)^2, so its derivative is 8 a mean sum x^2.
    expected = 8 * a * (np.asarray(x, np.float64) ** 2).sum(axis=(1, 2, 3)).mean()
    np.testing.assert_allclose(jax.grad(loss)(a), expected, rtol=1e-5)


def linear_generator(jacobian):
    """x = J w summed over layers: the gradient by each layer's w is J^T y."""
    return lambda ws, key: jnp.einsum("ftcw,lw,blw->bftc", jacobian, jnp.ones(ws.shape[1:]), ws)


def directions(key, shape):
    return np.asarray(jax.random.normal(key, shape), np.float64) / np.sqrt(shape[1] * shape[2])


def test_parity_22_path_length():
    """y / sqrt(H W), gradient by ws, root of the mean over layers of the sum over w; x is not square."""
    jacobian, ws = normal(0, 4, 6, 2, 5), normal(1, 3, 7, 5)
    key = jax.random.key(0)
    y = directions(key, (3, 4, 6, 2))
    gradient = np.einsum("ftcw,bftc->bw", jacobian, y)
    expected = np.sqrt((np.repeat(gradient[:, None], 7, axis=1) ** 2).sum(axis=2).mean(axis=1))
    generate = linear_generator(float32(jacobian))
    found = path_lengths(lambda ws: generate(ws, None), float32(ws), key)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.smoke
def test_parity_22_penalty_and_mean():
    """The new mean takes part in the penalty and in its gradient; the batch is halved; no interval here."""
    jacobian, scale, old = normal(0, 4, 6, 1, 5), 1.3, 0.4
    key = jax.random.key(3)
    drawn = []

    def draw_ws(key, number):
        drawn.append(number)
        return jax.random.normal(key, (number, 2, 5))

    def loss(scale):
        def synthesize(ws, key):
            return scale * linear_generator(float32(jacobian))(ws, key)

        given = loss_context(draw_ws=draw_ws, synthesize=synthesize, real=jnp.zeros((6, 4, 6, 1)))
        loss, statistics, metrics = path_length_regularizer(
            2.0, 0.01, 2, given, {"path_length_mean": float32(old)}, key
        )
        return loss, (statistics, metrics)

    (found, (statistics, metrics)), slope = jax.value_and_grad(loss, has_aux=True)(scale)
    assert drawn == [3]
    y = directions(jax.random.split(key, 3)[2], (3, 4, 6, 1))
    unit = np.sqrt((np.einsum("ftcw,bftc->bw", jacobian, y) ** 2).sum(axis=1))
    mean = old + 0.01 * (scale * unit.mean() - old)
    deviation = scale * unit - mean
    np.testing.assert_allclose(found, 2 * (deviation**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(statistics["path_length_mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(metrics["path_length/mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(metrics["path_length/length"], scale * unit.mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["path_length/penalty"], (deviation**2).mean(), rtol=1e-5)
    # Not detached: the mean moves by a hundredth of what lengths move.
    np.testing.assert_allclose(slope, (4 * deviation * (unit - 0.01 * unit.mean())).mean(), rtol=1e-5)
    assert np.abs(slope - (4 * deviation * unit).mean()) > 1e-3 * np.abs(slope)


def test_parity_22_the_kept_mean_is_detached():
    def kept(scale):
        given = loss_context(
            draw_ws=lambda key, number: jnp.ones((number, 2, 5)),
            synthesize=lambda ws, key: scale * ws[:, :, :, None].sum(axis=1, keepdims=True),
            real=jnp.zeros((4, 1, 5, 1)),
        )
        return path_length_regularizer(2.0, 0.01, 2, given, {"path_length_mean": jnp.zeros(())}, jax.random.key(0))[1]

    assert jax.grad(lambda scale: kept(scale)["path_length_mean"])(2.0) == 0
    assert kept(2.0)["path_length_mean"] > 0


def test_parity_23_losses():
    real, fake = normal(0, 8), normal(1, 8)
    objective = Logistic(r1_gamma=1.0)
    given_real, given_fake = DiscriminatorOutput(logits=(float32(real),)), DiscriminatorOutput(logits=(float32(fake),))
    loss, metrics = objective.discriminator_loss(judged(given_real, given_fake))
    np.testing.assert_allclose(loss, (np.log1p(np.exp(fake)) + np.log1p(np.exp(-real))).mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["score/real"], real.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["score/fake"], fake.mean(), rtol=1e-5)
    loss, metrics = objective.generator_loss(judged(None, given_fake))
    np.testing.assert_allclose(loss, np.log1p(np.exp(-fake)).mean(), rtol=1e-6)
    assert set(metrics) == {"score/fake"}


def test_losses_are_finite_at_scores_that_overflow():
    far = DiscriminatorOutput(logits=(jnp.array([1e4, -1e4]),))
    objective = Logistic(r1_gamma=1.0)
    np.testing.assert_allclose(objective.discriminator_loss(judged(far, far))[0], 1e4)
    np.testing.assert_allclose(objective.generator_loss(judged(None, far))[0], 5e3)


def test_weight_zero_leaves_a_regularizer_out():
    assert [r.name for r in Logistic(r1_gamma=1.0).regularizers] == ["r1", "path_length"]
    assert [r.name for r in Logistic(r1_gamma=0.0).regularizers] == ["path_length"]
    assert [r.name for r in Logistic(r1_gamma=1.0, path_length_weight=0.0).regularizers] == ["r1"]


@pytest.mark.parametrize(
    "setting",
    [
        {"r1_gamma": -1.0},
        {"path_length_weight": -1.0},
        {"r1_interval": 0},
        {"path_length_interval": 0},
        {"path_length_decay": 0.0},
        {"path_length_decay": 1.5},
        {"path_length_batch_shrink": 0},
    ],
    ids=lambda setting: "-".join(setting),
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(BadInput, match=f"config.objective.{next(iter(setting))} is"):
        Logistic(**{"r1_gamma": 1.0, **setting})


def test_regularizers_through_the_networks_in_bfloat16():
    """Second derivatives of the real networks: finite, float32, and of the right player's parameters."""
    shape, width = (8, 16, 1), {"channel_base": 32, "channel_max": 4, "compute_dtype": jnp.bfloat16}
    generator = Generator(shape, z_dim=4, w_dim=4, mapping_layers=1, **width)
    discriminator = Discriminator(shape, **width)
    r1, path_length = Logistic(r1_gamma=1.0).regularizers
    real = jax.random.normal(jax.random.key(0), (4, *shape))

    def regularize(players, regularizer):
        def draw_ws(key, number):
            return generator.apply(players["generator"], jax.random.normal(key, (number, 4)), None, method="map")

        given = loss_context(
            discriminate=lambda x: discriminator.apply(players["discriminator"], x, None),
            draw_ws=draw_ws,
            synthesize=lambda ws, key: generator.apply(players["generator"], ws, key, method="synthesize"),
            real=real,
        )
        return regularizer.function(given, {"path_length_mean": jnp.zeros(())}, jax.random.key(1))[0]

    @jax.jit
    def gradients(players):
        return {r.player: jax.grad(regularize)(players, r)[r.player] for r in (r1, path_length)}

    made = jax.eval_shape(generator.init, jax.random.key(0), jnp.zeros((1, 4)), None, None)["params"]
    judged = jax.eval_shape(discriminator.init, jax.random.key(0), real, None)["params"]
    players = {"generator": {"params": made}, "discriminator": {"params": judged}}
    players = jax.tree.map(lambda leaf: float32(normal(leaf.size, *leaf.shape)), players)
    for player, found in gradients(players).items():
        leaves = jax.tree.leaves(found)
        assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in leaves), player
        assert sum(float(jnp.abs(leaf).max()) > 0 for leaf in leaves) > len(leaves) / 2, player
