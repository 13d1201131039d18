"""The Inception-style classifier network: its shapes, its statistics, and its blocks against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import meta

from drumgan_jax.networks.mel_inception import MelInception, Reduction, _average_pool

pytestmark = pytest.mark.usefixtures("unoptimized")
X = np.random.default_rng(0).standard_normal((4, 32, 17, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> tuple[MelInception, dict]:
    module = MelInception(num_labels=5, width=2)
    return module, meta.unbox(jax.jit(module.init)(jax.random.key(0), X))


@pytest.mark.smoke
def test_shapes_and_that_classes_are_scored_from_the_embedding(network) -> None:
    module, variables = network
    logits, embedding = jax.jit(module.apply)(variables, X)
    assert (logits.shape, embedding.shape) == ((4, 5), (4, 16))
    assert logits.dtype == embedding.dtype == np.float32
    dense = variables["params"]["Dense_0"]
    expected = np.float64(embedding) @ np.float64(dense["kernel"]) + np.float64(dense["bias"])
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    assert np.all(np.asarray(embedding) >= 0)


def test_training_moves_the_running_statistics_towards_the_batch(network) -> None:
    module, variables = network
    train = jax.jit(lambda key: module.apply(variables, X, train=True, mutable=["batch_stats"], rngs={"dropout": key}))
    (logits, embedding), changed = train(jax.random.key(0))
    kernel = np.float64(variables["params"]["Convolution_0"]["Conv_0"]["kernel"])
    first = np.asarray(
        jax.lax.conv_general_dilated(
            X.astype(np.float32), kernel.astype(np.float32), (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
        np.float64,
    )
    moved = changed["batch_stats"]["Convolution_0"]["BatchNorm_0"]
    np.testing.assert_allclose(moved["mean"], 0.05 * first.mean((0, 1, 2)), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(moved["var"], 0.95 + 0.05 * first.var((0, 1, 2)), rtol=1e-4)
    (other, same), _ = train(jax.random.key(1))
    np.testing.assert_array_equal(embedding, same)  # dropout is after the embedding
    assert np.abs(np.asarray(logits) - np.asarray(other)).max() > 0


def test_a_reduction_halves_both_axes_and_keeps_the_maxima() -> None:
    module = Reduction(3)
    x = jnp.asarray(X[:, :, :16].repeat(2, axis=3))
    y = np.asarray(jax.jit(lambda key: module.init_with_output(key, x, False)[0])(jax.random.key(0)))
    assert y.shape == (4, 16, 8, 5)
    padded = np.pad(np.asarray(x), ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
    np.testing.assert_array_equal(y[..., :2], windows.max((-2, -1)))


def test_pooled_means_leave_out_the_padding() -> None:
    y = np.asarray(_average_pool(jnp.asarray(X)))[..., 0]
    np.testing.assert_allclose(y[:, 0, 0], X[:, :2, :2, 0].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(y[:, 5, 7], X[:, 4:7, 6:9, 0].mean((1, 2)), rtol=1e-4, atol=1e-6)
