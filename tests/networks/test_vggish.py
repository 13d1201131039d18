"""VGGish against NumPy float64 in the layout of its PyTorch port."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from torch_reference import TorchLayers, channels_last, pool, relu

from drumgan_jax.networks import vggish
from drumgan_jax.networks.vggish import VGGish, VGGishTaps, from_torch

WIDTHS, HIDDEN, DIMENSIONS = (2, 3, 4, 4, 5, 5), 6, 7


def stages(layers, x):
    maps = []
    for place, width, pooled in ((0, 2, 1), (3, 3, 1), (6, 4, 0), (8, 4, 1), (11, 5, 0), (13, 5, 1)):
        x = relu(layers.conv(f"features.{place}", x, width, (3, 3), padding=(1, 1)))
        x = pool(x, 2, 2) if pooled else x
        maps += [x] if pooled else []
    return maps


def reference(layers, x):
    x = stages(layers, x)[-1]
    x = x.transpose(0, 2, 3, 1).reshape(len(x), -1)
    x = relu(layers.linear("embeddings.0", x, HIDDEN))
    x = relu(layers.linear("embeddings.2", x, HIDDEN))
    return layers.linear("embeddings.4", x, DIMENSIONS)


@pytest.mark.smoke
def test_vggish_is_the_reference_before_its_last_rectifier():
    layers = TorchLayers()
    x = np.random.default_rng(1).normal(size=(3, 1, 96, 64))
    expected = reference(layers, x)
    assert (expected < 0).any()
    network = VGGish(WIDTHS, HIDDEN, DIMENSIONS)
    variables = from_torch(layers.state, network)
    outputs = jax.jit(network.apply)(variables, channels_last(x))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)
    rectified = jax.jit(VGGish(WIDTHS, HIDDEN, DIMENSIONS, rectified=True).apply)(variables, channels_last(x))
    np.testing.assert_allclose(rectified, relu(expected), rtol=0, atol=1e-5)


def test_the_published_network_has_the_published_count_of_parameters():
    shapes = jax.eval_shape(VGGish().init, jax.random.key(0), jax.ShapeDtypeStruct((1, 96, 64, 1), np.float32))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 72_141_184


def test_taps_are_the_stages_of_the_whole_network():
    """From a part of its variables, of any multiple of 16 frames and bands, which here come first."""
    layers, network = TorchLayers(), VGGish(WIDTHS, HIDDEN, DIMENSIONS)
    reference(layers, np.zeros((1, 1, 96, 64)))
    variables = from_torch(layers.state, network)
    x = np.random.default_rng(1).normal(size=(2, 1, 48, 32))
    expected = stages(layers, x)
    taps, mel = VGGishTaps(WIDTHS), channels_last(x).swapaxes(1, 2)
    names = jax.eval_shape(taps.init, jax.random.key(0), mel)["params"].keys()
    assert names == {name for name in variables["params"] if name.startswith("features")}
    part = {"params": {name: variables["params"][name] for name in names}}
    maps = jax.jit(taps.apply)(part, mel)
    assert [tuple(found.shape) for found in maps] == [(2, 16, 24, 2), (2, 8, 12, 3), (2, 4, 6, 4), (2, 2, 3, 5)]
    for found, wanted in zip(maps, expected, strict=True):
        np.testing.assert_allclose(found, wanted.transpose(0, 3, 2, 1), rtol=0, atol=1e-5)
    halves = jax.jit(VGGishTaps(WIDTHS, jnp.bfloat16).apply)(part, mel)
    for half, found in zip(halves, maps, strict=True):
        assert half.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(half, np.float32), found, rtol=0, atol=0.05 * np.abs(found).max())


def test_the_pools_gradient_is_that_of_a_pool():
    x, weight = jax.random.normal(jax.random.key(0), (2, 4, 6, 3)), jnp.arange(2.0 * 2 * 3 * 3).reshape(2, 2, 3, 3)
    found, expected = (
        jax.jit(jax.value_and_grad(lambda x, pool=pool: jnp.sum(pool(x) * weight)))(x)
        for pool in (vggish._pool, lambda x: nn.max_pool(x, (2, 2), (2, 2)))
    )
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])
