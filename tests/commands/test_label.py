"""The verb `drumgan label`."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from verbs import drumgan, write_run

from drumgan_jax.configs import splice_loops
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.soft_labels import read_soft_labels, write_soft_labels
from drumgan_jax.data_pipelines.prepare import prepare
from drumgan_jax.systems.classifier import build_classifier

pytestmark = pytest.mark.usefixtures("unoptimized")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    config = splice_loops.get_config("tiny")
    config.preparation.labels = ("kick", "snare", "cymbal")
    prepare(config, ["synthetic:drums?count=30"], out)
    return next(out.rglob("features.json")).parent


def test_label_writes_probabilities_and_tells_of_them(data: Path) -> None:
    dataset = open_dataset(data)
    said = drumgan("label", f"--data_dir={data.parent.parent}", "--classifier=drums")
    assert "mean entropy" in said
    assert "the most probable class is the example's own in" in said
    labels = read_soft_labels(data)
    assert labels.classifier.startswith("drums@")
    for split in dataset.splits:
        assert dataset.soft_labels(split).shape == (dataset.num_examples(split), len(dataset.label_names))
    # No one's soft labels are lost to another classifier's.
    write_soft_labels(data, dataclasses.replace(labels, classifier="other@01234567"))
    said = drumgan("label", f"--data_dir={data}", "--classifier=drums", status=2)
    assert said.endswith("add --overwrite to replace them.")
    assert read_soft_labels(data).classifier == "other@01234567"
    drumgan("label", f"--data_dir={data}", "--classifier=drums", "--overwrite")
    assert read_soft_labels(data).classifier == labels.classifier


def test_a_run_of_a_classifier_labels_given_that_it_is_one_of_the_classes(data: Path, tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "task": {"kind": "classifier"},
        "representation": {"kind": "waveform", "sample_rate": 8000, "num_samples": 1024},
        "front_end": {"n_fft": 256, "hop_length": 128, "num_mels": 8},
        "network": {"kind": "short_chunk", "channels": 2, "blocks": (1,)},
        "evaluation": {"metric": "loss"},
        "labels": ["hat", "kick", "cymbal", "snare"],
    }
    variables = jax.jit(build_classifier(config, config["labels"]).init)(jax.random.key(0))
    write_run(tmp_path / "classifier", config, variables)
    shutil.copytree(data, tmp_path / "data")
    place = (f"--data_dir={tmp_path / 'data'}", f"--classifier={tmp_path / 'classifier'}", "--overwrite")
    assert "no checkpoint with an evaluation" in drumgan("label", *place, status=2)
    said = drumgan("label", *place, "--step=last")
    assert "also knows hat: the probabilities exclude these classes." in said
    labels = read_soft_labels(tmp_path / "data")
    assert labels.classifier.startswith("classifier@")
    assert labels.names == open_dataset(data).label_names


def test_one_command_trains_a_classifier_on_the_data_and_labels_with_it(tmp_path: Path) -> None:
    config = splice_loops.get_config("tiny")
    config.preparation.update(labels=("kick", "snare", "cymbal"), test_fraction=0.3)
    prepare(config, ["synthetic:drums?count=60"], tmp_path / "data")
    path = tmp_path / "small.py"
    path.write_text(
        "from drumgan_jax.configs import drum_classifier\n"
        "def get_config():\n"
        "    config = drum_classifier.get_config('tiny')\n"
        "    config.train.update(batch_size=8, total_images=16)\n"
        "    config.checkpoint.every = config.evaluation.every = 2\n"
        "    config.network = {'kind': 'short_chunk', 'channels': 2, 'blocks': (1,)}\n"
        "    return config\n"
    )
    run = tmp_path / "classes"
    said = drumgan("label", f"--data_dir={tmp_path / 'data'}", f"--train={path}", f"--workdir={run}")
    assert "Labelled by classes@" in said
    dataset = open_dataset(tmp_path / "data")
    rows = dataset.soft_labels("train")
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, atol=1e-5)
    assert rows.shape == (dataset.num_examples("train"), 3)


def test_wrong_calls_are_one_sentence(data: Path, run: Path, tmp_path: Path) -> None:
    place = f"--data_dir={data}"
    assert "give a classifier's .npz" in drumgan("label", place, f"--classifier={tmp_path}", status=2)
    assert "give one of task 'classifier'" in drumgan("label", place, f"--classifier={run}", status=2)
    both = ("--classifier=drums", "--train=drum_classifier:tiny", f"--workdir={tmp_path}")
    wrong = "give --classifier=CLASSIFIER, or --train=CONFIG with --workdir=RUN"
    for flags in ((), both, both[1:2], (both[0], both[2])):
        assert wrong in drumgan("label", place, *flags, status=2)
    assert "is no classifier's config" in drumgan("label", place, "--train=splice_loops:tiny", both[2], status=2)
    assert "--data_dir must have a value" in drumgan("label", "--classifier=drums", status=2)
