"""Decoders: the inverse, Griffin-Lim and vocoders, and how a config and a run name them."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from vocoder_cases import RATE, REPRESENTATION, make_vocoder, write_vocoder

from drumgan_jax.audio.mel import mel_filterbank
from drumgan_jax.audio.representations import build_representation, settings_of
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.systems import decoders
from drumgan_jax.systems.decoders import (
    VOCODER_NAME,
    Exact,
    GriffinLim,
    VocoderDecoder,
    anywhere,
    build_decoder,
    choose_decoder,
    keep_decoder,
    located,
    relative,
    unpack_decoder,
)
from drumgan_jax.systems.vocoder import TrainedVocoder, read_vocoder

pytestmark = pytest.mark.usefixtures("unoptimized")
KEYS = jax.random.split(jax.random.key(0), 2)
WAVEFORM = {"kind": "waveform", "sample_rate": 8000, "num_samples": 64}
MAGNITUDE = {"kind": "log_magnitude", "sample_rate": 8000, "n_fft": 64, "hop_length": 16, "num_frames": 16}


@pytest.fixture(scope="module")
def trained() -> TrainedVocoder:
    return make_vocoder()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_vocoder(tmp_path / "toy.npz")


def vocoded(settings: dict[str, Any], trained: TrainedVocoder) -> Any:
    """The decoder by a vocoder, of a representation's settings."""
    return build_decoder({"kind": "vocoder", "path": "toy"}, build_representation(settings), lambda _: trained)


@functools.partial(jax.jit, static_argnums=0)
def decode(decoder: Any, x: jax.Array, keys: jax.Array = KEYS) -> jax.Array:
    return decoder.decode(x, keys)


def sounds(count: int = 2, samples: int = 256) -> np.ndarray:
    return 0.3 * np.random.default_rng(0).standard_normal((count, samples)).astype(np.float32)


@pytest.mark.smoke
def test_a_representation_without_a_section_has_its_usual_decoder() -> None:
    waveform, magnitude = build_representation(WAVEFORM), build_representation(MAGNITUDE)
    assert build_decoder({}, waveform) == Exact(waveform)
    assert build_decoder({}, magnitude) == GriffinLim(magnitude, 32, 0.99)
    settings = {"kind": "griffin_lim", "iterations": 5, "momentum": 0.0}
    assert build_decoder(settings, magnitude) == GriffinLim(magnitude, 5, 0.0)
    mel = build_representation(REPRESENTATION)
    without = build_decoder({"kind": "vocoder", "path": "", "iterations": 7}, mel)
    assert without == GriffinLim(mel, 7, 0.99)
    assert (build_decoder({}, waveform).differentiable, without.differentiable) == (True, False)


