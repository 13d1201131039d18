"""The embedder of a representation's own picture: its levels, where examples come from, and what it refuses."""

import dataclasses
import functools
import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch_writer
from instrument_cases import RATE, STYLED, make_instrument
from test_embedders_pretrained import torch_state
from toy_gan import toy_config
from training_cases import write_dataset

from drumgan_jax.audio.representations import build_representation, settings_of
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation import collecting
from drumgan_jax.evaluation.collecting import sampled
from drumgan_jax.evaluation.embedder import DeviceEmbedder
from drumgan_jax.evaluation.embedders import build_embedder, inception, picture
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.networks.inception_v3 import InceptionV3
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.measure import embed_generated
from drumgan_jax.training.loop import train
from drumgan_jax.weights import store
from drumgan_jax.weights.catalogue import CATALOGUE

NARROW: dict[str, Any] = {"divisor": 16, "num_classes": 6}
SETTINGS = {**STYLED["representation"], "kind": "log_power"}
pytestmark = pytest.mark.usefixtures("unoptimized")
NO_LABELS = np.eye(3)[[0]]


@pytest.fixture(autouse=True)
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights of Inception's layout, a sixteenth as wide, in the place of the published ones."""
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path / "cache"))
    file = CATALOGUE["inception"]
    path = tmp_path / "cache" / "weights" / file.file_name
    path.parent.mkdir(parents=True)
    torch_writer.write(path, torch_state(InceptionV3(**NARROW), (1, 75, 75, 3), ["fc.bias"]))
    monkeypatch.setitem(CATALOGUE, "inception", dataclasses.replace(file, sha256=store.file_hash(path)))
    monkeypatch.setattr(picture, "InceptionV3", functools.partial(InceptionV3, **NARROW))
    # Narrow networks have fewer features than an embedder says, and `embed` checks them.
    monkeypatch.setattr(picture, "DIMENSIONS", 2048 // NARROW["divisor"])
    # Small batches of small pictures; the enlargement itself is tested with the embedder inception.
    monkeypatch.setattr(collecting, "WINDOWS_PER_DEVICE", 4)
    monkeypatch.setattr(inception, "_INPUT_SIDE", 75)
    build_embedder.cache_clear()


class Thinned:
    """In Inception's place, where what it computes does not matter: every eighth pixel of a picture of 75 x 75."""

    num_classes = 6

    def apply(self, variables: Any, images: Any) -> Any:
        return images[:, ::8, ::8, 0].reshape(len(images), -1), images[:, 0, :6, 0]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, narrow: None) -> None:
    monkeypatch.setattr(picture, "InceptionV3", Thinned)
    monkeypatch.setattr(picture, "from_torch", lambda state, network: {})
    monkeypatch.setattr(picture, "DIMENSIONS", 100)


def waveforms(count: int = 3) -> np.ndarray:
    length = build_representation(SETTINGS).num_samples
    decay = np.exp(-np.arange(length) / length * np.arange(1, count + 1)[:, None])
    return (decay * np.random.default_rng(0).uniform(-0.8, 0.8, (count, length))).astype(np.float32)


def test_the_levels_are_those_of_the_paper() -> None:
    maker = build_representation(SETTINGS)
    sounds = waveforms()
    # Section 5.1: the log of the power, normalised, clipped at three deviations, scaled to 0 to 255. In float64.
    padded = np.pad(sounds.astype(np.float64), ((0, 0), (16, 16)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 32, axis=1)[:, ::16]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(32) / 32)
    spectra = np.abs(np.fft.rfft(frames * window))[:, :, :-1].swapaxes(1, 2)
    assert maker.shape[:2] == spectra.shape[1:]
    level = (np.log(spectra**2 + maker.floor**2) - SETTINGS["mean"]) / (3 * SETTINGS["std"])
    expected = np.clip(np.round(127.5 * np.clip(level, -1, 1) + 127.5), 0, 255)
    found = np.asarray(picture.grey(maker.encode(sounds)))[..., 0]
    assert found.dtype == np.float32
    assert set(np.unique(found)) <= set(range(256))
    assert np.ptp(found) > 100
    # A rounding of float32 may move a level that lies between two.
    assert np.abs(found - expected).max() <= 1
    assert (found == expected).mean() > 0.999


