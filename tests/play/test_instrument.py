"""An Instrument plays the same sound for the same seed, whatever is around it, and moves through its latents."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from instrument_cases import CLASSES, GROWING, RATE, STYLED, drum, make_instrument
from jax.sharding import NamedSharding, PartitionSpec

from drumgan_jax.core.errors import BadInput
from drumgan_jax.latents.inversion import Inversion
from drumgan_jax.play.instrument import BATCH, Instrument, Latents
from drumgan_jax.play.load import load
from drumgan_jax.systems.encoder import Encoder, Encoding, build_encoder

pytestmark = pytest.mark.usefixtures("unoptimized")


@pytest.fixture(scope="module")
def instrument() -> Instrument:
    return make_instrument(STYLED)


@pytest.fixture(scope="module")
def grown() -> Instrument:
    return make_instrument(GROWING, step=30)


@pytest.mark.smoke
def test_a_seed_is_the_same_sound_in_any_batch(instrument: Instrument) -> None:
    many = instrument.sample(range(BATCH + 3))
    few, alone = instrument.sample([BATCH + 1, 2]), instrument.sample([2])
    assert many.waveforms.shape == (BATCH + 3, instrument.gan.representation.num_samples)
    np.testing.assert_allclose(few.waveforms, many.waveforms[[BATCH + 1, 2]], atol=1e-5)
    np.testing.assert_allclose(alone.waveforms, many.waveforms[[2]], atol=1e-5)
    assert np.abs(many.waveforms[0] - many.waveforms[1]).max() > 0.01


def test_truncation_pulls_to_the_average(instrument: Instrument) -> None:
    whole, half, none = (instrument.draw([3, 4], truncation=psi).ws for psi in (1.0, 0.5, 0.0))
    average = instrument.variables["statistics"]["w_average"]
    np.testing.assert_allclose(half, (whole + average) / 2, atol=1e-6)
    np.testing.assert_allclose(none, np.broadcast_to(average, none.shape), atol=1e-6)
    assert instrument.draw([3], truncation=0.5).z is None


def test_noise_has_a_gain_of_each_layer(instrument: Instrument) -> None:
    latents = instrument.draw([3, 4])
    layers = len(instrument.gan.generator.noise_sizes)
    noisy, plain = (instrument.render(latents, noise).waveforms for noise in (True, False))
    assert np.abs(noisy - plain).max() > 1e-3
    for noise, expected in ((1.0, noisy), ([1.0] * layers, noisy), (0.0, plain), ([0.0] * layers, plain)):
        np.testing.assert_allclose(instrument.render(latents, noise).waveforms, expected, atol=1e-5)
    first = instrument.render(latents, [1.0] + [0.0] * (layers - 1)).waveforms
    assert min(np.abs(first - noisy).max(), np.abs(first - plain).max()) > 1e-3
    with pytest.raises(BadInput, match=r"2 noise gains do not fit the 5 layers"):
        instrument.render(latents, [1.0, 0.5])


def test_labels_by_name_by_weight_and_drawn(instrument: Instrument) -> None:
    drawn = instrument.draw(range(200)).labels
    assert set(drawn.sum(axis=1)) == {1.0}
    assert drawn.sum(axis=0).min() > 30
    np.testing.assert_array_equal(instrument.draw([1], "snare").labels, [[0, 1, 0]])
    soft = {"kick": 3.0, "hat": 1.0}
    np.testing.assert_array_equal(instrument.draw([1, 2], soft).labels, [[0.75, 0, 0.25]] * 2)
    np.testing.assert_array_equal(instrument.draw([1, 2], [soft, "snare"]).labels, [[0.75, 0, 0.25], [0, 1, 0]])


def test_spread_over_devices_makes_the_same_sounds(instrument: Instrument) -> None:
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = instrument.on_devices(NamedSharding(mesh, PartitionSpec("data")))
    seeds = range(BATCH + 1)
    expected = instrument.sample(seeds).waveforms
    # Rounding is relative to the level, and these sounds of random weights are louder than full scale.
    np.testing.assert_allclose(spread.sample(seeds).waveforms, expected, atol=1e-5 * np.abs(expected).max())


def test_a_growing_generator_is_played_as_far_as_it_has_grown(grown: Instrument) -> None:
    # 120 images: 20 into the third stage of 40, which fades over its first half, is at the end of the fade.
    assert grown.gan.stage == 2
    young = make_instrument(GROWING, step=15)
    assert young.gan.stage == 1
    assert young.variables["growth"]["alpha"] == 1.0
    half = make_instrument(GROWING, step=12)
    assert half.variables["growth"]["alpha"] == pytest.approx(0.4)
    sounds = [one.sample([1]).waveforms for one in (grown, young, half)]
    assert all(waveforms.shape == sounds[0].shape and np.isfinite(waveforms).all() for waveforms in sounds)
    assert np.abs(sounds[1] - sounds[2]).max() > 1e-4
    assert grown.model == young.model
    assert grown.model != make_instrument(STYLED).model


def test_latents_are_cut_and_joined(instrument: Instrument) -> None:
    latents = instrument.draw([1, 2, 3])
    joined = Latents.join([latents[2], latents[0:2]])
    np.testing.assert_array_equal(joined.seeds, [3, 1, 2])
    np.testing.assert_array_equal(joined.ws, latents.ws[[2, 0, 1]])
    assert len(latents[-1]) == 1
    with pytest.raises(IndexError):
        latents[3]
    # A found noise stays where it was; the others' is still their seeds'.
    quiet = tuple(np.zeros((1, *size, 1), np.float32) for size in instrument.gan.generator.noise_sizes)
    mixed = Latents.join([dataclasses.replace(latents[0], noises=quiet), latents[1]])
    expected = [instrument.render(latents[:1], False).waveforms[0], instrument.render(latents[1]).waveforms[0]]
    np.testing.assert_allclose(instrument.render(mixed).waveforms, expected, atol=1e-5)
    with pytest.raises(BadInput, match="different runs"):
        Latents.join([latents, dataclasses.replace(latents, model="other")])


def test_vary_steps_by_a_difference_of_two_random_w(instrument: Instrument, grown: Instrument) -> None:
    latents = instrument.draw(range(3), "snare")
    np.testing.assert_allclose(instrument.vary(latents, 0.0, 5).ws, latents.ws, atol=1e-6)
    one, two = (instrument.vary(latents, amount, 5).ws - latents.ws for amount in (1.0, 2.0))
    np.testing.assert_allclose(two, 2 * one, atol=1e-5)
    # The same labels, the same direction; another seed, another direction.
    np.testing.assert_allclose(one[0], one[2], atol=1e-6)
    assert np.abs(instrument.vary(latents, 1.0, 6).ws - latents.ws - one).max() > 1e-2
    each = instrument.vary(latents, np.asarray([0.0, 1.0, 2.0]), 5).ws - latents.ws
    np.testing.assert_allclose(each, np.stack([0 * one[0], one[0], two[0]]), atol=1e-5)
    # Without a mapping it is a normal step of z, and the labels stay.
    steps = [grown.vary(grown.draw([0], "hat"), 1.0, seed) for seed in range(40)]
    assert all(step.labels.tolist() == [[0, 0, 1]] for step in steps)
    moved = np.concatenate([step.z for step in steps]) - grown.draw([0]).z
    assert moved.std() == pytest.approx(1.0, abs=0.15)
    with pytest.raises(BadInput, match="direction is -1"):
        instrument.vary(latents, 1.0, -1)


@pytest.mark.parametrize("how", ["linear", "spherical"])
@pytest.mark.parametrize("space", ["w", "z"])
def test_interpolation_ends_at_both_sounds(instrument: Instrument, space: str, how: str) -> None:
    latents = instrument.draw([7, 8], ["kick", "hat"])
    way = instrument.interpolate(latents[0], latents[1], 5, space, how)
    np.testing.assert_array_equal(way.ws[[0, -1]], latents.ws)
    np.testing.assert_allclose(way.labels[:, 0], [1, 0.75, 0.5, 0.25, 0], atol=1e-6)
    sounds = instrument.render(way).waveforms
    np.testing.assert_allclose(sounds[[0, -1]], instrument.render(latents).waveforms, atol=1e-5)
    if how == "linear" and space == "w":
        np.testing.assert_allclose(way.ws[2], latents.ws.mean(axis=0), atol=1e-6)


def test_interpolation_of_layers_is_style_transfer(instrument: Instrument) -> None:
    a, b = instrument.draw([7]), instrument.draw([8])
    way = instrument.interpolate(a, b, 3, layers=(1, 3))
    np.testing.assert_array_equal(way.ws[-1, 1:3], b.ws[0, 1:3])
    for layer in (0, 3):
        np.testing.assert_array_equal(way.ws[:, layer], np.repeat(a.ws[:, layer], 3, axis=0))
    np.testing.assert_array_equal(way.seeds, [7, 7, 7])


def test_interpolation_without_a_mapping_mixes_labels_evenly(grown: Instrument) -> None:
    a, b = grown.draw([7], "kick"), grown.draw([8], "hat")
    way = grown.interpolate(a, b, 3, how="spherical")
    np.testing.assert_allclose(way.labels[1], [0.5, 0, 0.5], atol=1e-6)
    lengths = np.linalg.norm(way.z, axis=1)
    assert lengths[1] == pytest.approx((lengths[0] + lengths[2]) / 2, rel=1e-5)
    assert way.noises is None


def test_edits_move_ws_along_a_component(instrument: Instrument, grown: Instrument) -> None:
    latents = instrument.draw([1, 2], truncation=0.7)
    found = instrument.components(3)
    assert found.directions.shape == (3, 8)
    step = found.deviations[1] * found.directions[1]
    edited = instrument.edit(latents, 1, -2.0, layers=(2, 4))
    np.testing.assert_allclose(edited.ws[:, 2:4], latents.ws[:, 2:4] - 2 * step, atol=1e-5)
    np.testing.assert_array_equal(edited.ws[:, [0, 1]], latents.ws[:, [0, 1]])
    assert instrument.components(num_samples=500).num_samples == 500
    # Of z only, and as many as it has.
    soft = grown.edit(grown.draw([1], {"kick": 0.7, "snare": 0.3}), 0, 1.5)
    np.testing.assert_allclose(soft.labels, [[0.7, 0.3, 0.0]], atol=1e-6)
    assert len(grown.components()) == 8
    for component in (8, -1):
        with pytest.raises(BadInput, match=f"no component {component}; there are 8"):
            grown.edit(soft, component, 1.0)
    with pytest.raises(BadInput, match="layers 2 to 9"):
        instrument.edit(latents, 0, 1.0, layers=(2, 9))
    with pytest.raises(BadInput, match="components, not 9"):
        instrument.components(9)


def test_components_are_kept_in_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_instrument(STYLED, run=tmp_path).components(num_samples=300)
    assert [path.name for path in tmp_path.iterdir()] == ["components-12-300.npz"]
    monkeypatch.setattr("drumgan_jax.play.instrument.components_of", lambda *_: pytest.fail("found again"))
    again = make_instrument(STYLED, run=tmp_path).components(num_samples=300)
    np.testing.assert_array_equal(again.directions, first.directions)
    monkeypatch.undo()
    # Those of another model, or damaged, are found anew; a folder that cannot be written to is no hindrance.
    (tmp_path / "components-12-300.npz").write_bytes(b"damaged")
    assert make_instrument(STYLED, run=tmp_path).components(num_samples=300).num_samples == 300
    absent = make_instrument(STYLED, run=tmp_path / "absent")
    assert absent.components(num_samples=300).num_samples == 300
    # With other parameters it has other components, though what is at hand is shared.
    params = jax.tree.map(lambda leaf: 2 * leaf, absent.variables["params"])
    other = dataclasses.replace(absent, variables={**absent.variables, "params": params}, model="other")
    assert not np.array_equal(other.components(num_samples=300).mean, first.mean)


class Pooled(nn.Module):
    """A dense layer on what was pooled."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        return nn.Dense(self.features)(x.mean(axis=2).reshape(len(x), -1))


