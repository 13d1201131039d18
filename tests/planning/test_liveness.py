"""Memory of traced programs, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.planning.liveness import Memory, memory_of

SIDE = 128  # tiles of a TPU are full
SQUARE = 4 * SIDE * SIDE


def memory(function, *shapes: tuple[int, ...], platform: str = "tpu") -> Memory:
    arguments = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    return memory_of(jax.jit(function).trace(*arguments).jaxpr, platform)


@pytest.mark.smoke
def test_what_is_joined_to_its_reader_lies_nowhere() -> None:
    assert memory(lambda x: jnp.sin(x) * 2.0 + 1.0, (SIDE, SIDE)) == Memory(0, 2 * SQUARE)
    # The product of the first reads sin(x) from memory; the result of the last is the program's.
    assert memory(lambda x: jnp.sin(x) @ x, (SIDE, SIDE)).temporaries == SQUARE
    assert memory(lambda x: jnp.sin(x).reshape(-1, 2 * SIDE).T + 1.0, (SIDE, SIDE)).temporaries == 0


@pytest.mark.smoke
def test_what_is_read_twice_lies_in_memory_until_its_last_reader() -> None:
    def twice(x):
        y = jnp.sin(x)
        return (y @ x) @ y

    assert memory(twice, (SIDE, SIDE)).temporaries == 2 * SQUARE

    def chain(x):
        for _ in range(5):
            x = x @ x
        return x

    assert memory(chain, (SIDE, SIDE)).temporaries == 2 * SQUARE


@pytest.mark.smoke
def test_the_same_operation_is_done_once_and_what_nobody_reads_never() -> None:
    def repeated(x):
        return (x @ x) + jnp.cos(x @ x)

    assert memory(repeated, (SIDE, SIDE)).temporaries == SQUARE

    def unread(x):
        del_me = jnp.fft.fft(x)
        return x + 1.0 + 0.0 * del_me.real.size

    assert memory(unread, (SIDE, SIDE)).temporaries == 0


@pytest.mark.smoke
def test_residuals_of_a_gradient_lie_there_until_it_comes_back() -> None:
    """Of four layers, the inputs of three: of the first it is the argument, and each is read by the way back."""

    def loss(x, weights):
        for weight in weights:
            x = jnp.tanh(x @ weight)
        return x.sum()

    rows = 4096
    weights = [jax.ShapeDtypeStruct((SIDE, SIDE), np.float32)] * 4
    x = jax.ShapeDtypeStruct((rows, SIDE), np.float32)
    traced = jax.jit(jax.grad(loss, argnums=1)).trace(x, weights)
    layer = 4 * rows * SIDE
    assert 4 * layer <= memory_of(traced.jaxpr, "tpu").temporaries <= 6 * layer


@pytest.mark.smoke
def test_loops_and_branches() -> None:
    def looped(x):
        return jax.lax.scan(lambda carry, _: (jnp.sin(carry @ carry) @ carry, None), x, None, length=10)[0]

    # The turn's product and what is made of it; ten turns read and write two squares twice.
    assert memory(looped, (SIDE, SIDE)).temporaries == 2 * SQUARE
    assert memory(looped, (SIDE, SIDE)).accessed > 10 * 4 * SQUARE
    chosen = memory(lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: x, lambda x: (jnp.sin(x @ x)) @ x, x), (SIDE, SIDE))
    assert chosen.temporaries >= SQUARE

    def dependent(x):
        return jax.lax.platform_dependent(x, cpu=lambda x: jnp.sin(x @ x) @ x, default=lambda x: x + 1.0)

    assert memory(dependent, (SIDE, SIDE), platform="tpu").temporaries == 0
    assert memory(dependent, (SIDE, SIDE), platform="cpu").temporaries > 0


@pytest.mark.smoke
def test_the_compiler_for_cpus_does_at_once_what_can_be_done() -> None:
    def independent(x):
        total = 0.0
        for shift in range(1, 5):
            total += (jnp.roll(x, shift) @ x).sum()
        return total

    assert memory(independent, (SIDE, SIDE), platform="tpu").temporaries < 3 * SQUARE
    assert memory(independent, (SIDE, SIDE), platform="cpu").temporaries > 4 * SQUARE


def test_what_is_computed_again_is_not_kept() -> None:
    def loss(x, weights, wrap):
        for weight in weights:
            x = wrap(lambda x, weight: jnp.tanh(jnp.tanh(jnp.tanh(x @ weight) @ weight) @ weight))(x, weight)
        return x.sum()

    def needed(wrap) -> int:
        arguments = [
            jax.ShapeDtypeStruct((4096, SIDE), np.float32),
            [jax.ShapeDtypeStruct((SIDE, SIDE), np.float32)] * 4,
        ]
        traced = jax.jit(jax.grad(lambda x, weights: loss(x, weights, wrap), argnums=1)).trace(*arguments)
        return memory_of(traced.jaxpr, "tpu").temporaries

    assert needed(jax.checkpoint) < 0.7 * needed(lambda function: function)


@pytest.mark.smoke
def test_what_a_convolution_reads_on_a_tpu_has_batch_and_channels_in_tiles() -> None:
    """Of 8 channels on 128 lanes and 4 rows, sixteen times as much; what else reads it, takes it as it is there."""

    def convolved(x, kernel):
        y = jnp.sin(x)
        return jax.lax.conv_general_dilated(y, kernel, (1, 1), "SAME", dimension_numbers=DIMENSIONS).sum() + y.mean()

    shapes = ((4, 128, 128, 8), (3, 3, 8, 8))
    assert memory(convolved, *shapes, platform="cuda").temporaries == pytest.approx(2 * 4 * 4 * 128 * 128 * 8, rel=1e-3)
    assert memory(convolved, *shapes).temporaries == pytest.approx(2 * 4 * 4 * 128 * 128 * 128, rel=1e-3)


def test_against_a_compiler() -> None:
    """Of convolutions and their gradients, as XLA has them on this machine."""

    def loss(kernels, x):
        for kernel in kernels:
            x = jax.nn.relu(jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=DIMENSIONS))
        return (x**2).sum()

    kernels = [jax.ShapeDtypeStruct((3, 3, 8, 8), np.float32)] * 4
    traced = jax.jit(jax.grad(loss)).trace(kernels, jax.ShapeDtypeStruct((8, 64, 64, 8), np.float32))
    known = traced.lower().compile().memory_analysis()
    assert memory_of(traced.jaxpr, "cpu").temporaries == pytest.approx(known.temp_size_in_bytes, rel=0.1)


DIMENSIONS = ("NHWC", "HWIO", "NHWC")
