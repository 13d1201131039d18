"""The depthwise convolution against NumPy float64 and XLA's grouped one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from drumgan_jax.networks import depthwise as module
from drumgan_jax.networks.convolution import DIMENSIONS
from drumgan_jax.networks.depthwise import depthwise


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def float32(array):
    return jnp.asarray(array, jnp.float32)


X, KERNEL = normal(0, 2, 5, 4, 3), normal(1, 3, 3, 1, 3)


def grouped(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=DIMENSIONS, feature_group_count=x.shape[-1]
    )


@pytest.mark.smoke
def test_every_channel_meets_its_own_taps():
    expected = np.concatenate([reference.same(X[..., c : c + 1], KERNEL[..., c : c + 1]) for c in range(3)], axis=-1)
    np.testing.assert_allclose(depthwise(float32(X), float32(KERNEL)), expected, atol=1e-5)


def test_derivatives_up_to_the_second_are_those_of_a_grouped_convolution():
    def derivatives(function):
        def score(x, kernel):
            return jnp.sum(jnp.sin(function(x, kernel)))

        def squared_norm(x, kernel):
            return sum(jnp.sum(jnp.square(g)) for g in jax.grad(score, (0, 1))(x, kernel))

        return [jax.grad(f, (0, 1))(float32(X), float32(KERNEL)) for f in (score, squared_norm)]

    found, expected = jax.jit(lambda: (derivatives(depthwise), derivatives(grouped)))()
    for ours, plain in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = np.abs(plain).max()
        np.testing.assert_allclose(ours / scale, plain / scale, atol=1e-5)


def test_both_forms_of_the_kernels_gradient_agree():
    y = float32(normal(2, *X.shape))
    np.testing.assert_allclose(module._taps_by_rows(float32(X), y), module._taps_at_once(float32(X), y), atol=1e-5)
