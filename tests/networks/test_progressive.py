"""The progressive networks: stages that agree with each other, and their formulas against NumPy float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks.convolution import convolve, enlarge_and_convolve
from drumgan_jax.networks.growing import average_pool, upsample_nearest
from drumgan_jax.networks.progressive import Discriminator, Generator, NormedConvolution, pixel_norm

pytestmark = pytest.mark.usefixtures("unoptimized")
SHAPE, BASE, CHANNELS, LABELS, BATCH = (32, 12, 2), (4, 3), (8, 6, 5, 4), 3, 4
GENERATOR = Generator(SHAPE, LABELS, z_dim=7, base=BASE, channels=CHANNELS)
DISCRIMINATOR = Discriminator(SHAPE, LABELS, base=BASE, channels=CHANNELS)
SIZES = ((4, 3), (8, 3), (16, 6), (32, 12))


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@functools.cache
def generator_variables() -> dict:
    return reference.random_variables(GENERATOR, normal(0, 1, 7), jnp.ones((1, LABELS)), None)


@functools.cache
def discriminator_variables() -> dict:
    return reference.random_variables(DISCRIMINATOR, jnp.zeros((1, *SHAPE)), None)


@functools.cache
def applied(network: Generator | Discriminator):
    """A network's `apply`, compiled."""
    return jax.jit(network.apply)


def labels_of_batch() -> np.ndarray:
    return np.eye(LABELS, dtype=np.float32)[np.arange(BATCH) % LABELS]


def generate(stage: int | None, alpha: float | None = None) -> jax.Array:
    growth = {} if alpha is None else {"growth": {"alpha": np.float32(alpha)}}
    network = applied(GENERATOR.clone(stage=stage))
    return network({**generator_variables(), **growth}, normal(1, BATCH, 7), labels_of_batch(), None)


def critique(stage: int | None, x: jax.Array, alpha: float | None = None):
    growth = {} if alpha is None else {"growth": {"alpha": np.float32(alpha)}}
    return applied(DISCRIMINATOR.clone(stage=stage))({**discriminator_variables(), **growth}, x, None)


def test_pixel_norm() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    expected = x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(pixel_norm(jnp.asarray(x, jnp.float32)), expected, atol=1e-6)


