"""The loop classifier's config: every section of every variant becomes its part, and procedural bars train it."""

import math
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from drumgan_jax.audio.representations import build_representation, differences
from drumgan_jax.commands.pack import pack
from drumgan_jax.configs import loop_classifier, pjloopgan
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.core.settings import read_section
from drumgan_jax.data.patterns import GENRES
from drumgan_jax.data_pipelines.conditioning import build_preparation
from drumgan_jax.data_pipelines.prepare import prepare
from drumgan_jax.data_pipelines.slicing import Bar, build_slicing
from drumgan_jax.runs.settings import CheckpointSettings, EvaluationSettings, LoggingSettings
from drumgan_jax.systems.classifier import load_classifier
from drumgan_jax.systems.feature_networks import PUBLISHED
from drumgan_jax.training.loop import train
from drumgan_jax.training.tasks import build_task

# The variant, the bands that its network sees, and the bounds of its parameters in thousands.
VARIANTS = {"full": ((64, 200, 1), 2500, 2700), "small": ((64, 200, 1), 150, 180), "tiny": ((32, 100, 1), 30, 40)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_section_becomes_its_part(variant: str) -> None:
    config = loop_classifier.get_config(variant)
    shape, least, most = VARIANTS[variant]
    values: dict[str, Any] = {**config.to_dict(), "labels": list(GENRES)}
    task: Any = build_task(values, make_mesh())
    front_end = task.classifier.front_end
    assert front_end.shape == shape
    assert least < sum(leaf.size for leaf in jax.tree.leaves(task.shapes.ema["params"])) / 1000 < most
    assert build_slicing(config.slicing) == Bar(tempo=120.0)
    build_preparation(config.preparation)
    for section in (LoggingSettings, CheckpointSettings, EvaluationSettings):
        read_section(values, section.__name__.removesuffix("Settings").lower(), section)
    # It hears what the generator of the same variant writes, from one data set.
    written = pjloopgan.get_config(variant).representation.to_dict()
    assert config.representation.to_dict().items() <= written.items()
    assert not differences(front_end.representation, build_representation(config.representation))


def test_the_tagger_fits_the_row_of_the_paper_that_takes_it() -> None:
    config = loop_classifier.get_config("tags")
    values: dict[str, Any] = {**config.to_dict(), "labels": [f"tag {number}" for number in range(50)]}
    task: Any = build_task(values, make_mesh())
    assert task.classifier.front_end.shape == (64, 200, 1)
    assert task.keys == ("waveforms", "tags")
    preparation = build_preparation(config.preparation)
    assert (preparation.tags, preparation.split_by) == (50, "manifest")
    network = task.classifier.network
    published = PUBLISHED["short_chunk_tags"].network
    assert (network.channels, network.blocks, network.num_labels) == (128, published.blocks, published.num_labels)
    assert config.representation.num_mels == pjloopgan.get_config("full").representation.num_mels


def test_unknown_variants_are_told() -> None:
    with pytest.raises(ValueError, match="there is no variant 'huge'"):
        loop_classifier.get_config("huge")


# TFDS asks protobuf for a field's label when it reads what it wrote.
@pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")
def test_procedural_bars_become_a_packed_classifier_of_genres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clu", None)  # importing TensorFlow takes seconds
    config = loop_classifier.get_config("tiny")
    config.network.update(channels=2, blocks=(1,))
    config.train.update(batch_size=8, total_images=16)
    config.evaluation.every = config.checkpoint.every = 2
    data = prepare(config, ["synthetic:bars?count=35&bpm=120"], tmp_path / "data", workers=1)
    assert set(data.counts.labels) == set(GENRES)
    assert sum(data.counts.examples.values()) == 35
    config.data.dir = str(data.directory.parent)
    history = train(config, tmp_path / "run").history
    assert all(math.isfinite(value) for line in history for value in line.values())
    pack(tmp_path / "run", tmp_path / "loops.npz", "last")
    file = load_classifier(tmp_path / "loops.npz")
    assert file.classifier.label_names == tuple(sorted(GENRES))
    logits, _ = file.classifier.predict(file.variables, np.zeros((1, 32_000), np.float32))
    assert logits.shape == (1, len(GENRES))
