"""VGGish against NumPy float64 in the layout of its PyTorch port."""

import jax
import numpy as np
import pytest
from torch_reference import TorchLayers, channels_last, pool, relu

from drumgan_jax.networks.vggish import VGGish, from_torch

WIDTHS, HIDDEN, DIMENSIONS = (2, 3, 4, 4, 5, 5), 6, 7


def reference(layers, x):
    for place, width, pooled in ((0, 2, 1), (3, 3, 1), (6, 4, 0), (8, 4, 1), (11, 5, 0), (13, 5, 1)):
        x = relu(layers.conv(f"features.{place}", x, width, (3, 3), padding=(1, 1)))
        x = pool(x, 2, 2) if pooled else x
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
