"""Spectral normalisation against NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.networks.spectral import Kernel, advance, normalize


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def float32(array):
    return jnp.asarray(array, jnp.float32)


def iterate(kernel, u):
    """W [out, fan_in], v and the next u, by the equations."""
    matrix = kernel.reshape(-1, kernel.shape[-1]).T
    v = matrix.T @ u
    v /= np.linalg.norm(v)
    u = matrix @ v
    return matrix, v, u / np.linalg.norm(u)


KERNEL, U = normal(0, 3, 3, 2, 5), normal(1, 5)


@pytest.mark.smoke
def test_a_kernel_is_divided_by_the_singular_value_that_one_iteration_finds():
    matrix, v, u = iterate(KERNEL, U)
    np.testing.assert_allclose(normalize(float32(KERNEL), float32(U)), KERNEL / (u @ matrix @ v), rtol=1e-5)


def test_the_gradient_flows_through_the_kernel_and_holds_the_vectors_fixed():
    weight = normal(2, *KERNEL.shape)
    found = jax.grad(lambda kernel: jnp.sum(normalize(kernel, float32(U)) * float32(weight)))(float32(KERNEL))
    matrix, v, u = iterate(KERNEL, U)
    sigma = u @ matrix @ v
    outer = np.outer(v, u).reshape(KERNEL.shape)
    np.testing.assert_allclose(found, weight / sigma - (weight * KERNEL).sum() / sigma**2 * outer, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (1, 1, 7, 3), (3, 3, 1, 5), (4, 4, 3, 1)])
def test_the_largest_singular_value_becomes_one(shape):
    """Plain, pointwise, depthwise, and to a single channel; a depthwise kernel is the matrix [channels, 9]."""
    kernel = normal(0, *shape)
    params, statistics = {"layer": {"kernel": float32(kernel)}}, {"layer": {"u": float32(normal(1, shape[-1]))}}
    converged = jax.lax.fori_loop(0, 300, lambda _, kept: advance(params, kept), statistics)
    expected = np.linalg.svd(kernel.reshape(-1, shape[-1]), compute_uv=False)[0]
    used = normalize(params["layer"]["kernel"], converged["layer"]["u"])
    np.testing.assert_allclose(used, kernel / expected, atol=2e-6)


def test_an_advance_is_one_iteration_of_every_vector_and_of_nothing_else():
    other = normal(3, 1, 1, 4, 2), normal(4, 2)
    params = {"a": {"kernel": float32(KERNEL)}, "b": {"c": {"kernel": float32(other[0]), "bias": float32(other[1])}}}
    statistics = {"a": {"u": float32(U)}, "b": {"c": {"u": float32(other[1])}}, "w_average": float32(U)}
    advanced = advance(params, statistics)
    assert jax.tree.structure(advanced) == jax.tree.structure(statistics)
    np.testing.assert_allclose(advanced["a"]["u"], iterate(KERNEL, U)[2], atol=1e-6)
    np.testing.assert_allclose(advanced["b"]["c"]["u"], iterate(*other)[2], atol=1e-6)
    np.testing.assert_array_equal(advanced["w_average"], statistics["w_average"])


def test_a_layer_keeps_its_vector_beside_its_kernel_and_a_pass_changes_nothing():
    layer = Kernel((3, 3, 64, 32), name="layer")
    variables = layer.init(jax.random.key(0))
    kernel, u = variables["params"]["kernel"], variables["statistics"]["u"]
    assert u.shape == (32,)
    assert np.linalg.norm(u) == pytest.approx(1, rel=1e-6)
    # PyTorch's default for convolutions: uniform within 1 / sqrt(fan in).
    bound = 1 / np.sqrt(3 * 3 * 64)
    assert np.abs(kernel).max() == pytest.approx(bound, rel=1e-3)
    assert np.std(kernel) == pytest.approx(bound / np.sqrt(3), rel=0.02)
    used, updates = layer.apply(variables, mutable=["statistics"])
    np.testing.assert_array_equal(updates["statistics"]["u"], u)
    np.testing.assert_array_equal(used, normalize(kernel, u))
