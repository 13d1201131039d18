"""The style-based networks of waveforms: against NumPy float64, in shape, sharded, and in bfloat16."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks.noise import draw_noise
from drumgan_jax.networks.style_waveform import Discriminator, Generator, layer_widths, num_doublings

pytestmark = pytest.mark.usefixtures("unoptimized")
SHAPE = (1, 32, 1)
WIDTH = {"base": 8, "channel_base": 12, "channel_min": 4, "channel_max": 6}
GENERATOR = Generator(SHAPE, num_labels=3, z_dim=6, w_dim=5, mapping_layers=2, label_embedding=4, **WIDTH)
DISCRIMINATOR = Discriminator(SHAPE, num_labels=3, **WIDTH)
LABELS = jnp.eye(3)[jnp.arange(4) % 3]


def random_variables(network, *inputs):
    """Normal values for everything, so that what starts at zero counts; not compiled."""
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    return jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), jnp.float32), shapes)


@functools.cache
def generator_variables():
    return random_variables(GENERATOR, jnp.zeros((1, 6)), LABELS[:1], None)


@functools.cache
def discriminator_variables():
    return random_variables(DISCRIMINATOR, jnp.zeros((4, *SHAPE)), LABELS)


synthesize = jax.jit(functools.partial(GENERATOR.apply, method="synthesize"))
map_ = jax.jit(functools.partial(GENERATOR.apply, method="map"))


@jax.jit
def scores(variables, x, labels, key=None):
    return DISCRIMINATOR.apply(variables, x, labels, rngs={} if key is None else {"phase": key}).logits[0]


def latents(batch):
    return jax.random.normal(jax.random.key(1), (batch, GENERATOR.num_ws, 5))


def examples(batch):
    return jax.random.normal(jax.random.key(2), (batch, *SHAPE)), jnp.eye(3)[jnp.arange(batch) % 3]


def double(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def correlate(x, kernel, stride=1):
    """Sums over taps, from 7 samples before on or, of every second sample, from 6; [batch, 1, time, in]."""
    x = np.pad(x, ((0, 0), (0, 0), (8 - stride, 8), (0, 0)))
    starts = range(0, x.shape[2] - 15, stride)
    return np.stack([np.einsum("bftc,ftcd->bfd", x[:, :, i : i + 16], kernel) for i in starts], axis=2)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def styled(p, x, w, noise):
    x = leaky(correlate(x, p["kernel"]) + p["noise_strength"] * noise + p["bias"])
    scale, bias = np.split((w @ p["style"]["kernel"] + p["style"]["bias"])[:, None, None], 2, axis=-1)
    return (x - x.mean(axis=2, keepdims=True)) / x.std(axis=2, keepdims=True) * (1 + scale) + bias


@pytest.mark.smoke
def test_synthesis():
    """Order of the layers' operations, and which w and noise each reads: all differ here."""
    p, ws = double(generator_variables()["params"]), latents(4)
    noises = draw_noise(jax.random.split(jax.random.key(0), 4), GENERATOR.noise_sizes)
    x = np.repeat(p["constant"][None], 4, axis=0)
    for i in range(2):
        w = np.asarray(ws[:, i], np.float64)
        x = styled(p[f"up_{i}"], np.repeat(x, 2, axis=2), w, double(noises[2 * i]))
        x = styled(p[f"same_{i}"], x, w, double(noises[2 * i + 1]))
    expected = np.tanh(correlate(x, p["output_kernel"]) + p["output_bias"])
    found = synthesize(generator_variables(), ws, noises)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, atol=5e-5)


def test_parity_9_mapping():
    """z by the root of its mean square, then the label's embedding; soft labels mix embeddings."""
    p = double(generator_variables()["params"]["mapping"])
    z, labels = np.random.default_rng(0).normal(size=(4, 6)), np.random.default_rng(1).dirichlet(np.ones(3), 4)
    x = np.concatenate([z / np.sqrt((z**2).mean(axis=1, keepdims=True)), labels @ p["embedding"]], axis=1)
    for layer in ("dense_0", "dense_1"):
        x = leaky(x @ p[layer]["kernel"] + p[layer]["bias"])
    found = map_(generator_variables(), jnp.asarray(z, jnp.float32), jnp.asarray(labels, jnp.float32))
    assert found.shape == (4, GENERATOR.num_ws, 5)
    np.testing.assert_allclose(found, np.repeat(x[:, None], GENERATOR.num_ws, axis=1), atol=1e-4)


