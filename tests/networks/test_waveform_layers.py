"""Layers on waveforms against NumPy float64 and against the plain forms of their convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.networks.waveform_layers import (
    adaptive_normalization,
    down_convolution,
    same_convolution,
    shuffle_phase,
    up_convolution,
)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def correlate(x, kernel, stride, before, after):
    """Sums over taps and channels, sample by sample."""
    x = np.pad(x, ((0, 0), (0, 0), (before, after), (0, 0)))
    starts = range(0, x.shape[2] - 15, stride)
    return np.stack([np.einsum("bftc,ftcd->bfd", x[:, :, i : i + 16], kernel) for i in starts], axis=2)


FORMS = {
    "same": (same_convolution, lambda x, kernel: correlate(x, kernel, 1, 7, 8)),
    "up": (up_convolution, lambda x, kernel: correlate(np.repeat(x, 2, axis=2), kernel, 1, 7, 8)),
    "down": (down_convolution, lambda x, kernel: correlate(x, kernel, 2, 6, 8)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("time", [2, 24, 64])
def test_convolutions(form, time):
    """Also of waveforms shorter than the kernel; doubling has another form from 64 samples on."""
    convolution, plain = FORMS[form]
    x, kernel = normal(0, 2, 1, time, 3), normal(1, 1, 16, 3, 5)
    found = jax.jit(convolution)(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    expected = plain(x, kernel)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def xla_convolution(x, kernel, stride, padding):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, stride), ((0, 0), padding), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("form", ["up", "down"])
def test_derivatives_are_those_of_the_plain_form(form):
    """The first, and the gradient of its square, by input and kernel."""
    x, kernel = jnp.asarray(normal(0, 2, 1, 64, 2), jnp.float32), jnp.asarray(normal(1, 1, 16, 2, 3), jnp.float32)

    def plain(x, kernel):
        return (
            xla_convolution(jnp.repeat(x, 2, axis=2), kernel, 1, (7, 8))
            if form == "up"
            else xla_convolution(x, kernel, 2, (6, 8))
        )

    @jax.jit
    def both(x, kernel):
        def derivatives(function):
            first = jax.grad(lambda x, kernel: jnp.cos(function(x, kernel)).sum(), (0, 1))
            second = jax.grad(lambda x, kernel: jnp.square(first(x, kernel)[0]).sum(), (0, 1))
            return first(x, kernel), second(x, kernel)

        return derivatives(FORMS[form][0]), derivatives(plain)

    for found, expected in zip(*map(jax.tree.leaves, both(x, kernel)), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.smoke
def test_adaptive_normalization():
    """Mean and deviation of each example and channel over time are set, whatever they were."""
    x, scale, bias = 3 + 5 * normal(0, 2, 1, 40, 3), normal(1, 2, 3), normal(2, 2, 3)
    unit = (x - x.mean(axis=2, keepdims=True)) / x.std(axis=2, keepdims=True)
    expected = unit * scale[:, None, None] + bias[:, None, None]
    found = adaptive_normalization(*(jnp.asarray(part, jnp.float32) for part in (x, scale, bias)))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=2)[:, 0], np.abs(scale), rtol=1e-4)


def test_a_constant_is_normalised_to_the_bias():
    found = adaptive_normalization(jnp.full((1, 1, 8, 2), 0.7), jnp.ones((1, 2)), jnp.array([[0.5, -1.0]]))
    np.testing.assert_allclose(found[0, 0], np.tile([0.5, -1.0], (8, 1)), atol=1e-2)


@pytest.mark.smoke
def test_phase_shuffle():
    """As padding by reflection and cutting; each example by its own shift."""
    x, shifts = normal(0, 5, 1, 6, 3), np.array([-2, -1, 0, 1, 2])
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (0, 0)), mode="reflect")
    expected = np.stack([padded[i, :, 2 - shift : 8 - shift] for i, shift in enumerate(shifts)])
    found = shuffle_phase(jnp.asarray(x, jnp.float32), jnp.asarray(shifts))
    np.testing.assert_array_equal(found, expected.astype(np.float32))
