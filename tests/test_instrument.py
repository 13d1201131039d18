"""An Instrument plays the same sound for the same seed, whatever is around it."""

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from drumgan_jax.errors import BadInput
from drumgan_jax.gan import build_gan
from drumgan_jax.instrument import BATCH, Instrument, load

CLASSES = ("kick", "snare", "hat")
CONFIG = {
    "representation": {
        "kind": "log_magnitude",
        "sample_rate": 8000,
        "n_fft": 32,
        "hop_length": 16,
        "num_frames": 32,
        "griffin_lim_iterations": 4,
        "mean": -2.0,
        "std": 1.5,
    },
    "generator": {"kind": "stylegan2", "base": (4, 8), "z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_max": 8},
    "discriminator": {"kind": "stylegan2", "base": (4, 8), "channel_max": 8},
    "objective": {"kind": "logistic", "r1_gamma": 1.0},
    "train": {"compute_dtype": "float32"},
}


@pytest.fixture(scope="module")
def instrument() -> Instrument:
    gan = build_gan(CONFIG, len(CLASSES))
    keys = jax.random.split(jax.random.key(0), 3)
    z, labels = jax.random.normal(keys[0], (4, 8)), jax.nn.one_hot(np.arange(4) % 3, 3)
    variables = gan.generator.init(keys[1], z, labels, None)
    # Fresh noise strengths are zero, which would make noise on and off the same.
    noisy = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf + 0.3 if "noise_strength" in str(path) else leaf, variables["params"]
    )
    average = jax.random.normal(keys[2], (8,))
    return Instrument(gan, {"params": noisy, "statistics": {"w_average": average}}, CLASSES, 12)


@pytest.mark.smoke
def test_a_seed_is_the_same_sound_in_any_batch(instrument: Instrument) -> None:
    many = instrument.sample(range(BATCH + 3))
    few = instrument.sample([BATCH + 1, 2])
    assert many.waveforms.shape == (BATCH + 3, instrument.gan.representation.num_samples)
    np.testing.assert_allclose(few.waveforms, many.waveforms[[BATCH + 1, 2]], atol=1e-5)
    assert np.abs(many.waveforms[0] - many.waveforms[1]).max() > 0.01


def test_truncation_pulls_to_the_average_and_noise_can_be_left_out(instrument: Instrument) -> None:
    latents = instrument.draw([3, 4])
    whole, half, none = (instrument.map(latents, psi) for psi in (1.0, 0.5, 0.0))
    average = np.asarray(instrument.variables["statistics"]["w_average"])
    np.testing.assert_allclose(half, (whole + average) / 2, atol=1e-6)
    np.testing.assert_allclose(none, np.broadcast_to(average, none.shape), atol=1e-6)
    noisy, plain = (instrument.render(latents, whole, noise).waveforms for noise in (True, False))
    assert np.abs(noisy - plain).max() > 1e-3
    np.testing.assert_array_equal(plain, instrument.render(latents, whole, False).waveforms)


def test_labels_by_name_by_weight_and_drawn(instrument: Instrument) -> None:
    drawn = instrument.draw(range(200)).labels
    assert set(drawn.sum(axis=1)) == {1.0}
    assert drawn.sum(axis=0).min() > 30
    np.testing.assert_array_equal(instrument.draw([1], "snare").labels, [[0, 1, 0]])
    soft = {"kick": 0.75, "hat": 0.25}
    np.testing.assert_array_equal(instrument.draw([1, 2], soft).labels, [[0.75, 0, 0.25]] * 2)
    rows = np.asarray([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    np.testing.assert_array_equal(instrument.draw([1, 2], rows).labels, rows)


def test_spread_over_devices_makes_the_same_sounds(instrument: Instrument) -> None:
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = instrument.spread(NamedSharding(mesh, PartitionSpec("data")))
    seeds = range(BATCH + 1)
    np.testing.assert_allclose(spread.sample(seeds).waveforms, instrument.sample(seeds).waveforms, atol=1e-5)


@pytest.mark.parametrize("seeds", [[], [-1], [2**32]])
def test_bad_seeds_are_refused(instrument: Instrument, seeds: list[int]) -> None:
    with pytest.raises(BadInput, match="seed"):
        instrument.sample(seeds)


def test_an_unknown_class_names_the_known_ones(instrument: Instrument) -> None:
    with pytest.raises(BadInput, match=r"cowbell.*kick, snare, hat"):
        instrument.sample([1], labels="cowbell")


def test_a_folder_that_is_no_run_is_refused(tmp_path) -> None:
    with pytest.raises(BadInput, match=r"config\.json"):
        load(tmp_path)