@pytest.mark.smoke
def test_discriminator():
    """The label's waveform as a second channel, strided convolutions, one score."""
    x, labels = examples(4)
    p = double(discriminator_variables()["params"])
    y = np.concatenate([double(x), (double(labels) @ p["label_waveforms"])[:, None, :, None]], axis=-1)
    for i in range(2):
        y = leaky(correlate(y, p["trunk"][f"kernel_{i}"], stride=2) + p["trunk"][f"bias_{i}"])
    expected = y.reshape(4, -1) @ p["score"]["kernel"][:, 0] + p["score"]["bias"]
    np.testing.assert_allclose(
        scores(discriminator_variables(), x, labels), expected, atol=2e-5 * np.abs(expected).max()
    )


def test_labels_matter():
    z = jnp.ones((1, 6))
    assert jnp.abs(map_(generator_variables(), z, LABELS[:1]) - map_(generator_variables(), z, LABELS[1:2])).max() > 0.1
    x, labels = examples(3)
    same = jnp.broadcast_to(x[:1], x.shape)
    assert np.ptp(scores(discriminator_variables(), same, labels)) > 0.1


def test_noise_of_keys_is_the_noise_drawn_of_them():
    """One key, one per example, or the arrays; and an example is the same in any batch."""
    variables, ws = generator_variables(), latents(4)
    keys = jax.random.split(jax.random.key(0), 4)
    together = synthesize(variables, ws, keys)
    drawn = draw_noise(keys, GENERATOR.noise_sizes)
    assert [noise.shape for noise in drawn] == [(4, 1, 16, 1), (4, 1, 16, 1), (4, 1, 32, 1), (4, 1, 32, 1)]
    np.testing.assert_allclose(synthesize(variables, ws, drawn), together, atol=1e-5)
    np.testing.assert_allclose(synthesize(variables, ws, jax.random.key(0)), together, atol=1e-5)
    third = jnp.array([2, 2, 2, 2])
    np.testing.assert_allclose(synthesize(variables, ws[third], keys[third]), together[third], atol=1e-5)
    assert jnp.abs(together - synthesize(variables, ws, None)).max() > 0.1


def test_a_fresh_generator_ignores_noise_and_has_no_average():
    variables = jax.jit(GENERATOR.init)(jax.random.key(0), jnp.ones((1, 6)), LABELS[:1], None)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    np.testing.assert_array_equal(variables["statistics"]["w_average"], np.zeros(5))
    without, with_noise = (synthesize(variables, latents(4), noise) for noise in (None, jax.random.key(1)))
    np.testing.assert_allclose(without, with_noise, atol=1e-5)
    assert 0.05 < without.std() < 0.95


def test_truncation_goes_to_the_average_and_w_is_learned():
    ws = latents(2)
    average = generator_variables()["statistics"]["w_average"]
    for psi, expected in ((0.0, jnp.broadcast_to(average, ws.shape)), (1.0, ws)):
        found = GENERATOR.apply(generator_variables(), ws, psi, method="truncate")
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert GENERATOR.learns_w
    assert GENERATOR.sizes == ((1, 32),)


@pytest.mark.smoke
def test_phase_shuffle_is_each_examples_own_on_any_number_of_devices():
    """The batch sharded over four devices, or smaller, gives the same scores; another key gives others."""
    x, labels = examples(8)
    variables, key = discriminator_variables(), jax.random.key(3)
    together = scores(variables, x, labels, key)
    split = NamedSharding(jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,)), PartitionSpec("data"))
    sharded = scores(variables, jax.device_put(x, split), jax.device_put(labels, split), key)
    assert len(sharded.sharding.device_set) == 4
    np.testing.assert_allclose(sharded, together, rtol=1e-4)
    np.testing.assert_allclose(scores(variables, x[:4], labels[:4], key), together[:4], rtol=1e-4)
    same, label = jnp.broadcast_to(x[:1], x.shape), jnp.broadcast_to(labels[:1], labels.shape)
    assert len(np.unique(scores(variables, same, label, key).round(4))) > 2
    assert np.ptp(scores(variables, same, label)) < 1e-4


