"""Networks over frames: they start as principal components, and labels and sizes do what they should."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks.anchored_mapping import AnchoredMapping
from drumgan_jax.networks.bands import band_edges, bands_of
from drumgan_jax.networks.frame_discriminator import Discriminator
from drumgan_jax.networks.frame_generator import Generator, anchor_order, at_least, block_frames, noise_texture
from drumgan_jax.networks.frames import with_bands
from drumgan_jax.systems.pca_gaussian import PcaGaussian

SHAPE, COMPONENTS, CLASSES = (12, 10, 1), 4, 3


@pytest.fixture(scope="module")
def components():
    random = np.random.default_rng(0)
    size = int(np.prod(SHAPE))
    directions = np.linalg.qr(random.normal(size=(size, COMPONENTS)))[0].T
    factors = np.tril(random.normal(size=(CLASSES, COMPONENTS, COMPONENTS)))
    arrays = (random.normal(size=size), directions, np.array([4.0, 2.0, 1.0, 0.5]), random.normal(size=(3, 4)), factors)
    return PcaGaussian(*(array.astype(np.float32) for array in arrays))


@pytest.fixture(scope="module")
def generator():
    return Generator(SHAPE, CLASSES, z_dim=COMPONENTS, w_dim=COMPONENTS, features=6, hidden=5)


def start_of(generator, components, **more):
    made = jax.jit(generator.init)(jax.random.key(0), jnp.zeros((1, 4)), jnp.zeros((1, 3)), jax.random.key(1))
    return generator.start_from(made, {**components.arrays(), "lowest": np.float32(-1e4), **more})


@pytest.fixture(scope="module")
def variables(generator, components):
    return start_of(generator, components)


@pytest.fixture(scope="module")
def latents():
    random = np.random.default_rng(1)
    z = random.normal(size=(5, COMPONENTS)).astype(np.float32)
    return z, random.dirichlet(np.ones(CLASSES), 5).astype(np.float32)


def test_at_the_start_mapping_synthesis_and_encoder_are_those_of_the_components(
    generator, variables, components, latents
):
    z, labels = latents
    ws = jax.jit(lambda z, labels: generator.apply(variables, z, labels, method="map"))(z, labels)
    assert ws.shape == (5, generator.num_ws, COMPONENTS)
    np.testing.assert_allclose(ws[:, 0], components.map(z, labels), atol=1e-5)
    synthesize = jax.jit(lambda ws, key: generator.apply(variables, ws, key, method="synthesize"))
    x = synthesize(ws, None)
    expected = components.mean + (np.asarray(ws[:, 0]) * components.deviations) @ components.directions
    np.testing.assert_allclose(x.reshape(5, -1), expected, atol=1e-5)
    # With noise, nearly so: each cell has a texture of 0.018 / 3.
    texture = (synthesize(ws, jax.random.key(3)) - x).std()
    assert 0.004 < texture < 0.008
    encode = jax.jit(lambda x: generator.apply(variables, x, method="encode"))
    np.testing.assert_allclose(encode(x), ws[:, 0], atol=1e-4)


def test_labels_are_truncated_to_the_means_of_their_classes(generator, variables, components, latents):
    z, labels = latents
    ws = generator.apply(variables, z, labels, method="map")
    average = generator.apply(variables, ws, 0.0, labels, method="truncate")
    np.testing.assert_allclose(average[:, 0], labels @ components.class_means, atol=1e-5)


def test_the_average_is_the_mean_of_the_classes_and_truncation_leads_to_it(generator, variables, components, latents):
    ws = generator.apply(variables, *latents, method="map")
    average = generator.apply(variables, ws, 0.0, method="truncate")
    np.testing.assert_allclose(average[0, 0], components.class_means.mean(axis=0), atol=1e-6)


@pytest.fixture(scope="module")
def trained(variables):
    """The variables with all zeros of the residual networks filled."""

    def filled(path, leaf):
        of_gaussians = any("class_" in str(part) for part in path)
        return (
            leaf if of_gaussians else leaf + 0.1 * np.random.default_rng(2).normal(size=leaf.shape).astype(np.float32)
        )

    return {**variables, "params": jax.tree_util.tree_map_with_path(filled, variables["params"])}


def test_every_w_and_every_noise_changes_the_example(generator, trained, latents):
    ws = np.asarray(generator.apply(trained, *latents, method="map"))
    random = np.random.default_rng(0)
    noises = [random.normal(size=(5, *size, 1)).astype(np.float32) for size in generator.noise_sizes]
    synthesize = jax.jit(lambda ws, noises: generator.apply(trained, ws, noises, method="synthesize"))
    plain = synthesize(ws, noises)
    assert plain.shape == (5, *SHAPE)
    assert np.abs(generator.apply(trained, ws, None, method="synthesize") - plain).max() > 1e-3
    for layer in range(generator.num_ws):
        other = ws.copy()
        other[:, layer] += 1.0
        assert np.abs(synthesize(other, noises) - plain).max() > 1e-3
    for layer in range(len(noises)):
        other_noises = [noise[::-1] if number == layer else noise for number, noise in enumerate(noises)]
        assert np.abs(synthesize(ws, other_noises) - plain).max() > 1e-3


def test_the_texture_of_noise_is_that_of_the_spectra_of_white_noise():
    noise = np.random.default_rng(0).normal(size=(4, 64, 40, 1))
    texture = np.asarray(noise_texture(jnp.asarray(noise, jnp.float32), 4))
    assert texture.shape == noise.shape
    samples, window = noise.reshape(4, -1), np.hanning(129)[:-1]
    framed = np.stack([samples[:, start : start + 128] for start in range(0, 40 * 32, 32)], axis=1) * window
    power = np.abs(np.fft.rfft(framed)[..., :64]) ** 2 / np.sum(window**2)
    expected = (np.log(power) + 0.5772156649) * np.sqrt(6) / np.pi
    np.testing.assert_allclose(texture[..., 0].swapaxes(1, 2)[:, :, 1:], expected[:, :, 1:], atol=0.05)
    assert abs(texture[:, 2:].mean()) < 0.05
    assert abs(texture[:, 2:].std() - 1) < 0.05
    # Neighbouring frames and bins are alike, as they are in recordings.
    assert np.corrcoef(texture[:, :, 1:].ravel(), texture[:, :, :-1].ravel())[0, 1] > 0.3


def test_w_is_near_an_anchor_of_its_class(generator, components):
    """All anchors are chosen, and mean and covariance are the class's."""
    random = np.random.default_rng(3)
    anchors, classes = random.normal(size=(60, COMPONENTS)), np.arange(60) % CLASSES
    members = np.eye(CLASSES, dtype=np.float32)[classes]
    of_class = [anchors[classes == one] for one in range(CLASSES)]
    arrays = {
        **components.arrays(),
        "class_means": np.stack([one.mean(axis=0) for one in of_class]).astype(np.float32),
        "class_factors": np.stack([np.linalg.cholesky(np.cov(one.T)) for one in of_class]).astype(np.float32),
    }
    anchored = generator.clone(anchors=120, spread=0.1)
    variables = start_of(anchored, PcaGaussian(**arrays), anchors=anchors.astype(np.float32), anchor_classes=members)
    z = random.normal(size=(3000, COMPONENTS)).astype(np.float32)
    asked = np.arange(3000) % CLASSES
    ws = np.asarray(anchored.apply(variables, z, np.eye(CLASSES, dtype=np.float32)[asked], method="map"))[:, 0]
    distances = np.linalg.norm(ws[:, None] - anchors, axis=-1)
    nearest = distances.argmin(axis=1)
    assert (classes[nearest] == asked).mean() > 0.6
    assert len(set(nearest)) == 60
    for one in range(CLASSES):
        own = ws[asked == one]
        np.testing.assert_allclose(own.mean(axis=0), of_class[one].mean(axis=0), atol=0.35)
        ratio = np.trace(np.cov(own.T)) / np.trace(np.cov(of_class[one].T))
        assert 0.6 < ratio < 1.5
    with_soft = anchored.apply(variables, z[:8], np.full((8, CLASSES), 1 / 3, np.float32), method="map")
    assert np.isfinite(with_soft).all()


