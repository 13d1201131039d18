"""Figures of the classifier that also labelled the training data are marked, and only those."""

from pathlib import Path

import numpy as np
import pytest

from drumgan_jax.data.soft_labels import SoftLabels, write_soft_labels
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.play.labeller import labeller_notes

SOFT, HARD = {"task": {"kind": "gan", "soft_labels": True}}, {"task": {"kind": "gan"}}


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite.of(["fid:drums", "fid:log_mel", "is:drums"])


def labelled(folder: Path, classifier: str) -> Path:
    rows = {"train": np.full((3, 2), 0.5, np.float32)}
    write_soft_labels(folder, SoftLabels(("kick", "snare"), classifier, rows, {"train": "ab"}))
    return folder


def test_figures_of_the_labeller_are_marked(suite: Suite, tmp_path: Path) -> None:
    note = "fid/drums, is/drums: this embedder also labelled the training data; fid/musicnn judges independently."
    assert labeller_notes(SOFT, suite) == [note]
    assert labeller_notes(SOFT, suite, tmp_path) == [note]
    assert labeller_notes(SOFT, suite, labelled(tmp_path, "drums")) == [note]


def test_another_file_of_the_same_weights_is_the_labeller(suite: Suite, tmp_path: Path) -> None:
    drums = next(one for one in suite.embedders if one.name == "drums")
    (note,) = labeller_notes(SOFT, suite, labelled(tmp_path, f"mine@{drums.weights_hash[:8]}"))
    assert note.startswith("fid/drums, is/drums:")


def test_other_labellers_and_classes_of_the_recordings_are_not_marked(suite: Suite, tmp_path: Path) -> None:
    assert labeller_notes(SOFT, suite, labelled(tmp_path, "mine@00000000")) == []
    assert labeller_notes(HARD, suite, labelled(tmp_path, "drums")) == []
    assert labeller_notes(SOFT, Suite.of(["fid:log_mel"])) == []