@pytest.mark.parametrize(
    ("section", "shown", "match"),
    [
        ({"kind": "loud"}, MAGNITUDE, "config.decoder.kind is 'loud'; it must be one of exact, griffin_lim, vocoder"),
        ({"kind": "exact"}, MAGNITUDE, "'exact', which does not suit config.representation; take 'griffin_lim'"),
        ({"kind": "griffin_lim"}, WAVEFORM, "does not suit config.representation; take 'exact'"),
        ({"kind": "griffin_lim", "iterations": 0}, MAGNITUDE, "config.decoder.iterations is 0; it must be a whole"),
        ({"kind": "griffin_lim", "momentum": 1.5}, MAGNITUDE, "config.decoder.momentum is 1.5; it must be a number"),
        ({"kind": "vocoder", "path": 3}, REPRESENTATION, "config.decoder.path is 3; it must be a text"),
        ({"kind": "vocoder", "path": "absent.npz"}, REPRESENTATION, r"absent\.npz cannot be used; .*cannot be opened"),
    ],
)
def test_unfit_sections_are_one_sentence(section: dict[str, Any], shown: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        build_decoder(section, build_representation(shown))


def test_griffin_lim_starts_each_sound_from_its_own_key() -> None:
    magnitude = build_representation(MAGNITUDE).with_normalization(-2.0, 1.0)
    decoder = GriffinLim(magnitude, iterations=2)
    x = magnitude.encode(jnp.asarray(sounds(2, magnitude.num_samples)))
    both = np.asarray(decode(decoder, x))
    np.testing.assert_allclose(decode(decoder, x[1:], KEYS[1:])[0], both[1], atol=1e-5)
    assert not np.allclose(decode(decoder, x[1:], KEYS[:1])[0], both[1], atol=1e-3)


def test_a_decoded_loop_repeats_without_a_seam(trained: TrainedVocoder) -> None:
    """It has no place where it begins: examples that are turned give the turned sound."""
    steady = np.sin(2 * np.pi * 40 * np.arange(256) / 256).astype(np.float32)[None].repeat(2, axis=0)
    magnitude = build_representation({**MAGNITUDE, "circular": True}).with_normalization(-2.0, 1.0)
    assert magnitude.num_samples == 256
    sound = np.asarray(decode(GriffinLim(magnitude, iterations=32), magnitude.encode(steady)))
    within = np.abs(np.diff(sound, axis=1)).max(axis=1)
    assert (np.abs(sound[:, 0] - sound[:, -1]) < 1.1 * within).all()
    assert (np.abs(sound).max(axis=1) > 0.8).all()
    vocoder = vocoded({**REPRESENTATION, "circular": True}, trained)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 16, 1)).astype(np.float32))
    straight, turned = decode(vocoder, x), decode(vocoder, jnp.roll(x, 5, axis=2))
    np.testing.assert_allclose(turned, np.roll(straight, 5 * 16, axis=1), atol=1e-5)


@pytest.mark.smoke
def test_a_vocoder_hears_bands_in_its_own_normalization(trained: TrainedVocoder) -> None:
    other = build_representation({**REPRESENTATION, "mean": -1.5, "std": 2.0})
    decoder = vocoded({**REPRESENTATION, "mean": -1.5, "std": 2.0}, trained)
    assert isinstance(decoder, VocoderDecoder)
    assert decoder.differentiable
    x = other.encode(jnp.asarray(sounds()))
    # The generator's x, its own normalisation undone, then the vocoder's.
    coefficients = np.float64(x) * 2.0 - 1.5
    mean, std = (np.asarray(REPRESENTATION[name]).reshape(8, 1, 1) for name in ("mean", "std"))
    normalized = jnp.asarray((coefficients - mean) / std, jnp.float32)
    wanted = trained.vocoder.network.apply(trained.variables, normalized)
    found = decode(decoder, x)
    assert found.shape == (2, 256)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.std(found) > 1e-3
    # Phases are not drawn.
    np.testing.assert_array_equal(found, decode(decoder, x, KEYS[::-1]))
    with pytest.raises(BadInput, match="takes"):
        decoder.decode(x[:, :, :8], KEYS)


def test_bands_below_the_floor_are_rendered_as_the_floor(trained: TrainedVocoder) -> None:
    decoder, shown = vocoded(REPRESENTATION, trained), build_representation(REPRESENTATION)
    x = np.array(shown.encode(jnp.asarray(sounds())))
    lowest = np.array(shown.encode(jnp.zeros((2, 256))))
    x[:, 3:] = lowest[:, 3:]
    below = x.copy()
    below[:, 3:] -= 3.0
    found = decode(decoder, x)
    np.testing.assert_allclose(decode(decoder, below), found, atol=1e-5)
    assert np.std(found) > 1e-3
    # Frames with nothing above it are silent.
    x[:, :, 5:9] = lowest[:, :, 5:9] - 0.5
    found = np.asarray(decode(decoder, x)).reshape(2, 16, 16)
    assert not found[:, 5:9].any()
    assert found[:, [4, 9]].any(axis=(0, 2)).all()
    assert not np.asarray(decode(decoder, lowest)).any()


