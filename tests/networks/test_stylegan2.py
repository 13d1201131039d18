"""Both networks whole: against NumPy float64, in shape, sharded, and in bfloat16."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks.layers import minibatch_stddev
from drumgan_jax.networks.noise import draw_noise
from drumgan_jax.networks.stylegan2 import Discriminator, Generator, layer_widths, num_doublings

pytestmark = pytest.mark.usefixtures("unoptimized")
SHAPE, BASE = (8, 24, 2), (2, 6)
WIDTH = {"channel_base": 48, "channel_max": 8}
GENERATOR = Generator(SHAPE, z_dim=6, w_dim=5, mapping_layers=2, base=BASE, **WIDTH)
DISCRIMINATOR = Discriminator(SHAPE, num_labels=3, base=BASE, **WIDTH)


@functools.cache
def generator_variables():
    return reference.random_variables(GENERATOR, jnp.zeros((1, 6)), None, None)


@functools.cache
def discriminator_variables():
    return reference.random_variables(DISCRIMINATOR, jnp.zeros((4, *SHAPE)), jnp.zeros((4, 3)))


@jax.jit
def synthesize(variables, ws, noise):
    return GENERATOR.apply(variables, ws, noise, method="synthesize")


@jax.jit
def scores(variables, x, labels):
    return DISCRIMINATOR.apply(variables, x, labels).logits[0]


def latents(batch):
    return jax.random.normal(jax.random.key(1), (batch, GENERATOR.num_ws, 5))


def examples(batch):
    return jax.random.normal(jax.random.key(2), (batch, *SHAPE)), jnp.eye(3)[jnp.arange(batch) % 3]


def test_parity_10_synthesis():
    """Constant input, and which w each layer reads: all of ws differ here, so a wrong index is far off."""
    found = synthesize(generator_variables(), latents(4), None)
    expected = reference.synthesize(np.asarray(latents(4), np.float64), generator_variables()["params"])
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    assert GENERATOR.num_ws == 2 * num_doublings(SHAPE, BASE) + 2


def test_parity_10_number_of_ws():
    for doublings, resolution in enumerate([4, 8, 16, 32, 64, 128, 256, 512, 1024]):
        generator = Generator((resolution, resolution, 3), base=(4, 4))
        assert generator.num_ws == 2 * int(math.log2(resolution)) - 2 == 2 * doublings + 2


def test_parity_11_discriminator():
    """Residual blocks, epilogue, label projection."""
    x, labels = examples(8)
    expected = reference.discriminate(
        np.asarray(x, np.float64), np.asarray(labels, np.float64), discriminator_variables()["params"], group=4
    )
    np.testing.assert_allclose(
        scores(discriminator_variables(), x, labels), expected, atol=2e-5 * np.abs(expected).max()
    )


def test_parity_11_discriminator_without_labels():
    network = Discriminator((4, 8, 1), **WIDTH)
    x = jax.random.normal(jax.random.key(0), (4, 4, 8, 1))
    variables = reference.random_variables(network, x, None)
    (found,) = jax.jit(network.apply)(variables, x, None).logits
    expected = reference.discriminate(np.asarray(x, np.float64), None, variables["params"], group=4)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_parity_17_the_image_is_summed_in_float32_and_bfloat16_is_near():
    """Upsampled and added in float32 whatever convolutions run in; those are within bfloat16's rounding."""
    exact = synthesize(generator_variables(), latents(4), None)
    generator = GENERATOR.clone(compute_dtype=jnp.bfloat16)
    x = jax.jit(functools.partial(generator.apply, method="synthesize"))(generator_variables(), latents(4), None)
    assert x.dtype == jnp.float32
    assert (np.asarray(x) != np.asarray(x.astype(jnp.bfloat16).astype(jnp.float32))).mean() > 0.9
    assert 0 < np.abs(x - exact).max() < 0.05 * np.abs(exact).max()
    shapes = jax.eval_shape(generator.init, jax.random.key(0), jnp.zeros((1, 6)), None, None)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}


