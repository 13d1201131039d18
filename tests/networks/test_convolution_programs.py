"""The programs that convolutions compile to: which forms are in them, for CPU and for accelerators."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.networks import convolution
from drumgan_jax.networks.stylegan2 import Discriminator

SHAPE = (16, 16, 1)


@pytest.fixture(scope="module")
def discriminator():
    return Discriminator(SHAPE, channel_base=512, channel_max=64, base=(4, 4))


@pytest.fixture(scope="module")
def arguments(discriminator):
    # Nothing is run, and in so large a batch no kernel's gradient has few products.
    x = jnp.zeros((64, *SHAPE))
    return jax.eval_shape(discriminator.init, jax.random.key(0), x, None), jax.ShapeDtypeStruct(x.shape, x.dtype)


def loss_gradient(network):
    def loss(variables, x):
        return jax.nn.softplus(-network.apply(variables, x, None).logits[0]).mean()

    return lambda variables, x: jax.grad(loss)(variables, x)


def r1_gradient(network):
    def penalty(variables, x):
        return jnp.square(jax.grad(lambda x: network.apply(variables, x, None).logits[0].sum())(x)).sum()

    return lambda variables, x: jax.grad(penalty)(variables, x)


def kernel_gradient_convolutions(text):
    """Windows of a compiled program's convolutions that are larger than any kernel of the network.

    XLA's gradient of a kernel sums over all positions, so its window is a whole image.
    """
    windows = re.findall(r"convolution\(.*?window=\{size=(\d+)x(\d+)", text)
    return [window for window in windows if max(map(int, window)) > 3]


@pytest.mark.parametrize("gradient", [loss_gradient, r1_gradient])
def test_a_discriminators_step_on_cpu_has_no_convolution_for_a_kernels_gradient(discriminator, arguments, gradient):
    text = jax.jit(gradient(discriminator)).lower(*arguments).compile().as_text()
    assert "convolution(" in text
    assert not kernel_gradient_convolutions(text)


def test_the_search_finds_xlas_own(monkeypatch, discriminator, arguments):
    monkeypatch.setattr(convolution, "correlate", convolution.plain)
    text = jax.jit(loss_gradient(discriminator)).lower(*arguments).compile().as_text()
    assert kernel_gradient_convolutions(text)


def convolutions_of(text):
    """Every convolution of a lowered program, without the names of its operands; in no order."""
    found = re.findall(r"stablehlo\.convolution\([^)]*\)(.*)$", text, flags=re.M)
    return sorted(found)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("gradient", [loss_gradient, r1_gradient])
def test_accelerators_keep_the_convolutions_of_jaxs_rules(monkeypatch, discriminator, arguments, gradient, platform):
    def lowered():
        traced = jax.jit(gradient(discriminator)).trace(*arguments)
        return traced.lower(lowering_platforms=(platform,)).as_text()

    ours = lowered()
    halving, own = convolution.HALVING, convolution.correlate

    def before(x, kernel, geometry):
        # Halving had derivatives of its own on every platform.
        return own(x, kernel, geometry) if geometry == halving else convolution.plain(x, kernel, geometry)

    monkeypatch.setattr(convolution, "correlate", before)
    plain = lowered()
    assert "stablehlo.while" not in ours
    assert convolutions_of(ours) == convolutions_of(plain)
    assert len(convolutions_of(ours)) > 10
    assert np.unique(convolutions_of(ours)).size > 5
