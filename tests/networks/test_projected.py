"""The projected discriminator: its layers against NumPy float64, its parts against the whole, and what it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks import mixing
from drumgan_jax.networks.projected import Discriminator, DownBlock, FeatureNetwork, SmallDiscriminator
from drumgan_jax.networks.short_chunk import ShortChunkTaps
from drumgan_jax.networks.spectral import normalize
from drumgan_jax.networks.vggish import VGGishTaps

SHAPE, BATCH, FRAMES = (32, 64, 1), 4, 64
# Of the whole example backwards, the first chunk is what comes last.
VGGISH = FeatureNetwork("vggish", VGGishTaps((2, 3, 4, 4, 5, 5)), lambda x: 0.5 * x[:, :, ::-1])
LOOPS = FeatureNetwork("loops", ShortChunkTaps(2), lambda x: x + 1.0)
ONE = Discriminator(SHAPE, (VGGISH,), mixing_channels=2)
TWO = Discriminator(SHAPE, (VGGISH, LOOPS), mixing_channels=2)
# Compiling these graphs is the cost of this file, not running them.
jitted = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def float32(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


def float64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def random_variables(network, *inputs):
    """Variables of the shapes that `init` gives, all away from zeros and ones; not compiled."""
    random = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        if name == "var":
            return random.uniform(0.5, 2, leaf.shape)
        scale = np.sqrt(2 / np.prod(leaf.shape[:-1])) if len(leaf.shape) == 4 else 0.3
        return scale * random.normal(size=leaf.shape) + (name == "scale")

    shapes = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    return float32(jax.tree_util.tree_map_with_path(draw, dict(shapes)))


@functools.cache
def two_variables():
    return random_variables(TWO, jnp.zeros((1, *SHAPE)), None)


def of_one(variables):
    """The part of the variables of both networks that belongs to VGGish."""
    return {
        kind: {name: value for name, value in tree.items() if name.startswith("vggish")}
        for kind, tree in variables.items()
    }


def examples(batch=BATCH):
    return float32(normal(1, batch, *SHAPE))


@functools.cache
def told():
    """Scores of the examples by one network, and the gradients of their sines by the parameters and the examples."""
    variables = of_one(two_variables())

    @jitted
    def tell(params, x):
        def total(params, x):
            scores = ONE.apply({**variables, "params": params}, x, None).logits
            return sum(jnp.sum(jnp.sin(part)) for part in scores), scores

        return jax.grad(total, (0, 1), has_aux=True)(params, x)

    (by_params, by_x), scores = tell(variables["params"], examples())
    return scores, by_params, by_x


# The layers against NumPy float64


def spectral(kernel, u):
    """PyTorch's form: the kernel over the singular value after one iteration."""
    matrix = kernel.reshape(-1, kernel.shape[-1]).T
    v = matrix.T @ u
    v /= np.linalg.norm(v)
    return kernel / np.linalg.norm(matrix @ v)


def rectified(x, parameters):
    """Batch normalisation over batch, freq and time, then the leaky rectifier of slope 0.2."""
    x = (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + 1e-5) * parameters["scale"] + parameters["bias"]
    return np.where(x > 0, x, 0.2 * x)


def kernel_of(variables, name):
    return spectral(variables["params"][name]["kernel"], variables["statistics"][name]["u"])


def down_block(x, variables):
    """A separable block: depthwise 3 x 3, pointwise, normalisation, rectifier, means of 2 x 2."""
    taps = kernel_of(variables, "depthwise")
    x = np.concatenate([reference.same(x[..., c : c + 1], taps[..., c : c + 1]) for c in range(x.shape[-1])], axis=-1)
    x = rectified(x @ kernel_of(variables, "pointwise")[0, 0], variables["params"]["normalization"])
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4


def of_block(variables, name):
    return {kind: tree[name] for kind, tree in variables.items()}


@pytest.mark.smoke
def test_a_small_discriminator_is_the_reference():
    """From 16 rows by two blocks of twice as many channels each to four, then one map of scores."""
    network, x = SmallDiscriminator(8, stddev_group=2, separable=True), normal(0, 4, 16, 24, 3)
    variables = random_variables(network, float32(x))
    exact = float64(variables)
    y = down_block(down_block(x, of_block(exact, "block_0")), of_block(exact, "block_1"))
    assert y.shape == (4, 4, 6, 8)
    expected = reference.correlate(reference.minibatch_stddev(y, 2), kernel_of(exact, "score"))[..., 0]
    found = jitted(network.apply)(variables, float32(x))
    assert found.shape == (4, 1, 3)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_block_that_is_not_separable_is_the_reference():
    network, x = DownBlock(5, separable=False), normal(0, 2, 4, 6, 3)
    variables = random_variables(network, float32(x))
    exact = float64(variables)
    y = reference.correlate(reference.pad(x, 1, 1), kernel_of(exact, "convolution"), stride=2)
    expected = rectified(y, exact["params"]["normalization"])
    assert expected.shape == (2, 2, 3, 5)
    np.testing.assert_allclose(jitted(network.apply)(variables, float32(x)), expected, atol=1e-5)


