"""The loader's bandwidth, of a small data set."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from training_cases import write_dataset

from drumgan_jax.core.errors import BadInput
from drumgan_jax.planning import loader


def test_the_loader_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = write_dataset(tmp_path)
    clock = iter(range(1000))
    monkeypatch.setattr(loader, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    # A second a batch by this clock, so two batches: of 24 examples of 8 bins, 16 frames and a channel, and a class.
    assert loader.bandwidth(str(directory), ("x", "labels")) == 24 * 4 * (8 * 16 + 3)


def test_a_data_set_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        loader.bandwidth(str(tmp_path / "nowhere"), ("x",))