@pytest.mark.parametrize("parts", [STYLED, GROWING])
def test_encode_brings_a_recording_to_latents(parts: dict) -> None:
    made = make_instrument(parts)
    encoder = Encoder(view=jnp.abs, network=Pooled(made.gan.generator.w_dim), shape=made.gan.representation.shape)
    instrument = dataclasses.replace(made, own_encoding=Encoding(encoder, {}, encoder.init(jax.random.key(2))))
    latents = instrument.encode(drum(), RATE)
    assert latents.ws.shape == (1, made.gan.generator.num_ws, made.gan.generator.w_dim)
    assert (latents.z is None) == (parts is STYLED)
    assert instrument.render(instrument.vary(latents, 0.5, 1)).waveforms.shape[0] == 1
    pair = instrument.encode([drum(), 0.1 * drum()], RATE)
    np.testing.assert_allclose(pair.ws[1], latents.ws[0], atol=1e-4)
    # Sounds that are in the training data's form already are taken as they are, at their own level.
    heard = instrument.preprocess(drum(), RATE)
    np.testing.assert_array_equal(instrument.encode_waveforms(heard).ws, latents.ws)
    quiet = instrument.encode_waveforms(0.1 * heard)
    assert np.abs(quiet.ws - latents.ws).max() > 1e-3
    # Both ends have seed 0, so the noise of the way is that seed's.
    assert instrument.interpolate(latents, quiet, 3).noises is None
    for odd in (heard[0], heard[:, :-1], heard[:0]):
        for use in (instrument.encode_waveforms, instrument.invert_waveforms):
            with pytest.raises(BadInput, match=rf"give \[batch, {heard.shape[1]}\]"):
                use(odd)