# The whole


@pytest.mark.smoke
def test_the_full_size_has_the_release_s_widths_and_maps():
    """64 bands by 192 frames: 4 rows of 12 columns at the end of each scale, so 9 scores a map."""
    network = Discriminator((64, 192, 1), (VGGISH._replace(taps=VGGishTaps(), convert=lambda x: x),))
    x = jax.ShapeDtypeStruct((BATCH, 64, 192, 1), jnp.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), x, None)
    widths = {
        name: [small[f"block_{i}"]["pointwise"]["kernel"].shape[2:] for i in range(len(small) - 1)]
        for name, small in variables["params"].items()
    }
    assert widths == {
        "vggish_0": [(64, 64), (64, 128), (128, 256), (256, 512)],
        "vggish_1": [(64, 128), (128, 256), (256, 512)],
        "vggish_2": [(128, 256), (256, 512)],
        "vggish_3": [(256, 512)],
    }
    said = jax.eval_shape(network.apply, variables, x, None)
    assert [scores.shape for scores in said.logits] == [(BATCH, 1, 9)] * 4


def test_every_network_adds_four_maps():
    said = jitted(TWO.apply)(two_variables(), examples(), None)
    assert [(scores.shape, scores.dtype) for scores in said.logits] == [((BATCH, 1, 5), jnp.float32)] * 8
    assert said.labels is None
    for beside, alone in zip(said.logits[:4], told()[0], strict=True):
        np.testing.assert_allclose(beside, alone, atol=1e-6)


def test_only_small_discriminators_are_trained():
    """Feature networks and mixing are frozen, and no parameter is without use."""
    variables = two_variables()
    assert set(variables) == {"params", "statistics", "frozen"}
    small = {f"{name}_{scale}" for name in ("vggish", "loops") for scale in range(4)}
    assert set(variables["params"]) == set(variables["statistics"]) == small
    assert set(variables["frozen"]) == {"vggish", "vggish_mixing", "loops", "loops_mixing"}
    assert set(variables["frozen"]["loops"]) == {"params", "batch_stats"}
    assert {name: kernel.shape for name, kernel in variables["frozen"]["vggish_mixing"].items()} == {
        name: kernel.shape for name, kernel in mixing.draw(jax.random.key(0), (2, 3, 4, 5), 2).items()
    }
    for path, gradient in jax.tree_util.tree_leaves_with_path(told()[1]):
        assert np.abs(gradient).max() > 0, path