def test_bfloat16_is_near_float32():
    ws, (x, labels) = latents(4), examples(4)
    exact = synthesize(generator_variables(), ws, None), scores(discriminator_variables(), x, labels)
    generator, discriminator = (network.clone(compute_dtype=jnp.bfloat16) for network in (GENERATOR, DISCRIMINATOR))
    made = jax.jit(functools.partial(generator.apply, method="synthesize"))(generator_variables(), ws, None)
    (judged,) = jax.jit(discriminator.apply)(discriminator_variables(), x, labels).logits
    for found, expected in zip((made, judged), exact, strict=True):
        assert found.dtype == jnp.float32
        assert 0 < jnp.abs(found - expected).mean() < 0.05 * jnp.abs(expected).mean()


def test_full_size_without_allocating():
    """The paper's 16,384 samples: ten blocks, 1024 channels down to 4."""
    shape = (1, 16384, 1)
    generator, discriminator = Generator(shape, num_labels=3), Discriminator(shape, num_labels=3)

    def both(key):
        z, labels = jnp.zeros((2, 128)), jnp.zeros((2, 3))
        made, x = generator.init(key, z, labels, key), jnp.zeros((2, *shape))
        judged = discriminator.init({"params": key, "phase": key}, x, labels)
        found = generator.apply(made, z, labels, key), discriminator.apply(judged, x, labels, rngs={"phase": key})
        return made["params"], judged["params"], found

    made, judged, (x, critique) = jax.eval_shape(both, jax.random.key(0))
    assert (x.shape, critique.logits[0].shape, generator.num_ws) == ((2, *shape), (2,), 10)
    widths = layer_widths(shape, 16, 1024, 4, 1024)
    assert widths == [1024, 512, 256, 128, 64, 32, 16, 8, 4, 4, 4]
    pairs = list(itertools.pairwise(widths))
    # Each layer: kernel, noise strength and bias, and its style of w.
    layer = [(16 * i * o + 2 * o + 129 * 2 * o) for a, o in pairs for i in (a, o)]
    mapping = 3 * 50 + 179 * 128 + 7 * 129 * 128
    count = sum(math.prod(p.shape) for p in jax.tree.leaves(made))
    assert count == sum(layer) + mapping + 16 * 1024 + 16 * 4 + 1
    # The first convolution reads the waveform and the label's, not four channels.
    convolutions = sum(16 * i * o + o for o, i in pairs) - 16 * (4 - 2) * 4
    count = sum(math.prod(p.shape) for p in jax.tree.leaves(judged))
    assert count == convolutions + 3 * 16384 + 16 * 1024 + 1


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 16000, 1), "not the base of 16 doubled.*8192, 16384 or 32768"),
        ((1, 16, 1), "not the base of 16 doubled.*32, 64 or 128"),
        ((4, 512, 1), "4x512 is no waveform"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape, message):
    for network in (Generator, Discriminator):
        with pytest.raises(BadInput, match=message):
            network(shape)
    assert num_doublings((1, 16384, 1), 16) == 10


@pytest.mark.parametrize("shuffle", [-1, 16])
def test_a_shuffle_out_of_range_is_refused(shuffle):
    with pytest.raises(BadInput, match=f"phase_shuffle is {shuffle}; .*below the 16"):
        DISCRIMINATOR.clone(phase_shuffle=shuffle)


def test_labels_must_be_there():
    x, _ = examples(2)
    with pytest.raises(BadInput, match="labels are missing"):
        DISCRIMINATOR.apply(discriminator_variables(), x, None)
    with pytest.raises(BadInput, match=r"needs \[batch, 3\]"):
        GENERATOR.apply(generator_variables(), jnp.zeros((2, 6)), jnp.zeros((2, 4)), method="map")