def test_an_encoder_of_another_generator_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = make_instrument(GROWING, run=tmp_path)
    section = {"kind": "convolution", "view": {"kind": "thresholded"}, "channels": [4, 4], "dense": [8]}
    (tmp_path / "encoder").mkdir()
    config = {"encoder": section, "task": {"run": "runs/mine", "step": "40"}}
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(config))
    variables = jax.jit(build_encoder({"encoder": section}, instrument.gan, 3).init)(jax.random.key(0))
    told = r"config.task.step=40 of runs/mine; give that step \(--step=40\), or train the encoder again"
    for digest, match in ((instrument.model, None), ("ab" * 32, told), ("", "an encoder of another generator")):
        ema = {**variables, "generator": np.frombuffer(bytes.fromhex(digest), np.uint8)}
        monkeypatch.setattr("drumgan_jax.runs.load.load_ema", lambda run, step=None, ema=ema: (dict(ema), 7))
        fresh = dataclasses.replace(instrument)
        if match is None:
            latents = fresh.encode(drum(), RATE)
            np.testing.assert_allclose(latents.labels.sum(), 1.0, atol=1e-5)
        else:
            with pytest.raises(BadInput, match=match):
                fresh.encode(drum(), RATE)


def test_without_an_encoder_there_is_inversion(
    instrument: Instrument, grown: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="no encoder; use invert"):
        grown.encode(drum(), RATE)
    for steps, starts in ((0, 1), (5, 0), (5, 65)):
        with pytest.raises(BadInput, match="invert takes"):
            grown.invert(drum(), RATE, steps=steps, starts=starts)
    # What inversion finds is in tests/latents/test_inversion.py.
    for one in (instrument, grown):
        drawn = one.draw([0, 1])
        noises = drawn.layer_noise(one.gan.generator.noise_sizes)
        found = Inversion(drawn.ws, noises, np.zeros((2, 3)))
        monkeypatch.setattr("drumgan_jax.latents.inversion.invert", lambda *_, found=found: found)
        latents = one.invert([drum(), drum()], RATE)
        np.testing.assert_array_equal(latents.ws, drawn.ws)
        assert (latents.noises is None) == (one is grown)
        assert one.invert([drum(), drum()], RATE, noise=False).noises is None