def test_the_gradient_reaches_both_chunks():
    _, _, by_x = told()
    for chunk in (by_x[:, :, : FRAMES // 2], by_x[:, :, FRAMES // 2 :]):
        assert (np.abs(chunk).max(axis=(1, 2, 3)) > 0).all()


def test_the_whole_is_its_parts():
    """The whole example converted, each chunk alone through taps and mixing, joined along time, then judged."""
    variables = of_one(two_variables())

    @jitted
    def projected(seen):
        maps = VGGISH.taps.apply(variables["frozen"]["vggish"], seen)
        return mixing.mix(variables["frozen"]["vggish_mixing"], maps)

    seen = VGGISH.convert(examples())
    chunks = [projected(seen[:, :, : FRAMES // 2]), projected(seen[:, :, FRAMES // 2 :])]
    for scale, scores in enumerate(told()[0]):
        joined = jnp.concatenate([maps[scale] for maps in chunks], axis=2)
        assert joined.shape[1:3] == (32 >> scale, FRAMES >> scale)
        own = {kind: variables[kind][f"vggish_{scale}"] for kind in ("params", "statistics")}
        expected = jitted(SmallDiscriminator(16, 4, True).apply)(own, joined)
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_examples_meet_in_groups():
    """From four rows on there is no block, so no normalisation over the batch: only groups join examples."""
    network = SmallDiscriminator(4, stddev_group=2, separable=True)
    x = float32(normal(0, 4, 4, 8, 3))
    variables = random_variables(network, x)
    scores = network.apply(variables, x)
    changed = np.abs(network.apply(variables, x.at[0].add(1.0 + x[0])) - scores).max(axis=(1, 2))
    np.testing.assert_array_equal(changed > 1e-3, [True, False, True, False])
    with pytest.raises(BadInput, match="batch of 3 does not divide into the groups of 2"):
        network.apply(variables, x[:3])


def test_labels_are_projected_on_the_features_of_each_logit():
    """From four rows on there is no block, so the features are the input and its standard deviation."""
    network, x = SmallDiscriminator(4, stddev_group=2, separable=True), normal(0, 4, 4, 8, 3)
    labels = np.array([[1, 0], [0, 1], [0.5, 0.5], [0, 1]])
    variables = random_variables(network, float32(x), float32(labels))
    plain = network.apply({kind: {"score": tree["score"]} for kind, tree in variables.items()}, float32(x))
    added = network.apply(variables, float32(x), float32(labels)) - plain
    deviations = np.repeat(x.reshape(2, 2, 4, 8, 3).std(axis=0).mean(axis=(1, 2, 3)), 1)
    features = np.concatenate([x, np.broadcast_to(np.tile(deviations, 2)[:, None, None, None], (4, 4, 8, 1))], -1)
    directions = float64(normalize(variables["params"]["label"]["kernel"], variables["statistics"]["label"]["u"]))[0, 0]
    along = np.einsum("bftc,bc->bft", features, labels @ directions) / 2
    expected = np.stack([along[:, :, k : k + 4].mean(axis=(1, 2)) for k in range(5)], axis=1)[:, None]
    np.testing.assert_allclose(added, expected, atol=1e-5)
    with pytest.raises(BadInput, match=r"labels are missing; this network needs \[batch, 2\]"):
        jax.eval_shape(ONE.clone(num_labels=2).init, jax.random.key(0), jnp.zeros((4, *SHAPE)), None)


def test_bfloat16_is_near_float32():
    """Under strict promotion; scores stay float32."""
    said = jitted(ONE.clone(compute_dtype=jnp.bfloat16).apply)(of_one(two_variables()), examples(), None)
    for near, exact in zip(said.logits, told()[0], strict=True):
        assert near.dtype == jnp.float32
        assert np.abs(near - exact).max() < 0.1 * np.abs(exact).max()


def test_four_devices_give_the_numbers_of_one():
    """The batch sharded over the data axis: the same chunks, normalisation and groups; and so the same gradients."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    sharded = jitted(ONE.apply)(of_one(two_variables()), jax.device_put(examples(), split), None).logits
    assert len(sharded[0].sharding.device_set) == 4
    for found, expected in zip(sharded, told()[0], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)

    network, x = SmallDiscriminator(8, 4, separable=True), float32(normal(0, 8, 8, 8, 3))
    variables = random_variables(network, x)

    @jitted
    def gradients(params, x):
        return jax.grad(lambda *at: jnp.sum(jnp.sin(network.apply({**variables, "params": at[0]}, at[1]))), (0, 1))(
            params, x
        )

    sharded = gradients(variables["params"], jax.device_put(x, split))
    for found, expected in zip(
        jax.tree.leaves(sharded), jax.tree.leaves(gradients(variables["params"], x)), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"shape": (24, 64, 1)},
            "24x64 is 24 bands x 64 frames to the feature network vggish; .* power of two, at least 32",
        ),
        ({"shape": (16, 64, 1)}, "16 bands"),
        ({"shape": (64, 32, 1)}, "at least as many as the rows"),
        ({"chunks": 0}, "config.discriminator.chunks is 0"),
        ({"mixing_channels": 0}, "config.discriminator.mixing_channels is 0"),
        ({"feature_networks": ()}, "config.feature_networks is empty"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(settings, sentence):
    with pytest.raises(BadInput, match=sentence):
        Discriminator(**{"shape": SHAPE, "feature_networks": (VGGISH,), **settings})


@pytest.mark.parametrize(("circular", "mode"), [(False, "edge"), (True, "wrap")])
def test_frames_are_raised_to_a_multiple_by_those_at_the_ends(circular: bool, mode: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 32, 50, 1)).astype(np.float32)
    network = VGGISH._replace(circular=circular)
    filled = Discriminator((32, 50, 1), feature_networks=(network,))._filled(network, jnp.asarray(x))
    np.testing.assert_array_equal(filled, np.pad(x, ((0, 0), (0, 0), (7, 7), (0, 0)), mode=mode))


def test_examples_of_another_shape_are_refused():
    with pytest.raises(BadInput, match=r"an example is \(32, 32, 1\), but this discriminator needs \(32, 64, 1\)"):
        jax.eval_shape(ONE.init, jax.random.key(0), jnp.zeros((1, 32, 32, 1)), None)