def test_sounds_are_encoded_and_examples_taken_as_they_are() -> None:
    maker = build_representation(SETTINGS)
    embedder = picture.build(representation=maker)
    assert (embedder.name, embedder.sample_rate, embedder.window) == ("picture", RATE, maker.num_samples)
    sounds = waveforms()
    x = np.asarray(maker.encode(sounds))
    flat = embedder.on_examples
    assert (flat.window, flat is embedder.on_examples) == (x[0].size, True)
    grey = np.clip(np.floor(127.5 * x[..., 0] + 128), 0, 255)
    resized = (np.asarray(inception.resize(grey)) - 128) / 128
    apply = jax.jit(InceptionV3(**NARROW).apply)
    expected, logits = apply(embedder.variables, np.repeat(resized[..., None], 3, axis=-1))
    found = jax.jit(embedder.function)(embedder.variables, sounds)
    np.testing.assert_allclose(found.embedding, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-4)
    assert np.ptp(np.asarray(expected), axis=0).max() > 1e-3


@pytest.mark.usefixtures("quick")
def test_a_generators_examples_are_measured_without_its_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    instrument: Any = make_instrument(STYLED)
    maker = instrument.representation
    suite = Suite.of(["fid:picture"], representation=maker)
    (embedder,) = suite.embedders
    x = instrument.examples(instrument.draw(range(4), NO_LABELS.repeat(4, 0)))
    assert isinstance(embedder, DeviceEmbedder)
    flat = sampled(lambda start, size: x[start : start + size].reshape(size, -1), 4, RATE, 4)
    expected = suite.embed(flat, embedders=[embedder.on_examples])
    with monkeypatch.context() as without:
        without.setattr(Instrument, "render", None)
        found = embed_generated(instrument, suite, NO_LABELS, 4)
    np.testing.assert_array_equal(found["picture"].total.mean, expected["picture"].total.mean)
    # Of another scale than the generator's, a picture can only be of the sound.
    other = Suite.of(["fid:picture"], representation=maker.with_normalization(-2.0, 0.4))
    heard = embed_generated(instrument, other, NO_LABELS, 4)
    sounds = instrument.sample(range(4), labels=NO_LABELS.repeat(4, 0)).waveforms
    by_sound = other.embed(sampled(lambda start, size: sounds[start : start + size], 4, RATE, 4))
    np.testing.assert_allclose(heard["picture"].total.mean, by_sound["picture"].total.mean, rtol=1e-6)
    assert suite.embedders[0].weights_hash != other.embedders[0].weights_hash


@pytest.mark.usefixtures("quick")
def test_a_run_or_a_data_set_says_what_the_picture_is(tmp_path: Path) -> None:
    run, data = tmp_path / "run", tmp_path / "1.0.0"
    run.mkdir()
    data.mkdir()
    (run / "config.json").write_text(json.dumps({"name": "x", "representation": SETTINGS}))
    stored = settings_of(build_representation(SETTINGS))
    (data / "representation.json").write_text(json.dumps({**stored, "format": 2}))
    one, other = (build_embedder(f"picture={folder}") for folder in (run, data))
    assert one.name == other.name == f"picture@{one.weights_hash[:8]}"
    assert one.weights_hash == picture.build(representation=build_representation(SETTINGS)).weights_hash


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (None, "needs the representation of a run or data set"),
        ({**SETTINGS, "mean": None, "std": None}, "and the representation log_power is none"),
        ({**SETTINGS, "kind": "complex", "mean": 0.0}, "and the representation complex is none"),
        ({"kind": "waveform", "sample_rate": RATE, "num_samples": 512}, "and the representation waveform is none"),
    ],
)
def test_what_has_no_grey_picture_is_refused(settings: dict[str, Any] | None, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        Suite.of(["fid:picture"], representation=None if settings is None else build_representation(settings))


def test_a_folder_without_a_representation_and_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is neither a run nor a data set's version folder; give picture=RUN\."):
        build_embedder(f"picture={tmp_path}")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match=r"config\.json is damaged"):
        build_embedder(f"picture={tmp_path}")


@pytest.mark.smoke
def test_without_inceptions_weights_it_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path / "empty"))
    with pytest.raises(BadInput, match="run `drumgan weights get inception`"):
        Suite.of(["fid:picture"], representation=build_representation(SETTINGS))


@pytest.mark.usefixtures("quick")
def test_training_takes_the_generators_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clu", None)  # importing TensorFlow takes seconds
    data = write_dataset(tmp_path / "data").parent
    evaluation = {"every": 2, "num_samples": 8, "metrics": ("fid:picture",), "metric": "fid/picture"}
    sections = {"evaluation": evaluation, "logging": {"every": 2, "samples_every": 0}}
    monkeypatch.setattr(Instrument, "render", None)
    history = train(toy_config(data, train={"total_images": 16}, **sections), tmp_path / "run").history
    scores = [line["evaluation/fid/picture"] for line in history if "evaluation/fid/picture" in line]
    assert len(scores) == 2
    assert min(scores) > 0