def test_latents_of_another_model_are_refused(instrument: Instrument, grown: Instrument) -> None:
    own, other = instrument.draw([1]), grown.draw([1])
    for use in (
        lambda: instrument.render(other),
        lambda: instrument.vary(other, 1.0, 0),
        lambda: instrument.edit(other, 0, 1.0),
        lambda: instrument.interpolate(own, other, 3),
    ):
        with pytest.raises(BadInput, match="another run or step"):
            use()


def test_ways_that_there_are_not_are_refused(instrument: Instrument) -> None:
    a, b = instrument.draw([1]), instrument.draw([2])
    with pytest.raises(BadInput, match="not 1, 2 in 4"):
        instrument.interpolate(a, instrument.draw([2, 3]), 4)
    with pytest.raises(BadInput, match="in 1"):
        instrument.interpolate(a, b, 1)
    with pytest.raises(BadInput, match="'x' and 'linear'"):
        instrument.interpolate(a, b, 3, space="x")
    with pytest.raises(BadInput, match="z of these latents is not known"):
        instrument.interpolate(a, instrument.draw([2], truncation=0.5), 3, space="z")


@pytest.mark.parametrize("seeds", [[], [-1], [2**32]])
def test_bad_seeds_are_refused(instrument: Instrument, seeds: list[int]) -> None:
    with pytest.raises(BadInput, match="seed"):
        instrument.sample(seeds)


def test_an_unknown_class_names_the_known_ones(instrument: Instrument) -> None:
    with pytest.raises(BadInput, match=r"cowbell.*kick, snare, hat"):
        instrument.sample([1], labels="cowbell")
    assert instrument.label_names == CLASSES


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"config\.json"):
        load(tmp_path)