def test_a_convolution_is_equalised_then_biased_rectified_and_normed() -> None:
    layer, x = NormedConvolution(4, (2, 1)), np.random.default_rng(0).normal(size=(2, 3, 5, 3))
    variables = reference.random_variables(layer, jnp.zeros((1, 3, 5, 3)))
    kernel, bias = (np.asarray(variables["params"][name], np.float64) for name in ("kernel", "bias"))
    y = reference.same(np.repeat(x, 2, axis=1), kernel / np.sqrt(27)) + bias
    y = np.where(y > 0, y, 0.2 * y) * np.sqrt(2)
    y = y / np.sqrt(np.mean(y**2, axis=-1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(layer.apply(variables, jnp.asarray(x, jnp.float32)), y, atol=1e-5)


@pytest.mark.parametrize("factors", [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_repeating_and_convolving_at_once(factors: tuple[int, int]) -> None:
    """Output and derivatives, the second of them too, are those of doing one after the other."""
    x, kernel = normal(0, 2, 5, 4, 3), 0.3 * normal(1, 3, 3, 3, 2)

    def plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return convolve(upsample_nearest(x, (5 * factors[0], 4 * factors[1])), kernel)

    def fused(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return enlarge_and_convolve(x, kernel, factors)

    np.testing.assert_allclose(jax.jit(fused)(x, kernel), jax.jit(plain)(x, kernel), atol=1e-5)

    def second(f):
        first = jax.grad(lambda x, kernel: jnp.sum(jnp.sin(f(x, kernel))), (0, 1))
        both = jax.grad(lambda x, kernel: sum(jnp.sum(jnp.square(g)) for g in first(x, kernel)), (0, 1))
        return jax.jit(both)(x, kernel)

    for ours, expected in zip(second(fused), second(plain), strict=True):
        np.testing.assert_allclose(ours, expected, atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("stage", range(4))
def test_every_stage_has_its_size(stage: int) -> None:
    x = generate(stage)
    assert x.shape == (BATCH, *SIZES[stage], 2)
    assert x.dtype == jnp.float32
    said = critique(stage, x)
    assert said.logits[0].shape == (BATCH,)
    assert said.labels is not None
    assert said.labels.shape == (BATCH, LABELS)


@pytest.mark.smoke
def test_the_six_stages_at_full_width() -> None:
    for stage, size in enumerate(((32, 3), (64, 3), (128, 6), (256, 12), (512, 24), (1024, 48))):
        generator = Generator((1024, 48, 2), LABELS, stage=stage)
        z, labels = jnp.zeros((BATCH, 128)), jnp.zeros((BATCH, LABELS))
        whole = jax.eval_shape(generator.clone(stage=None).init, jax.random.key(0), z, labels, None)
        assert jax.eval_shape(generator.apply, whole, z, labels, None).shape == (BATCH, *size, 2)
        critic = Discriminator((1024, 48, 2), LABELS, stage=stage)
        whole = jax.eval_shape(critic.clone(stage=None).init, jax.random.key(0), jnp.zeros((BATCH, 1024, 48, 2)), None)
        assert jax.eval_shape(critic.apply, whole, jnp.zeros((BATCH, *size, 2)), None).logits[0].shape == (BATCH,)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_fade_begins_with_the_stage_before_and_ends_with_the_grown_network(stage: int) -> None:
    before = upsample_nearest(generate(stage - 1, 1.0), SIZES[stage])
    np.testing.assert_array_equal(generate(stage, 0.0), before)
    grown = generate(stage, 1.0)
    np.testing.assert_array_equal(grown, generate(stage))
    np.testing.assert_allclose(generate(stage, 0.5), 0.5 * (before + grown), atol=1e-6)
    x = normal(2, BATCH, *SIZES[stage], 2)
    small = critique(stage - 1, average_pool(x, SIZES[stage - 1]), 1.0)
    np.testing.assert_allclose(critique(stage, x, 0.0).logits[0], small.logits[0], atol=1e-6)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_of_the_grown_network_the_stage_before_is_no_part(stage: int) -> None:
    """At alpha 1 its outer layer may be anything; at 0.5 it may not."""
    one, half = ({"growth": {"alpha": np.float32(alpha)}} for alpha in (1.0, 0.5))
    labels, x = labels_of_batch(), normal(2, BATCH, *SIZES[stage], 2)
    networks = (
        (GENERATOR, generator_variables(), f"outputs_{stage - 1}", (normal(1, BATCH, 7), labels, None)),
        (DISCRIMINATOR, discriminator_variables(), f"inputs_{stage - 1}", (x, None)),
    )
    for network, variables, outer, inputs in networks:
        other = {**variables["params"], outer: jax.tree.map(lambda leaf: leaf + 1.0, variables["params"][outer])}
        grown = applied(network.clone(stage=stage))

        def told(params, alpha, grown=grown, inputs=inputs):
            said = grown({"params": params, **alpha}, *inputs)
            return said if isinstance(said, jax.Array) else said.logits[0]

        np.testing.assert_array_equal(told(other, one), told(variables["params"], one))
        assert np.abs(told(other, half) - told(variables["params"], half)).max() > 1e-3


def test_bfloat16_is_near_float32() -> None:
    """Under strict promotion, in the middle of a fade; scores and examples stay float32."""
    half = {"growth": {"alpha": np.float32(0.5)}}
    z, labels = normal(1, BATCH, 7), labels_of_batch()
    x = normal(2, BATCH, *SIZES[2], 2)
    for network, variables, inputs in (
        (GENERATOR, generator_variables(), (z, labels, None)),
        (DISCRIMINATOR, discriminator_variables(), (x, None)),
    ):
        exact, near = (
            applied(network.clone(stage=2, compute_dtype=dtype))({**variables, **half}, *inputs)
            for dtype in (jnp.float32, jnp.bfloat16)
        )
        for a, b in zip(jax.tree.leaves(exact), jax.tree.leaves(near), strict=True):
            assert b.dtype == jnp.float32
            assert np.abs(a - b).max() < 0.1 * np.abs(a).max()


@pytest.mark.parametrize("stage", range(4))
def test_parameters_in_use_are_those_that_change_the_outcome(stage: int) -> None:
    """At alpha 0.5: the gradient of any other top-level parameter is zero."""
    alpha = {"growth": {"alpha": jnp.asarray(0.5)}}

    def sum_of(params: dict) -> jax.Array:
        network = GENERATOR.clone(stage=stage)
        x = network.apply({"params": params, **alpha}, normal(1, BATCH, 7), jnp.ones((BATCH, 3)), None)
        return jnp.sum(jnp.square(x))

    def score(params: dict) -> jax.Array:
        said = DISCRIMINATOR.clone(stage=stage).apply(
            {"params": params, **alpha}, normal(2, BATCH, *SIZES[stage], 2), None
        )
        return jnp.sum(said.logits[0]) + jnp.sum(jnp.square(said.labels))

    for network, variables, f in (
        (GENERATOR, generator_variables(), sum_of),
        (DISCRIMINATOR, discriminator_variables(), score),
    ):
        gradient = jax.jit(jax.grad(f))(variables["params"])
        moved = {name for name, part in gradient.items() if any(np.abs(g).max() > 0 for g in jax.tree.leaves(part))}
        assert moved == set(network.clone(stage=stage).in_use)


def test_w_is_z_and_labels() -> None:
    z, labels = normal(0, 2, 7), jnp.asarray([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0]])
    ws = GENERATOR.apply(generator_variables(), z, labels, method="map")
    assert ws.shape == (2, GENERATOR.num_ws, GENERATOR.w_dim) == (2, 1, 10)
    for ours, expected in zip(GENERATOR.unmap(ws), (z, labels), strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert not GENERATOR.truncates
    np.testing.assert_array_equal(GENERATOR.apply(generator_variables(), ws, 0.5, method="truncate"), ws)


def test_the_metric_is_how_far_a_step_moves_the_first_layer() -> None:
    params = generator_variables()["params"]
    kernel = np.asarray(params["blocks_0"]["dense"]["kernel"], np.float64)
    step = np.concatenate([np.random.default_rng(0).normal(size=7), np.zeros(3)])
    moved = np.linalg.norm(step @ np.asarray(GENERATOR.first_layer_map(params), np.float64))
    assert moved == pytest.approx(np.linalg.norm(step @ kernel), rel=1e-4)
    assert np.abs(GENERATOR.first_layer_map(params)[7:]).max() == 0


def test_every_example_is_its_own() -> None:
    """But for the minibatch standard deviation, which is the discriminator's."""
    z, labels = normal(1, BATCH, 7), labels_of_batch()
    alone = applied(GENERATOR)(generator_variables(), z[2:3], labels[2:3], None)
    np.testing.assert_allclose(alone[0], generate(None)[2], atol=1e-5)


def test_bad_input() -> None:
    with pytest.raises(BadInput, match="4 stages"):
        Generator(SHAPE, base=BASE, channels=(8, 8))
    with pytest.raises(BadInput, match="no stage 4"):
        Discriminator(SHAPE, base=BASE, channels=CHANNELS, stage=4)
    with pytest.raises(BadInput, match="labels are missing"):
        GENERATOR.apply(generator_variables(), jnp.zeros((1, 7)), None, None)
