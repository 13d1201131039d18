"""The packaged classifier of drums: what its card says, and that it hears drums."""

import csv
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from drumgan_jax.audio.files import read_audio
from drumgan_jax.audio.recordings import held
from drumgan_jax.configs import drum_classifier
from drumgan_jax.data_pipelines import synthetic
from drumgan_jax.data_pipelines.conditioning import build_preparation, condition, to_mono
from drumgan_jax.data_pipelines.slicing import Slice, build_slicing
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.embedders import classifier
from drumgan_jax.systems.classifier import load_classifier

LABELS = ("kick", "snare", "cymbal")
HELD_OUT = ("tr808-fischer", "uzu-drumkit")


@pytest.fixture(scope="module")
def drums() -> Embedder:
    return classifier.build()


@pytest.fixture(scope="module")
def file(repository: Path) -> Path:
    return repository / "drumgan_jax" / "evaluation" / "embedders" / "drums.npz"


def predicted(drums: Embedder, waveforms: list[np.ndarray]) -> np.ndarray:
    """Numbers of the classes [n], in batches of one size."""
    compiled = jax.jit(drums.function)
    padded = np.zeros((-len(waveforms) % 16 + len(waveforms), drums.window), np.float32)
    padded[: len(waveforms)] = waveforms
    logits = [compiled(drums.variables, padded[i : i + 16]).logits for i in range(0, len(padded), 16)]
    return np.concatenate(logits).argmax(1)[: len(waveforms)]


def prepared(samples: np.ndarray, drums: Embedder) -> np.ndarray:
    """The one slice [window] of mono samples, as `drumgan prepare` makes it."""
    config = drum_classifier.get_config("small")
    (piece,) = build_slicing(config.slicing).slices(samples, drums.sample_rate, drums.window, None)
    assert isinstance(piece, Slice)
    waveform = condition(piece.waveform, drums.sample_rate, build_preparation(config.preparation))
    assert not isinstance(waveform, str)
    return waveform


@pytest.mark.smoke
def test_it_is_small_and_its_card_tells_its_figures(drums: Embedder, file: Path) -> None:
    assert file.stat().st_size <= 4 * 2**20
    assert (drums.name, drums.sample_rate, drums.window, drums.dimensions) == ("drums", 44100, 24064, 128)
    assert drums.num_classes == len(LABELS)
    card: dict[str, Any] = load_classifier(file).card
    assert tuple(card["labels"]) == LABELS
    text = file.with_suffix(".md").read_text()
    assert drums.weights_hash in text
    for name in ("held_out", "stopping"):
        assert f"{card[name]['accuracy']:.3f}" in text
        for row in card[name]["confusion"]:
            assert " | ".join(map(str, row)) in text
    # The weights are those of the config beside the code.
    config = drum_classifier.get_config("small")
    for section in ("front_end", "network", "augmentation"):
        assert card["config"][section] == config[section].to_dict()


def test_it_tells_synthetic_drums_that_training_has_not_heard(drums: Embedder) -> None:
    truth = np.repeat(np.arange(3), 10)
    sounds = [synthetic.one_shot(LABELS[label], 5000 + i, seed=7) for i, label in enumerate(truth)]
    assert np.mean(predicted(drums, [prepared(sound, drums) for sound in sounds]) == truth) >= 0.9


def test_its_held_out_accuracy_is_the_cards(drums: Embedder, file: Path, recordings: Path) -> None:
    with open(recordings / "drums" / "manifest.csv", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["source"] in HELD_OUT and row["label"] in LABELS]
    waveforms = []
    for row in rows:
        audio = read_audio(recordings / "drums" / row["path"])
        waveforms.append(prepared(to_mono(held(audio), "mix", drums.sample_rate), drums))
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, ([LABELS.index(row["label"]) for row in rows], predicted(drums, waveforms)), 1)
    stated = np.array(load_classifier(file).card["held_out"]["confusion"])
    assert confusion.sum() == stated.sum() == 106
    # Data sets hold 16 bits: a sound that is on the fence may fall the other way.
    assert np.abs(confusion - stated).sum() <= 2
