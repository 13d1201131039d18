"""Modulated convolutions in the shared-weight form against per-example kernels in NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from drumgan_jax.networks.modulated import (
    StyledConvolution,
    ToOutput,
    demodulation,
    modulated_convolution,
)
from drumgan_jax.networks.noise import draw_noise


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def float32(array):
    return jnp.asarray(array, jnp.float32)


def perturbed(parameters):
    """Parameters away from their initial zeros and ones, so that every term counts."""
    leaves, tree = jax.tree.flatten(parameters)
    keys = jax.random.split(jax.random.key(9), len(leaves))
    return tree.unflatten([p + 0.3 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)])


def test_parity_03_kernel_is_used_as_stored():
    """No 1 / sqrt(fan_in): with tiny kernels the 1e-8 in the demodulation acts as it does in the reference."""
    kernel, styles = 1e-4 * normal(0, 3, 3, 8, 4), normal(1, 2, 8)
    layer = StyledConvolution(4)
    parameters = layer.init(jax.random.key(0), jnp.zeros((2, 4, 4, 256)), jnp.zeros((2, 8)), None)["params"]
    assert np.asarray(parameters["kernel"]).std() == pytest.approx(1.0, rel=0.05)
    x = normal(2, 2, 4, 4, 8)
    expected = reference.modulated(x, kernel, styles, up=False)
    scaled = reference.modulated(x, kernel / np.sqrt(9 * 8), styles, up=False)
    assert np.abs(scaled - expected).max() > 0.1
    found = modulated_convolution(float32(x), float32(kernel), float32(styles), False, jnp.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_parity_04_demodulation():
    kernel, styles = normal(0, 3, 3, 8, 5), normal(1, 3, 8)
    expected = np.zeros((3, 5))
    for n in range(3):
        for o in range(5):
            total = sum((kernel[r, s, i, o] * styles[n, i]) ** 2 for r in range(3) for s in range(3) for i in range(8))
            expected[n, o] = 1 / np.sqrt(total + 1e-8)
    np.testing.assert_allclose(demodulation(float32(kernel), float32(styles)), expected, rtol=1e-5)


def test_parity_04_styles_start_at_one():
    layer = StyledConvolution(4)
    x, w = jnp.ones((1, 4, 4, 3)), jnp.ones((1, 400))
    style = layer.init(jax.random.key(0), x, w, None)["params"]["style"]
    np.testing.assert_array_equal(style["bias"], 1.0)
    assert np.asarray(style["kernel"]).std() == pytest.approx(1.0, rel=0.1)


def test_parity_05_to_output():
    """Styles over sqrt(in), 1 x 1, no demodulation, linear."""
    x, w = normal(0, 2, 4, 6, 8), normal(1, 2, 5)
    layer = ToOutput(2)
    parameters = perturbed(layer.init(jax.random.key(0), float32(x), float32(w))["params"])
    kernel, bias = np.asarray(parameters["kernel"], np.float64)[0, 0], np.asarray(parameters["bias"], np.float64)
    styles = reference.dense(w, parameters["style"]) / np.sqrt(8)
    expected = np.einsum("bfti,bi,io->bfto", x, styles, kernel) + bias
    found = layer.apply({"params": parameters}, float32(x), float32(w))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.smoke
@pytest.mark.parametrize("up", [False, True], ids=["same", "up"])
def test_parity_07_shared_weights_equal_own_weights(up):
    """Scaled, convolved and demodulated, against a kernel of each example's own; 64 channels, float32."""
    x, kernel, styles = normal(0, 2, 6, 8, 64), normal(1, 3, 3, 64, 64), 1 + normal(2, 2, 64)
    expected = reference.modulated(x, kernel, styles, up)
    found = modulated_convolution(float32(x), float32(kernel), float32(styles), up, jnp.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_parity_08_noise():
    """One strength per layer, 0 at first; added after the demodulation and before bias and rectifier."""
    x, w, noise = normal(0, 2, 4, 6, 3), normal(1, 2, 5), normal(2, 2, 4, 6, 1)
    layer = StyledConvolution(4)
    initial = layer.init(jax.random.key(0), float32(x), float32(w), None)["params"]
    assert initial["noise_strength"].shape == ()
    assert initial["noise_strength"] == 0
    parameters = {**perturbed(initial), "noise_strength": jnp.asarray(0.7)}
    expected = reference.styled(x, w, noise, parameters, up=False)
    found = layer.apply({"params": parameters}, float32(x), float32(w), float32(noise))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    silent = layer.apply({"params": parameters}, float32(x), float32(w), None)
    np.testing.assert_allclose(silent, reference.styled(x, w, None, parameters, up=False), atol=1e-5)


def test_noise_is_standard_normal_and_different_in_each_layer_and_example():
    sizes = [(16, 32), (16, 32), (32, 64)]
    noises = draw_noise(jax.random.split(jax.random.key(0), 4), sizes)
    assert [noise.shape for noise in noises] == [(4, *size, 1) for size in sizes]
    flat = np.concatenate([np.asarray(noise).reshape(4, -1) for noise in noises], axis=1)
    assert flat.mean() == pytest.approx(0, abs=0.03)
    assert flat.std() == pytest.approx(1, abs=0.03)
    assert np.abs(np.corrcoef(flat) - np.eye(4)).max() < 0.1
    assert np.abs(np.corrcoef(np.asarray(noises[0]).ravel(), np.asarray(noises[1]).ravel())[0, 1]) < 0.1