def test_a_class_never_takes_an_anchor_of_another():
    """Of a thousand others, the best is far ahead of any anchor of a small class."""
    mapping, random = AnchoredMapping(32, 9, 1024, 0.0), np.random.default_rng(4)
    made = mapping.init(jax.random.key(0), jnp.zeros((1, 32)), jnp.zeros((1, 9)))["statistics"]
    # The last class is rare; all anchors of a class are the same sound.
    classes = np.minimum(np.arange(1024) % 40, 8)
    classes[classes == 8] = np.where(np.arange((classes == 8).sum()) < 5, 8, 0)
    statistics = {
        **made,
        "anchors": np.eye(9, 32, dtype=np.float32)[classes],
        "anchor_classes": np.eye(9, dtype=np.float32)[classes],
    }
    z = random.normal(size=(500, 32)).astype(np.float32)
    for one in range(9):
        labels = np.tile(np.eye(9, dtype=np.float32)[one], (500, 1))
        w = np.asarray(mapping.apply({"statistics": statistics}, z, labels))
        np.testing.assert_allclose(np.delete(w, one, axis=1), 0.0, atol=1e-6)


def test_each_class_has_anchors_though_it_is_rare():
    classes = np.eye(3, dtype=np.float32)[[0] * 20 + [1] * 10 + [2]]
    taken = classes[anchor_order(classes, 6)].argmax(axis=1)
    assert set(taken) == {0, 1, 2}
    assert len(anchor_order(classes, 70)) == 70
    with pytest.raises(BadInput, match="anchors is 2, fewer than the 3 classes"):
        anchor_order(classes, 2)