def test_bands_above_any_waveform_are_rendered_as_the_loudest(trained: TrainedVocoder) -> None:
    decoder, shown = vocoded(REPRESENTATION, trained), build_representation(REPRESENTATION)
    loudest = np.log10(np.hanning(65)[:-1].sum() * mel_filterbank(RATE, 64, 8, 0.0, RATE / 2).sum(axis=1))
    tones = np.sin(2 * np.pi * np.arange(256) * np.array([[500.0], [2000.0]]) / RATE).astype(np.float32)
    assert np.all(shown.transform(jnp.asarray(tones)).max(axis=(0, 2, 3)) < loudest)
    x = np.array(shown.encode(jnp.asarray(sounds())))
    x[:, 3:] = np.asarray(shown.normalize(jnp.asarray(loudest, jnp.float32)[:, None, None]))[3:]
    above = x.copy()
    above[:, 3:] += 5.0
    found = decode(decoder, x)
    np.testing.assert_allclose(decode(decoder, above), found, atol=1e-5)
    softer = x.copy()
    softer[:, 3:] -= 0.1
    assert np.abs(decode(decoder, softer) - found).max() > 1e-3


def test_sounds_are_multiplied_with_all_bits(trained: TrainedVocoder) -> None:
    decoder, x = vocoded(REPRESENTATION, trained), jnp.zeros((2, 8, 16, 1))
    assert "HIGHEST" in str(jax.make_jaxpr(lambda x: decoder.decode(x, KEYS))(x))
    assert "HIGHEST" not in str(jax.make_jaxpr(trained.vocoder.synthesize)(trained.variables, x))


def test_equal_vocoders_are_one_static_argument_and_others_another(trained: TrainedVocoder) -> None:
    one, same, other = (vocoded(REPRESENTATION, vocoder) for vocoder in (trained, make_vocoder(0), make_vocoder(1)))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    x = one.representation.encode(jnp.asarray(sounds()))
    assert not np.allclose(decode(one, x), decode(other, x))
    # The representation does not know its decoder.
    assert settings_of(one.representation) == settings_of(build_representation(REPRESENTATION))


def test_weights_are_constants_of_a_program_on_four_devices(trained: TrainedVocoder) -> None:
    decoder = vocoded(REPRESENTATION, trained)
    rows = NamedSharding(make_mesh(), PartitionSpec(("data", "fsdp")))
    x = np.asarray(decoder.representation.encode(jnp.asarray(sounds(4))))
    found = jax.jit(lambda x: decoder.decode(x, None), in_shardings=rows, out_shardings=rows)(x)
    assert len(found.sharding.device_set) == 4
    np.testing.assert_allclose(found, decode(decoder, x, None), atol=1e-6)


def test_sounds_can_be_differentiated(trained: TrainedVocoder) -> None:
    decoder = vocoded(REPRESENTATION, trained)
    x = decoder.representation.encode(jnp.asarray(sounds(1)))
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.square(decoder.decode(x, None)))))(x)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_another_vocoder_or_none_may_be_chosen(trained: TrainedVocoder, path: Path) -> None:
    section = {"kind": "vocoder", "path": str(path), "iterations": 3, "momentum": 0.5}
    present = build_decoder(section, build_representation(REPRESENTATION))
    assert choose_decoder(present, section, None, read_vocoder) is present
    assert choose_decoder(present, section, "", read_vocoder) == GriffinLim(present.representation, 3, 0.5)
    other = choose_decoder(present, section, "other", lambda _: make_vocoder(1))
    assert (other.digest != present.digest, other.representation) == (True, present.representation)