def test_bfloat16_scores_are_near_those_of_float32():
    x, labels = examples(8)
    exact = scores(discriminator_variables(), x, labels)
    discriminator = DISCRIMINATOR.clone(compute_dtype=jnp.bfloat16)
    (judged,) = jax.jit(discriminator.apply)(discriminator_variables(), x, labels).logits
    assert judged.dtype == jnp.float32
    assert 0 < np.abs(judged - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.smoke
def test_parity_18_minibatch_stddev():
    """Values 0 .. 7 in groups of four give 2.236 everywhere: groups are strided, not of neighbours (1.118)."""
    x = jnp.broadcast_to(jnp.arange(8.0)[:, None, None, None], (8, 2, 3, 4))
    found = minibatch_stddev(x, 4)
    assert found.shape == (8, 2, 3, 5)
    np.testing.assert_array_equal(found[..., :4], x)
    np.testing.assert_allclose(found[..., 4], np.sqrt(5), rtol=1e-6)
    x = jax.random.normal(jax.random.key(0), (8, 2, 3, 4))
    for group in (2, 4, 8, 16):
        expected = reference.minibatch_stddev(np.asarray(x, np.float64), group)
        np.testing.assert_allclose(minibatch_stddev(x, group), expected, atol=1e-6)


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(BadInput, match="multiple of 4"):
        minibatch_stddev(jnp.zeros((6, 2, 2, 1)), 4)


def test_parity_28_the_average_of_w_is_declared_and_left_alone():
    """It starts at zero, is no parameter, and no forward pass changes it: the training step does."""
    z = jnp.ones((2, 6))
    statistics = jax.jit(lambda key: GENERATOR.init(key, z, None, None)["statistics"])(jax.random.key(0))
    assert list(statistics) == ["w_average"]
    np.testing.assert_array_equal(statistics["w_average"], np.zeros(5))
    _, changed = jax.eval_shape(
        lambda variables: GENERATOR.apply(variables, z, None, None, mutable=["statistics"]), generator_variables()
    )
    assert not changed
    # Training maps and synthesises with the parameters alone.
    ws = jax.eval_shape(lambda variables: GENERATOR.apply(variables, z, None, method="map"), generator_variables())
    assert ws.shape == (2, GENERATOR.num_ws, 5)


@given(
    freq=st.integers(1, 8),
    time=st.integers(1, 8),
    doublings=st.integers(0, 4),
    channels=st.integers(1, 3),
    labels=st.sampled_from([0, 2]),
)
@settings(max_examples=10, deadline=None)
def test_parity_32_rectangular_shapes(freq, time, doublings, channels, labels):
    """Any base, doubled equally often on both axes: only the constant and the epilogue's first layer depend on it."""
    shape, base = (freq << doublings, time << doublings, channels), (freq, time)
    generator = Generator(shape, labels, 4, 4, 1, base=base, **WIDTH)
    discriminator = Discriminator(shape, labels, base=base, **WIDTH)
    given_labels = jnp.zeros((2, labels)) if labels else None

    def both(key):
        variables = generator.init(key, jnp.zeros((2, 4)), given_labels, key)
        x = generator.apply(variables, jnp.zeros((2, 4)), given_labels, key)
        critic = discriminator.init(key, x, given_labels)
        return variables["params"], critic["params"], x, discriminator.apply(critic, x, given_labels).logits

    made, judged, x, (score,) = jax.eval_shape(both, jax.random.key(0))
    widths = layer_widths(shape, base, **WIDTH)
    assert x.shape == (2, *shape)
    assert x.dtype == jnp.float32
    assert score.shape == (2,)
    assert made["constant"].shape == (*base, widths[0])
    assert judged["dense"]["kernel"].shape == (freq * time * widths[0], widths[0])


def test_an_example_may_be_the_middle_of_the_doubled_base():
    """As bars of 200 frames are of 13 doubled four times; the discriminator repeats the ends."""
    shape, larger, base = (8, 26, 2), (8, 28, 2), (2, 7)
    generator, discriminator = GENERATOR.clone(shape=shape, base=base), DISCRIMINATOR.clone(shape=shape, base=base)
    z, labels = jax.random.normal(jax.random.key(2), (4, 6)), jnp.ones((4, 3)) / 3
    made = jax.jit(generator.init)(jax.random.key(0), z, None, None)
    x = jax.jit(lambda z: generator.apply(made, z, None, None))(z)
    whole = jax.jit(lambda z: generator.clone(shape=larger).apply(made, z, None, None))(z)
    np.testing.assert_array_equal(x, whole[:, :, 1:27])
    judge = jax.jit(lambda x: discriminator.init_with_output(jax.random.key(1), x, labels)[0].logits[0])
    of_whole = discriminator.clone(shape=larger)
    judge_whole = jax.jit(lambda x: of_whole.init_with_output(jax.random.key(1), x, labels)[0].logits[0])
    repeated = np.pad(np.asarray(x), ((0, 0), (0, 0), (1, 1), (0, 0)), mode="edge")
    np.testing.assert_allclose(judge(x), judge_whole(repeated), rtol=1e-5)


@pytest.mark.parametrize(("shape", "base"), [((256, 440, 1), (4, 8)), ((256, 256, 1), (4, 8)), ((96, 64, 1), (4, 4))])
def test_shapes_that_do_not_fit_are_refused(shape, base):
    for network in (Generator, Discriminator):
        with pytest.raises(BadInput, match=f"{base[0]}x{base[1]} doubled equally often.*128x"):
            network(shape, base=base)


@pytest.mark.parametrize(
    ("shape", "base", "counts"),
    [
        # The counts StyleGAN2's authors print for 1024 x 1024 in colour.
        ((1024, 1024, 3), (4, 4), (30370060, 29012513)),
        ((1024, 1024, 1), (4, 4), None),
        ((256, 512, 1), (4, 8), None),
    ],
)
def test_full_size_without_allocating(shape, base, counts):
    generator, discriminator = Generator(shape, base=base), Discriminator(shape, base=base)

    def both(key):
        variables = generator.init(key, jnp.zeros((4, 512)), None, key)
        x = generator.apply(variables, jnp.zeros((4, 512)), None, key)
        return variables["params"], discriminator.init(key, x, None)["params"], x

    made, judged, x = jax.eval_shape(both, jax.random.key(0))
    assert x.shape == (4, *shape)
    if counts:
        assert tuple(sum(math.prod(p.shape) for p in jax.tree.leaves(t)) for t in (made, judged)) == counts


@pytest.mark.smoke
def test_four_devices_give_the_numbers_of_one():
    """The batch sharded over the data axis: same groups, same scores, and the same noise."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    x, labels = examples(8)
    sharded = scores(discriminator_variables(), jax.device_put(x, split), jax.device_put(labels, split))
    assert len(sharded.sharding.device_set) == 4
    np.testing.assert_allclose(sharded, scores(discriminator_variables(), x, labels), atol=1e-5)
    draw = jax.jit(lambda keys: draw_noise(keys, [(2, 6), (4, 12)]))
    keys = jax.random.split(jax.random.key(0), 8)
    for made, expected in zip(draw(jax.device_put(keys, split)), draw(keys), strict=True):
        np.testing.assert_array_equal(made, expected)


def test_noise_by_example_does_not_depend_on_the_batch():
    ws, keys = latents(4), jax.random.split(jax.random.key(0), 4)
    variables = generator_variables()
    together = synthesize(variables, ws, keys)
    third = jnp.array([2, 2, 2, 2])
    np.testing.assert_allclose(synthesize(variables, ws[third], keys[third]), together[third], atol=1e-5)
    np.testing.assert_allclose(synthesize(variables, ws, jax.random.key(0)), together, atol=1e-5)
    assert np.abs(together - synthesize(variables, ws, keys[::-1])).max() > 0.1
    assert np.abs(together - synthesize(variables, ws, None)).max() > 0.1


def test_rematerialisation_recomputes_each_block_and_keeps_the_parameters():
    ws, (x, labels) = latents(4), examples(4)

    def generate(network):
        return lambda variables: network.apply(variables, ws, None, method="synthesize").sum()

    def judge(network):
        return lambda variables: network.apply(variables, x, labels).logits[0].sum()

    for network, total, variables, blocks in (
        (GENERATOR, generate, generator_variables(), 3),
        (DISCRIMINATOR, judge, discriminator_variables(), 2),
    ):
        # The same parameters serve both; only the backward pass differs.
        plain = str(jax.make_jaxpr(jax.grad(total(network)))(variables))
        frugal = str(jax.make_jaxpr(jax.grad(total(network.clone(rematerialize=True))))(variables))
        assert plain.count("remat") == 0
        assert frugal.count("remat") >= blocks
