"""Equalised layers and the three convolutions against NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from drumgan_jax.networks import convolution
from drumgan_jax.networks.convolution_on_cpu import Geometry
from drumgan_jax.networks.layers import Convolution, Dense


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def as_float32(*arrays):
    return [jnp.asarray(array, jnp.float32) for array in arrays]


@pytest.mark.smoke
def test_parity_01_dense():
    """Stored at 1 / lr_mult, used times lr_mult / sqrt(fan_in); the bias is stored as bias_init, used times lr_mult."""
    layer = Dense(512, lr_multiplier=0.01, bias_init=1.0)
    (x,) = as_float32(normal(0, 3, 512))
    parameters = layer.init(jax.random.key(0), x)["params"]
    kernel, bias = np.asarray(parameters["kernel"], np.float64), np.asarray(parameters["bias"], np.float64)
    assert kernel.std() == pytest.approx(100, rel=0.01)
    assert (kernel * 0.01 / np.sqrt(512)).std() == pytest.approx(0.0442, rel=0.01)
    np.testing.assert_array_equal(bias, 1.0)
    expected = np.asarray(x, np.float64) @ (kernel * 0.01 / np.sqrt(512)) + 0.01 * bias
    np.testing.assert_allclose(layer.apply({"params": parameters}, x), expected, atol=2e-6)


@pytest.mark.parametrize("size", [1, 3])
def test_parity_02_convolution(size):
    """Used kernel / sqrt(in * size^2); the gain sqrt(2) of the leaky rectifier comes after the bias."""
    layer = Convolution(5, size)
    (x,) = as_float32(normal(0, 2, 4, 6, 3))
    parameters = layer.init(jax.random.key(0), x)["params"]
    parameters["bias"] = jnp.arange(5.0) - 2
    kernel = np.asarray(parameters["kernel"], np.float64) / np.sqrt(3 * size * size)
    z = reference.same(np.asarray(x, np.float64), kernel) + np.arange(5) - 2
    expected = np.where(z > 0, z, 0.2 * z) * np.sqrt(2)
    np.testing.assert_allclose(layer.apply({"params": parameters}, x), expected, atol=2e-6)


def test_kernel_layout_is_a_correlation():
    impulse = jnp.zeros((1, 5, 5, 1)).at[0, 2, 2, 0].set(1.0)
    (kernel,) = as_float32(normal(0, 3, 3, 1, 1))
    np.testing.assert_allclose(convolution.convolve(impulse, kernel)[0, 1:4, 1:4, 0], kernel[::-1, ::-1, 0, 0])


def plain_halve(x, kernel):
    return convolution.plain(x, kernel, convolution.HALVING)


def plain_double(y, kernel):
    return convolution.plain_transpose(y, kernel, convolution.HALVING, (2 * y.shape[1] + 1, 2 * y.shape[2] + 1))


def plain_same(x, kernel):
    return convolution.plain(x, kernel, Geometry(padding=((1, 1), (1, 1))))


@pytest.mark.parametrize(
    ("ours", "plain", "shape"),
    [
        (convolution.halve, plain_halve, (2, 7, 9, 2)),
        (convolution.double, plain_double, (2, 3, 4, 3)),
        (convolution.convolve, plain_same, (2, 3, 4, 2)),
    ],
    ids=["halve", "double", "same"],
)
def test_derivatives_up_to_the_third_equal_those_of_plain_convolution(ours, plain, shape):
    x, kernel = as_float32(normal(0, *shape), 0.3 * normal(1, 3, 3, 2, 3))
    weight = jnp.cos(jnp.arange(2.0 * 3 * 4)[:, None, None, None] * jnp.ones((1, 9, 9, 3)))

    def score(function):
        def total(x, kernel):
            y = jnp.tanh(function(x, kernel))
            return jnp.sum(y * weight[: y.shape[0], : y.shape[1], : y.shape[2], : y.shape[3]])

        return total

    def squared_norm(function, of):
        return lambda x, kernel: sum(jnp.sum(jnp.square(g)) for g in jax.grad(function, of)(x, kernel))

    def derivatives(function):
        first = score(function)
        second = squared_norm(first, (0, 1))
        third = squared_norm(second, (0,))
        return [jax.grad(f, (0, 1))(x, kernel) for f in (first, second, third)]

    found, expected = jax.jit(lambda: derivatives(ours))(), jax.jit(lambda: derivatives(plain))()
    for order, (a, b) in enumerate(zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)):
        scale = np.abs(b).max()
        np.testing.assert_allclose(a / scale, b / scale, atol=1e-5, err_msg=f"leaf {order}")
