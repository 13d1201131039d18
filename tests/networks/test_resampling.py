"""Blur, up- and down-sampling, alone and with a convolution, against NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from drumgan_jax.networks import resampling
from drumgan_jax.networks.convolution import convolve
from drumgan_jax.networks.layers import Convolution


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(2, 6, 8, 3))


@pytest.fixture(scope="module")
def kernel():
    return np.random.default_rng(1).normal(size=(3, 3, 3, 4))


def float32(array):
    return jnp.asarray(array, jnp.float32)


@pytest.mark.parametrize("padding", [1, 2])
def test_parity_12_blur(x, padding):
    """The outer product of [1, 3, 3, 1] over 64 as a true convolution with zero padding."""
    expected = reference.fir(x, padding, padding, gain=1)
    np.testing.assert_allclose(resampling.blur(float32(x), padding), expected, atol=1e-6)


@pytest.mark.smoke
def test_parity_13_upsample_and_downsample(x):
    np.testing.assert_allclose(resampling.upsample(float32(x)), reference.upsample(x), atol=1e-6)
    np.testing.assert_allclose(resampling.downsample(float32(x)), reference.downsample(x), atol=1e-6)
    ones = resampling.upsample(jnp.ones((1, 4, 8, 1)))[0, :, :, 0]
    np.testing.assert_array_equal(ones[1:-1, 1:-1], 1.0)
    np.testing.assert_array_equal(ones[jnp.array([0, 0, -1, -1]), jnp.array([0, -1, 0, -1])], 0.5625)


@pytest.mark.smoke
def test_parity_14_up_convolution(x, kernel):
    """Padding once before everything, kernel flipped; both ways to get it wrong are far off."""
    expected = reference.up_convolution(x, kernel)
    np.testing.assert_allclose(resampling.up_convolution(float32(x), float32(kernel)), expected, atol=1e-5)
    assert np.abs(reference.up_convolution(x, kernel[::-1, ::-1]) - expected).max() > 1
    padded_late = reference.same(reference.upsample(x), kernel[::-1, ::-1])
    np.testing.assert_allclose(padded_late[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-12)
    assert np.abs(padded_late - expected).max() > 0.1


def test_parity_15_down_convolution(x, kernel):
    expected = reference.down_convolution(x, kernel)
    np.testing.assert_allclose(resampling.down_convolution(float32(x), float32(kernel)), expected, atol=1e-5)


def test_parity_15_pointwise_convolutions(x):
    """1 x 1 down: blur and decimate first, then the kernel."""
    layer = Convolution(4, 1, down=True, plain=True)
    parameters = layer.init(jax.random.key(0), float32(x))["params"]
    expected = reference.convolution(x, parameters, down=True, activate=False)
    np.testing.assert_allclose(layer.apply({"params": parameters}, float32(x)), expected, atol=1e-6)
    # The slow order, a blur of everything and every second place of the convolution, is the same.
    kernel = parameters["kernel"] / np.sqrt(3)
    slow = convolve(resampling.blur(float32(x), 2)[:, 1:-1, 1:-1], kernel)[:, ::2, ::2]
    np.testing.assert_allclose(layer.apply({"params": parameters}, float32(x)), slow, atol=1e-6)


def test_parity_16_padding_is_by_axis(x, kernel):
    """Neither axis gets the other's padding: transposed in, transposed out."""

    def turned(array, axes=(0, 2, 1, 3)):
        return float32(np.transpose(array, axes))

    for function in (resampling.upsample, resampling.downsample):
        np.testing.assert_allclose(function(turned(x)), turned(function(float32(x))), atol=1e-6)
    for function in (resampling.up_convolution, resampling.down_convolution):
        straight = function(float32(x), float32(kernel))
        np.testing.assert_allclose(function(turned(x), turned(kernel, (1, 0, 2, 3))), turned(straight), atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [resampling.upsample, resampling.downsample, lambda x: resampling.blur(x, 1), lambda x: resampling.blur(x, 2)],
    ids=["upsample", "downsample", "blur 1", "blur 2"],
)
def test_gradients_are_transposes(function):
    """<f(x), y> = <x, f^T(y)>, and the transpose's transpose is the function."""
    x = jax.random.normal(jax.random.key(0), (1, 4, 6, 2))
    y = jax.random.normal(jax.random.key(1), function(x).shape)

    def transpose(y):
        return jax.vjp(function, x)[1](y)[0]

    np.testing.assert_allclose(jnp.vdot(function(x), y), jnp.vdot(x, transpose(y)), rtol=1e-5)
    np.testing.assert_allclose(jax.vjp(transpose, y)[1](x)[0], function(x), atol=1e-6)


def test_bfloat16_sums_in_float32(x):
    exact = reference.downsample(np.asarray(float32(x).astype(jnp.bfloat16), np.float64))
    found = resampling.downsample(float32(x).astype(jnp.bfloat16))
    assert found.dtype == jnp.bfloat16
    # One rounding, of the result.
    np.testing.assert_allclose(found.astype(jnp.float32), exact, rtol=2**-8, atol=1e-6)