def test_a_packed_decoder_is_built_again(trained: TrainedVocoder) -> None:
    decoder = vocoded(REPRESENTATION, trained)
    section, arrays = decoder.packed()
    again = unpack_decoder(json.loads(json.dumps(section)), arrays, decoder.representation, "file")
    assert again.vocoder == decoder.vocoder
    for a, b in zip(jax.tree.leaves(again.weights), jax.tree.leaves(decoder.weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    assert GriffinLim(decoder.representation).packed() == (None, {})
    with pytest.raises(BadInput, match=r"file has a decoder of kind 'loud'; this version knows vocoder\."):
        unpack_decoder({**section, "kind": "loud"}, arrays, decoder.representation, "file")


@dataclasses.dataclass(frozen=True)
class Gain:
    """A decoder of another kind: each sample is a gain times the example's sum over frequency."""

    representation: Any
    gain: float = 1.0
    differentiable = True
    digest = "0"

    def decode(self, x, keys):
        return self.gain * jnp.repeat(x.sum(axis=(1, 3)), 16, axis=1)

    def packed(self):
        return {"kind": "gain"}, {"gain": np.float32(self.gain)}

    @classmethod
    def suits(cls, representation):
        return not representation.keeps_phase


def test_a_decoder_of_another_kind_is_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: Path) -> None:
    def unpack(section, arrays, representation, path):
        return Gain(representation, float(arrays["gain"]))

    monkeypatch.setitem(decoders.DECODERS, "gain", Gain)
    monkeypatch.setitem(decoders.UNPACKERS, "gain", unpack)
    shown, section = build_representation(REPRESENTATION), {"kind": "gain", "gain": 0.5}
    found = build_decoder(section, shown)
    assert found == Gain(shown, 0.5)
    assert unpack_decoder(*found.packed(), shown, "file") == found
    assert choose_decoder(found, section, "", read_vocoder) == found
    assert choose_decoder(found, section, str(path), read_vocoder).digest != "0"
    assert keep_decoder(section, shown, tmp_path, read_vocoder, write=True) == anywhere(section) == section


def test_a_run_keeps_a_copy_of_its_vocoder(tmp_path: Path) -> None:
    folder, original = tmp_path / "run", write_vocoder(tmp_path / "original.npz")
    section, shown = {"kind": "vocoder", "path": str(original)}, build_representation(REPRESENTATION)
    keep = functools.partial(keep_decoder, representation=shown, read=read_vocoder, write=True)
    kept = keep(section, folder=folder)
    assert relative(kept, folder) == {"kind": "vocoder", "path": VOCODER_NAME}
    # It plays wherever it lies, also when the original is gone, and goes on with the copy that it began with.
    first = read_vocoder(kept["path"]).variables
    write_vocoder(original, seed=1)
    assert keep(section, folder=folder) == kept
    original.unlink()
    assert keep(section, folder=folder) == kept
    moved = folder.rename(tmp_path / "moved")
    found = read_vocoder(located(relative(kept, folder), moved)["path"]).variables
    jax.tree.map(np.testing.assert_array_equal, found, first)
    # A damaged copy is made again, and another path is another vocoder.
    (moved / VOCODER_NAME).write_bytes(b"damaged")
    write_vocoder(original, seed=1)
    again = read_vocoder(keep(section, folder=moved)["path"]).variables
    jax.tree.map(np.testing.assert_array_equal, again, read_vocoder(original).variables)
    other = write_vocoder(tmp_path / "other.npz")
    again = read_vocoder(keep({"kind": "vocoder", "path": str(other)}, folder=moved)["path"]).variables
    jax.tree.map(np.testing.assert_array_equal, again, first)
    assert keep({"kind": "griffin_lim"}, folder=moved) == {"kind": "griffin_lim"}
    assert anywhere(kept)["path"] == ""


def test_a_vocoder_that_cannot_be_kept_is_told_and_the_copy_stays(path: Path, tmp_path: Path) -> None:
    shown = build_representation(REPRESENTATION)
    keep = functools.partial(keep_decoder, folder=tmp_path / "run", read=read_vocoder, write=True)
    kept = Path(keep({"kind": "vocoder", "path": str(path)}, representation=shown)["path"])
    before = kept.read_bytes()
    with pytest.raises(BadInput, match=r"^config\.decoder\.path cannot be used: .*absent\.npz cannot be op"):
        keep({"kind": "vocoder", "path": str(tmp_path / "absent.npz")}, representation=shown)
    other = build_representation({**REPRESENTATION, "floor": 1e-4})
    write_vocoder(tmp_path / "other.npz")
    with pytest.raises(BadInput, match=r"floor: 0\.0001 against 1e-05"):
        keep({"kind": "vocoder", "path": str(tmp_path / "other.npz")}, representation=other)
    assert kept.read_bytes() == before
