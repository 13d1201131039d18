"""Convolutions and their derivatives against NumPy float64 and finite differences, for every kind of layer."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from drumgan_jax.networks import convolution, convolution_on_cpu
from drumgan_jax.networks.convolution import correlate, for_flax
from drumgan_jax.networks.convolution_on_cpu import Geometry

SAME = ((1, 1), (1, 1))


CASES = {
    "3 x 3": ((2, 5, 6), (3, 3), (3, 4), Geometry(padding=SAME)),
    "one row, one channel, batch 1": ((1, 1, 7), (3, 3), (1, 1), Geometry(padding=SAME)),
    "halved": ((2, 9, 7), (3, 3), (3, 2), Geometry((2, 2))),
    "halved, padded, odd": ((1, 7, 5), (3, 3), (2, 3), Geometry((2, 2), SAME)),
    "4 x 4 with stride 2": ((2, 8, 6), (4, 4), (2, 3), Geometry((2, 2), SAME)),
    "one axis halved": ((2, 6, 5), (3, 3), (2, 3), Geometry((2, 1), SAME)),
    "halved and dilated": ((2, 9, 8), (3, 3), (2, 3), Geometry((2, 2), SAME, (2, 2))),
    "one axis halved, the other dilated": ((2, 9, 8), (3, 3), (2, 3), Geometry((2, 1), SAME, (1, 2))),
    "waveform, even kernel": ((2, 1, 23), (1, 16), (2, 3), Geometry(padding=((0, 0), (7, 8)))),
    "waveform, dilated": ((2, 1, 21), (1, 3), (3, 2), Geometry(dilation=(1, 9))),
    "column of bands": ((2, 11, 4), (7, 1), (2, 3), Geometry(padding=((3, 3), (0, 0)))),
    "1 x 1": ((2, 4, 3), (1, 1), (3, 2), Geometry()),
    "1 x 1 with stride 2": ((2, 4, 5), (1, 1), (3, 2), Geometry((2, 2))),
    "a position": ((2, 4, 4), (4, 4), (3, 1), Geometry()),
}


def reference(x, kernel, geometry):
    """The definition, in NumPy float64."""
    batch, (rows, columns, _, out) = len(x), kernel.shape
    x = np.pad(x, ((0, 0), *geometry.padding, (0, 0)))
    sizes = [
        (size - (tap - 1) * dilation - 1) // stride + 1
        for size, tap, dilation, stride in zip(
            x.shape[1:3], (rows, columns), geometry.dilation, geometry.strides, strict=True
        )
    ]
    y = np.zeros((batch, *sizes, out))
    for p, q, i, j in itertools.product(*map(range, (*sizes, rows, columns))):
        row, column = (
            position * stride + tap * dilation
            for position, stride, tap, dilation in zip((p, q), geometry.strides, (i, j), geometry.dilation, strict=True)
        )
        y[:, p, q] += x[:, row, column] @ kernel[i, j]
    return y


def derivatives(x, kernel, y, geometry):
    """The transposes in x and in the kernel, in NumPy float64, from the definition applied to unit images."""
    by_x, by_kernel = np.zeros_like(x), np.zeros_like(kernel)
    for index in np.ndindex(*x.shape):
        unit = np.zeros_like(x)
        unit[index] = 1.0
        by_x[index] = np.sum(reference(unit, kernel, geometry) * y)
    for index in np.ndindex(*kernel.shape):
        unit = np.zeros_like(kernel)
        unit[index] = 1.0
        by_kernel[index] = np.sum(reference(x, unit, geometry) * y)
    return by_x, by_kernel


def drawn(case):
    (batch, *size), taps, (channels, out), geometry = case
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(batch, *size, channels)), random.normal(size=(*taps, channels, out))
    return x, kernel, random.normal(size=reference(x, kernel, geometry).shape), geometry


@pytest.fixture
def of_any_size(monkeypatch):
    """Kernels' gradients of few products take the forms for CPU too."""
    monkeypatch.setattr(convolution, "_FEW", 0)


def float32(*arrays):
    return [jnp.asarray(array, jnp.float32) for array in arrays]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("of_any_size")
def test_value_and_both_derivatives_are_the_definitions(name):
    x, kernel, y, geometry = drawn(CASES[name])

    @jax.jit
    def both(x, kernel, y):
        value, pull_back = jax.vjp(lambda x, kernel: correlate(x, kernel, geometry), x, kernel)
        return value, *pull_back(y)

    found = both(*float32(x, kernel, y))
    for ours, exact in zip(found, (reference(x, kernel, geometry), *derivatives(x, kernel, y, geometry)), strict=True):
        np.testing.assert_allclose(ours, exact, atol=2e-6 * max(1.0, np.abs(exact).max()))


