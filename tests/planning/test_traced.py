"""Operations of traced programs, counted by hand."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.configs import splice_loops
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.planning.programs import completed, task_of
from drumgan_jax.planning.traced import flops


def count(function, *shapes: tuple[int, ...], platform: str = "tpu") -> float:
    arguments = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    return flops(jax.jit(function).trace(*arguments).jaxpr, platform)


def correlate(x: jax.Array, kernel: jax.Array, **settings) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **settings)


@pytest.mark.smoke
def test_products() -> None:
    assert count(lambda x, y: x @ y, (3, 4), (4, 5)) == 2 * 3 * 4 * 5
    assert count(lambda x, y: jnp.einsum("bij,bkj->bik", x, y), (2, 3, 4), (2, 5, 4)) == 2 * 2 * 3 * 5 * 4
    assert count(lambda x: jnp.sin(x) + 1, (7, 3)) == 2 * 21
    assert count(lambda x: x.T.reshape(-1), (7, 3)) == 0
    assert count(lambda x: x.sum(), (7, 3)) == 21


@pytest.mark.smoke
def test_convolutions_and_their_gradients() -> None:
    window, same = (3, 3, 4, 5), {"window_strides": (1, 1), "padding": "SAME"}
    products = 2 * 2 * 8 * 6 * math.prod(window)

    def convolved(x, kernel):
        return correlate(x, kernel, **same)

    assert count(convolved, (2, 8, 6, 4), window) == products
    both = count(lambda x, kernel: jax.vjp(convolved, x, kernel)[1](jnp.ones((2, 8, 6, 5))), (2, 8, 6, 4), window)
    assert 3 * products <= both <= 3.02 * products
    of_groups = {"feature_group_count": 4, **same}
    assert count(lambda x, k: correlate(x, k, **of_groups), (1, 8, 6, 4), (3, 3, 1, 8)) == 2 * 8 * 6 * 9 * 8
    enlarging = {"window_strides": (1, 1), "padding": [(1, 2), (1, 2)], "lhs_dilation": (2, 2)}
    assert count(lambda x, k: correlate(x, k, **enlarging), (1, 8, 6, 4), (3, 3, 4, 5)) == 2 * 16 * 12 * 9 * 4 * 5 / 4


def test_loops_branches_and_platforms() -> None:
    def repeated(x):
        return jax.lax.scan(lambda carry, _: (carry @ carry, None), x, None, length=10)[0]

    assert count(repeated, (4, 4)) == 10 * 2 * 4**3
    chosen = count(lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, x), (4, 4))
    assert 2 * 2 * 4**3 <= chosen <= 2 * 2 * 4**3 + 2

    def dependent(x):
        return jax.lax.platform_dependent(x, cpu=lambda x: x @ x @ x, default=lambda x: x @ x)

    assert count(dependent, (4, 4), platform="tpu") == 2 * 4**3
    assert count(dependent, (4, 4), platform="cpu") == 2 * 2 * 4**3


def test_transforms() -> None:
    assert count(lambda x: jnp.abs(jnp.fft.rfft(x)), (3, 64)) == pytest.approx(2.5 * 3 * 64 * 6, rel=0.2)


def test_the_generator_of_stylegan2_at_256_by_512_within_two_percent() -> None:
    """A stage enlarges with one convolution, which takes each number of its input nine times, and has another."""
    task = task_of(completed(splice_loops.get_config("full")), make_mesh())
    generator = task.gan.generator
    sizes = [(4 * 2**stage, 8 * 2**stage) for stage in range(7)]
    # The release's rule, of the larger side's power of two: as many as 512, of 32,768 over the stage's frequencies.
    channels = [min(512, 32768 // freq) for freq, _ in sizes]
    by_hand = 2 * 9 * channels[0] ** 2 * math.prod(sizes[0])
    for (before, size), (inward, outward) in zip(itertools.pairwise(sizes), itertools.pairwise(channels), strict=True):
        by_hand += 2 * 9 * inward * outward * math.prod(before) + 2 * 9 * outward**2 * math.prod(size)
    ws = jax.ShapeDtypeStruct((1, generator.num_ws, generator.w_dim), np.float32)
    noise = [jax.ShapeDtypeStruct((1, *size, 1), np.float32) for size in generator.noise_sizes]
    traced = jax.jit(task.gan.synthesize).trace(task.shapes.ema, ws, noise)
    assert flops(traced.jaxpr, "tpu") == pytest.approx(by_hand, rel=0.02)
