"""VGG16 against NumPy float64 in torchvision's layout, and its random weights."""

import hashlib

import jax
import numpy as np
import pytest
from torch_reference import TorchLayers, channels_last, pool, relu

from drumgan_jax.networks.vgg16 import VGG16, draw, from_torch

SMALL = VGG16(widths=(2, 3, 4, 5, 6), hidden=8, dimensions=3)


def adaptive_mean(x, cells):
    height, width = x.shape[2:]
    y = np.zeros((*x.shape[:2], cells, cells))
    for i in range(cells):
        rows = slice(i * height // cells, -(-(i + 1) * height // cells))
        for j in range(cells):
            columns = slice(j * width // cells, -(-(j + 1) * width // cells))
            y[:, :, i, j] = x[:, :, rows, columns].mean(axis=(2, 3))
    return y


@pytest.mark.parametrize("size", [(96, 64), (32, 320)])
def test_vgg16_is_the_reference(size):
    layers = TorchLayers()
    inputs = np.random.default_rng(1).normal(size=(2, 3, *size))
    x, place = inputs, 0
    for width, depth in ((2, 2), (3, 2), (4, 3), (5, 3), (6, 3)):
        for _ in range(depth):
            x = relu(layers.conv(f"features.{place}", x, width, (3, 3), padding=(1, 1)))
            place += 2
        x, place = pool(x, 2, 2), place + 1
    x = relu(layers.linear("classifier.0", adaptive_mean(x, 7).reshape(2, -1), 8))
    expected = layers.linear("classifier.3", x, 3)
    outputs = jax.jit(SMALL.apply)(from_torch(layers.state, SMALL), channels_last(inputs))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.smoke
def test_drawn_weights_are_the_same_for_ever():
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(draw(SMALL, seed=0)):
        digest.update(leaf)
    assert digest.hexdigest() == "42944a7cb61ef68fbd11b6524305dccd6c39b7b8f813c3a92bf91a5302078890"


def test_drawn_weights_have_torchvisions_distributions():
    params = draw(VGG16(widths=(8, 16, 32, 64, 64), hidden=64), seed=3)["params"]
    stream = np.random.RandomState(3).standard_normal(3 * 3 * 3 * 8)
    first = (stream * np.sqrt(2 / (9 * 8))).reshape(3, 3, 3, 8)
    np.testing.assert_allclose(params["features.0"]["kernel"], first, rtol=1e-6)
    assert params["features.28"]["kernel"].std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)
    assert params["classifier.0"]["kernel"].std() == pytest.approx(0.01, rel=0.02)
    assert params["classifier.3"]["kernel"].shape == (64, 64)
    assert not any(layer["bias"].any() for layer in params.values())
