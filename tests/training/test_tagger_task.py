"""The tagger, from a manifest with tags and splits to a packed file."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from ml_collections import ConfigDict

from drumgan_jax.commands.pack import describe_tags, pack
from drumgan_jax.configs import defaults
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data_pipelines.prepare import prepare
from drumgan_jax.evaluation.embedders.classifier import from_file
from drumgan_jax.training.loop import train
from drumgan_jax.training.tasks import build_task

REPRESENTATION = {"kind": "waveform", "sample_rate": 8000, "num_samples": 512}
TAGS = ("bright", "dark", "loud")


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clu", None)  # importing TensorFlow takes seconds


def write_manifest(folder: Path, split: str = "") -> Path:
    """32 noises that are bright or dark, and loud or not; one has a rare tag only."""
    rng, lines = np.random.default_rng(0), ["path,tags,split"]
    for index in range(32):
        noise = rng.standard_normal(512)
        noise = np.diff(noise, append=0) if index % 2 else np.cumsum(noise) / 8
        tags = "|".join(["bright" if index % 2 else "dark", *(["loud"] if index % 4 < 2 else [])])
        soundfile.write(folder / f"{index}.wav", np.clip(noise / 8 * (1 if index % 4 < 2 else 0.02), -1, 1), 8000)
        which = ("train", "train", "train", "validation", "test")[index // 4 % 5]
        lines.append(f"{index}.wav,{'rare' if index == 31 else tags},{split or which}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder / "manifest.csv"


def config_of(**preparation: Any) -> ConfigDict:
    config = defaults.classifier()
    config.name = "toy"
    config.representation = REPRESENTATION
    config.slicing = {"kind": "loop", "seconds": 0.0, "stride": 0.0, "min_fill": 1.0}
    config.preparation.update(test_fraction=0.0, split_by="manifest", tags=3, normalization="none")
    config.preparation.update(preparation)
    return config


def test_a_tagger_is_trained_on_tags_chosen_by_validation_and_packed(tmp_path: Path) -> None:
    config = config_of()
    directory = prepare(config, [str(write_manifest(tmp_path))], tmp_path / "data").directory
    dataset = open_dataset(directory)
    assert (dataset.tag_names, dataset.label_names, dataset.has_labels) == (TAGS, (), False)
    assert [dataset.num_examples(split) for split in dataset.splits] == [23, 4, 4]
    for record in dataset.source("train"):
        parsed = dataset.parse(record, ("waveforms", "tags"))
        assert parsed["tags"][0] + parsed["tags"][1] == 1
        crossings = np.mean(np.diff(np.sign(parsed["waveforms"])) != 0)
        assert (crossings > 0.4) == bool(parsed["tags"][0])
    config.front_end = {"n_fft": 128, "hop_length": 64, "num_mels": 16}
    config.network = {"kind": "short_chunk", "channels": 4, "blocks": (1,)}
    config.task = {"kind": "tagger"}
    config.augmentation.update(gain_db=0.0, band_limit=0.0, equalizer_db=0.0, mask_bands=0, mask_frames=0)
    config.optimizer.classifier.learning_rate = 0.02
    config.train.update(batch_size=8, total_images=320, ema_half_life_images=32)
    config.data.dir = str(directory)
    config.logging.every = 40
    config.checkpoint.every = config.evaluation.every = 20
    history = train(config, tmp_path / "run").history
    scores = [line for line in history if "evaluation/roc_auc" in line]
    assert scores[-1]["evaluation/roc_auc"] > 0.9 > 0.7 > scores[0]["evaluation/roc_auc"]
    path, card = pack(str(tmp_path / "run"), str(tmp_path / "toy.npz"))
    assert card["stopping"]["split"] == "validation"
    assert (card["stopping"]["count"], card["labels"]) == (4, list(TAGS))
    assert "bright" in describe_tags(card["stopping"])
    embedder = from_file(path)
    assert (embedder.num_classes, embedder.dimensions) == (0, 4)
    with pytest.raises(BadInput, match="--held_out is for classifiers"):
        pack(str(tmp_path / "run"), str(tmp_path / "toy.npz"), held_out=str(directory))
    with pytest.raises(BadInput, match="have no classes of their own"):
        dataset.parse(dataset.source("train")[0], ("labels",))
    task = build_task({**config.to_dict(), "labels": list(TAGS)}, make_mesh())
    assert task.summarize(task.init()) is None


def test_bad_tags_and_splits_are_told(tmp_path: Path) -> None:
    manifest = str(write_manifest(tmp_path))
    with pytest.raises(BadInput, match="has 4 tags, of which 4 are named"):
        prepare(config_of(tags=9), [manifest], tmp_path / "data")
    with pytest.raises(BadInput, match="'soft' is not among them"):
        prepare(config_of(labels=("bright", "dark", "soft")), [manifest], tmp_path / "data")
    (tmp_path / "other").mkdir()
    with pytest.raises(BadInput, match=r"has the split 'half'; .* needs a column split with one of train, validation"):
        prepare(config_of(), [str(write_manifest(tmp_path / "other", "half"))], tmp_path / "data")