def test_w_of_what_is_no_recording_is_no_further_than_the_furthest_anchor(generator, components):
    anchors = np.random.default_rng(5).normal(size=(9, COMPONENTS)).astype(np.float32)
    members = np.eye(CLASSES, dtype=np.float32)[np.arange(9) % CLASSES]
    anchored = generator.clone(anchors=9)
    variables = start_of(anchored, components, anchors=anchors, anchor_classes=members)
    loud = 100 * np.random.default_rng(6).normal(size=(4, *SHAPE)).astype(np.float32)
    free = np.asarray(generator.apply(start_of(generator, components), loud, method="encode"))
    limited = np.asarray(anchored.apply(variables, loud, method="encode"))
    furthest = np.linalg.norm(anchors, axis=1).max()
    np.testing.assert_allclose(limited, free * furthest / np.linalg.norm(free, axis=1, keepdims=True), rtol=1e-4)


def test_nothing_is_lower_than_silence(generator, trained, latents):
    ws = np.asarray(generator.apply(trained, *latents, method="map"))
    free = np.asarray(generator.apply(trained, ws, None, method="synthesize"))
    lowest = np.float32(np.median(free))
    bounded = {**trained, "statistics": {**trained["statistics"], "lowest": lowest}}
    found = generator.apply(bounded, ws, None, method="synthesize")
    np.testing.assert_allclose(found, np.maximum(free, lowest), atol=1e-5)


def test_the_gradient_can_raise_what_is_lower_and_no_more():
    x, lowest = jnp.array([-2.0, -2.0, 1.0, 1.0]), jnp.float32(-1.0)
    wanted = jnp.array([3.0, -3.0, 3.0, -3.0])
    gradient = jax.grad(lambda x: -jnp.sum(wanted * at_least(x, lowest)))(x)
    np.testing.assert_array_equal(gradient, [-3.0, 0.0, -3.0, 3.0])


@pytest.mark.parametrize(("frames", "first"), [(48, 12), (30, 8), (1, 1)])
def test_blocks_reach_the_length_by_two_doublings(frames, first):
    assert block_frames(frames) == [first, first, 2 * first, 2 * first, 4 * first, 4 * first]
    assert block_frames(frames)[-1] >= frames


def test_bands_are_single_bins_and_then_parts_of_octaves():
    edges = np.asarray(band_edges(512))
    assert (edges[0], edges[-1]) == (0, 512)
    widths = np.diff(edges)
    assert widths.min() == 1
    assert np.all(widths[:20] == 1)
    assert np.all(widths[40:-1] / edges[40:-2] > 0.02)
    assert np.all(widths[40:-1] / edges[40:-2] < 0.08)


