"""The loader's bandwidth, of a small data set."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from training_cases import REPRESENTATION, write_dataset

from drumgan_jax.configs import style_drumsynth
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.planning import loader
from drumgan_jax.planning.programs import completed


def test_the_loader_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = write_dataset(tmp_path)
    clock = iter(range(1000))
    monkeypatch.setattr(loader, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    # A second a batch by this clock, so two batches: of 24 examples of 8 bins, 16 frames and a channel, and a class.
    assert loader.bandwidth(str(directory), ("x", "labels")) == 24 * 4 * (8 * 16 + 3)


def test_a_plan_has_the_classes_of_its_data_set(tmp_path: Path) -> None:
    directory = write_dataset(tmp_path)
    config = style_drumsynth.get_config("tiny")
    config.representation = dict(REPRESENTATION)
    config.data.dir = str(directory)
    full = completed(config)
    assert full["labels"] == list(open_dataset(directory).label_names)
    assert full["representation"]["std"] == open_dataset(directory).representation.std


def test_a_data_set_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        loader.bandwidth(str(tmp_path / "nowhere"), ("x",))