@pytest.mark.parametrize("name", ["3 x 3", "halved", "4 x 4 with stride 2", "waveform, dilated", "1 x 1 with stride 2"])
@pytest.mark.usefixtures("of_any_size")
def test_second_derivatives_are_finite_differences(name):
    x, kernel, _, geometry = drawn(CASES[name])
    with jax.enable_x64(True):
        arguments = [jnp.asarray(array, jnp.float64) for array in (x, kernel)]
        # Only reverse mode: the rules are of that kind.
        check_grads(
            jax.jit(lambda x, kernel: jnp.sin(correlate(x, kernel, geometry))), arguments, 2, modes=["rev"], rtol=1e-5
        )


@settings(max_examples=15, deadline=None)
@given(
    batch=st.integers(1, 3),
    freq=st.integers(1, 13),
    time=st.integers(1, 9),
    channels=st.integers(1, 4),
    out=st.integers(1, 4),
    stride=st.integers(1, 2),
    chunk=st.integers(1, 400),
)
def test_no_chunk_size_changes_a_kernels_gradient(batch, freq, time, channels, out, stride, chunk):
    """Also sizes that no chunk divides: the last chunk is completed with zeros."""
    geometry = Geometry((stride, stride), SAME)
    x, kernel, y, _ = drawn(((batch, freq, time), (3, 3), (channels, out), geometry))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution_on_cpu, "_COPIED", chunk)
        with jax.disable_jit():
            found = convolution_on_cpu.kernel_gradient(*float32(x, y), geometry, (3, 3))
    exact = jax.vjp(lambda kernel: convolution.plain(float32(x)[0], kernel, geometry), *float32(kernel))
    np.testing.assert_allclose(found, exact[1](*float32(y))[0], atol=1e-4)


@pytest.mark.parametrize("large", [True, False], ids=["large kernel", "small kernel"])
@pytest.mark.parametrize("name", ["3 x 3", "halved", "4 x 4 with stride 2"])
def test_all_forms_of_the_transposes_agree(name, large, monkeypatch):
    monkeypatch.setattr(convolution_on_cpu, "_LARGE_KERNEL", 0 if large else 2**30)
    x, kernel, y, geometry = drawn(CASES[name])
    by_x, by_kernel = derivatives(x, kernel, y, geometry)
    x, kernel, y = float32(x, kernel, y)
    found = convolution_on_cpu.kernel_gradient(x, y, geometry, kernel.shape[:2])
    np.testing.assert_allclose(found, by_kernel, atol=1e-4)
    strided = geometry.strides != (1, 1)
    whole = convolution_on_cpu._transpose_by_columns(y, kernel, geometry)
    phases = convolution_on_cpu._transpose_by_phases(y, kernel, geometry) if strided else whole
    np.testing.assert_allclose(whole[:, : phases.shape[1], : phases.shape[2]], phases, atol=1e-5)
    transposed = convolution_on_cpu.transpose(y, kernel, geometry, x.shape[1:3])
    np.testing.assert_allclose(transposed, by_x, atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_summed_in_float32(dtype):
    """A kernel's gradient is a long sum; it is rounded once."""
    x, y = (jnp.asarray(array, dtype) for array in drawn(((4, 32, 32), (3, 3), (2, 3), Geometry(padding=SAME)))[::2])
    found = convolution_on_cpu.kernel_gradient(x, y, Geometry(padding=SAME), (3, 3))
    exact = convolution_on_cpu.kernel_gradient(*float32(x, y), Geometry(padding=SAME), (3, 3))
    assert found.dtype == dtype
    np.testing.assert_allclose(found.astype(jnp.float32), exact, rtol=float(jnp.finfo(dtype).eps), atol=1e-3)


def test_a_flax_layer_computes_the_same():
    from flax import linen as nn

    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 7, 3)), jnp.float32)
    for padding in ("SAME", "VALID", 1):
        plain = nn.Conv(4, (3, 3), (2, 1), padding=padding)
        ours = nn.Conv(4, (3, 3), (2, 1), padding=padding, conv_general_dilated=for_flax)
        variables = plain.init(jax.random.key(0), x)
        np.testing.assert_allclose(ours.apply(variables, x), plain.apply(variables, x), atol=1e-6)