def test_a_band_has_its_mean_and_how_much_its_bins_differ():
    x = np.random.default_rng(0).normal(size=(2, 64, 5, 1)).astype(np.float32)
    found, edges = np.asarray(bands_of(jnp.asarray(x))), band_edges(64)
    assert found.shape == (2, len(edges) - 1, 5, 2)
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        bins = x[:, low:high, :, 0]
        mean = bins.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(found[:, band, :, 0], mean[:, 0], atol=1e-5)
        np.testing.assert_allclose(found[:, band, :, 1], np.abs(bins - mean).mean(axis=1), atol=1e-5)


def test_an_odd_number_of_frames_has_its_own_length():
    generator = Generator((8, 9, 1), z_dim=2, w_dim=2, features=3, hidden=3)
    made = jax.eval_shape(generator.init_with_output, jax.random.key(0), jnp.zeros((2, 2)), None, jax.random.key(1))
    x = made[0]
    assert x.shape == (2, 8, 9, 1)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_logits_are_linear_in_the_labels(part):
    critic = Discriminator(SHAPE, CLASSES, features=4, hidden=5, band_features=2, onset_frames=3)
    x = jax.random.normal(jax.random.key(0), (6, *SHAPE))
    variables = jax.jit(critic.init)(jax.random.key(1), x, jnp.eye(3)[np.arange(6) % 3])
    judge = jax.jit(lambda labels: critic.apply(variables, x, jnp.tile(labels, (6, 1))).logits[part])
    of_class = [judge(jnp.eye(3)[c]) for c in range(3)]
    assert np.abs(of_class[0] - of_class[1]).max() > 1e-3
    soft = judge(jnp.array([0.5, 0.2, 0.3]))
    np.testing.assert_allclose(soft, 0.5 * of_class[0] + 0.2 * of_class[1] + 0.3 * of_class[2], atol=1e-5)
    with pytest.raises(BadInput, match="labels are missing"):
        critic.apply(variables, x, None)


def test_the_last_part_sees_the_first_frames_alone():
    critic = Discriminator(SHAPE, features=4, hidden=5, onset_frames=3)
    x = jax.random.normal(jax.random.key(0), (2, *SHAPE))
    variables = jax.jit(critic.init)(jax.random.key(1), x, None)
    judge = jax.jit(lambda x: critic.apply(variables, x, None).logits)
    whole, onset = judge(x)
    later, same = judge(x.at[:, :, 3:].add(1.0))
    assert np.abs(later - whole).max() > 1e-3
    np.testing.assert_array_equal(same, onset)
    with pytest.raises(BadInput, match="onset_frames is 11; it must be from 0 to the 10 frames"):
        Discriminator(SHAPE, onset_frames=11)


@pytest.mark.parametrize("shape", [(1, 2048, 1), (64, 32, 2)])
def test_waveforms_and_complex_spectra_are_refused(shape):
    for network in (Generator, Discriminator):
        with pytest.raises(BadInput, match="log_magnitude"):
            network(shape)


def test_z_and_w_have_one_size():
    with pytest.raises(BadInput, match="number of components"):
        Generator(SHAPE, z_dim=4, w_dim=8)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"spread": 1.5}, r"spread is 1\.5; it must be a number from 0 to 1"),
        ({"anchors": -1}, "anchors is -1"),
        ({"overlap": 1}, "hardly overlap"),
    ],
)
def test_values_out_of_range_are_told(settings, sentence):
    with pytest.raises(BadInput, match=sentence):
        Generator(SHAPE, CLASSES, **settings)


def test_bands_are_seen_beside_bins_with_as_much_weight() -> None:
    x = np.random.default_rng(0).normal(size=(3, 5, 64)).astype(np.float32)
    found, edges = np.asarray(with_bands(jnp.asarray(x))), band_edges(64)
    np.testing.assert_array_equal(found[..., :64], x)
    means = [x[..., low:high].mean(axis=-1) for low, high in itertools.pairwise(edges)]
    np.testing.assert_allclose(found[..., 64:], np.stack(means, -1) * np.sqrt(64 / (len(edges) - 1)), rtol=1e-5)
