"""Encoders: table 3's tensor sizes, one step of the network against NumPy, and what a batch does to it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks.encoders import ConvolutionEncoder, WaveformEncoder, bounded_labels
from drumgan_jax.networks.style_waveform import Discriminator, Trunk

pytestmark = pytest.mark.usefixtures("unoptimized")


# Nistal et al. 2022, table 3: (freq, time) and channels of each convolution, then the sizes of the dense layers.
TABLE_3 = [(512, 24, 32), (256, 24, 64), (128, 12, 128), (64, 12, 128), (32, 6, 64), (16, 6, 32)]
TABLE_3_DENSE = [3072, 1024, 512, 131]


@pytest.mark.smoke
def test_full_size_has_the_tensor_sizes_of_table_3() -> None:
    network = ConvolutionEncoder(131, 3)
    seen = jax.ShapeDtypeStruct((2, 1024, 48, 1), "float32")
    variables = jax.eval_shape(network.init, jax.random.key(0), seen)
    _, kept = jax.eval_shape(lambda v, x: network.apply(v, x, capture_intermediates=True), variables, seen)
    sizes = {name: value["__call__"][0].shape[1:] for name, value in kept["intermediates"].items() if name[0] != "_"}
    assert [sizes[f"convolution_{i}"] for i in range(6)] == TABLE_3
    assert [sizes[f"dense_{i}"][0] for i in range(3)] + [sizes["output"][0]] == TABLE_3_DENSE
    # No biases, and a scale and a shift of batch normalisation behind each of the ten layers.
    assert not any("bias" in layer for name, layer in variables["params"].items() if not name.startswith("BatchNorm"))
    assert sum(name.startswith("BatchNorm") for name in variables["params"]) == 10
    kernels = [leaf for leaf in jax.tree.leaves(variables["params"]) if leaf.ndim > 1]
    assert sum(leaf.size for leaf in kernels) == 332_064 + 3072 * 3072 + 3072 * 1024 + 1024 * 512 + 512 * 131


@pytest.fixture(scope="module")
def small() -> tuple[ConvolutionEncoder, dict[str, Any], np.ndarray]:
    network = ConvolutionEncoder(5, 2, channels=(3, 4), dense=(6,))
    seen = np.random.default_rng(0).random((4, 8, 6, 1), np.float32)
    variables = jax.tree.map(
        # Running values other than 0 and 1, and scales of both signs.
        lambda leaf: leaf + np.float32(0.5) * np.random.default_rng(leaf.size).random(leaf.shape, np.float32),
        jax.jit(network.init)(jax.random.key(1), jnp.asarray(seen)),
    )
    return network, variables, seen


def in_numpy(variables: dict[str, Any], seen: np.ndarray, train: bool) -> np.ndarray:
    params = jax.tree.map(np.float64, variables["params"])
    running = jax.tree.map(np.float64, variables["batch_stats"])
    order = iter(range(4))

    def normalized(x: np.ndarray) -> np.ndarray:
        name = f"BatchNorm_{next(order)}"
        axes = tuple(range(x.ndim - 1))
        mean, var = (x.mean(axes), x.var(axes)) if train else (running[name]["mean"], running[name]["var"])
        return (x - mean) / np.sqrt(var + 1e-5) * params[name]["scale"] + params[name]["bias"]

    def leaky(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, 0.2 * x)

    x = np.float64(seen)
    for number, strides in enumerate([(2, 2), (2, 1)]):
        kernel = params[f"convolution_{number}"]["kernel"]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        x = leaky(normalized(np.einsum("bftcij,ijco->bfto", windows[:, :: strides[0], :: strides[1]], kernel)))
    x = leaky(normalized(x.reshape(len(x), -1) @ params["dense_0"]["kernel"]))
    x = normalized(x @ params["output"]["kernel"])
    probabilities = np.exp(x[:, 3:]) / np.exp(x[:, 3:]).sum(axis=1, keepdims=True)
    return np.concatenate([x[:, :3], probabilities], axis=1)


@pytest.mark.parametrize("train", [False, True])
def test_the_network_is_that_of_numpy(small, train: bool) -> None:
    network, variables, seen = small
    w, changed = jax.jit(lambda v, x: network.apply(v, x, train, mutable=["batch_stats"]))(variables, seen)
    np.testing.assert_allclose(w, in_numpy(variables, seen, train), rtol=1e-4, atol=1e-5)
    before, after = (jax.tree.leaves(tree["batch_stats"]) for tree in (variables, changed))
    assert all(np.array_equal(a, b) != train for a, b in zip(before, after, strict=True))


def test_in_use_a_sound_is_encoded_alike_in_any_batch(small) -> None:
    network, variables, seen = small
    apply = jax.jit(network.apply)
    together = apply(variables, seen)
    np.testing.assert_allclose(apply(variables, seen[2:3]), together[2:3], rtol=1e-5, atol=1e-6)


def test_labels_alone_are_made_probabilities() -> None:
    w = jnp.asarray([[3.0, -2.0, 0.0, 0.0], [1.0, 1.0, 100.0, 0.0]])
    found = bounded_labels(w, 2, 0)
    np.testing.assert_allclose(found, [[3.0, -2.0, 0.5, 0.5], [1.0, 1.0, 1.0, 0.0]], atol=1e-6)
    assert bounded_labels(w, 0, 0) is w


def test_the_waveform_encoder_is_the_discriminators_trunk_and_a_dense_layer() -> None:
    widths = {"base": 4, "channel_base": 16, "channel_min": 2, "channel_max": 8}
    network, critic = WaveformEncoder(7, **widths), Discriminator((1, 32, 1), phase_shuffle=2, **widths)
    seen = jnp.asarray(np.random.default_rng(0).standard_normal((3, 1, 32, 1), np.float32))
    variables = jax.jit(network.init)(jax.random.key(0), seen)
    of_critic = jax.eval_shape(critic.init, jax.random.key(0), seen, None)["params"]["trunk"]
    assert jax.tree.map(jnp.shape, variables["params"]["trunk"]) == jax.tree.map(jnp.shape, of_critic)
    params = jax.tree.map(lambda leaf: leaf + 0.1, variables["params"])
    w = network.apply({"params": params}, seen, train=True)
    trunk = Trunk((8, 8, 4, 2)).apply({"params": params["trunk"]}, seen)
    expected = np.float64(trunk) @ np.float64(params["output"]["kernel"]) + np.float64(params["output"]["bias"])
    np.testing.assert_allclose(w, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(network.apply({"params": params}, seen), w)


def test_a_length_that_no_doubling_gives_is_told() -> None:
    with pytest.raises(BadInput, match="a waveform of 48 samples is not the base of 16 doubled"):
        jax.eval_shape(WaveformEncoder(7).init, jax.random.key(0), jnp.zeros((1, 1, 48, 1)))
