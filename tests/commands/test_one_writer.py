"""Verbs that write end with a sentence where another process writes."""

import os
from pathlib import Path

import pytest
from training_cases import write_dataset
from verbs import drumgan

from drumgan_jax.core.write_lock import LOCK_NAME, only_writer


def test_pack_leaves_a_run_alone_that_is_trained(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "toy.npz"
    with only_writer(run, "drumgan train", ""):
        said = drumgan("pack", f"--run={run}", f"--out={out}", "--step=last", status=2)
    assert said.startswith(f"{run} is being written by `drumgan train` (process {os.getpid()} on ")
    assert said.endswith("; wait for it, or pack a run that has ended.")
    assert not out.exists()
    drumgan("pack", f"--run={run}", f"--out={out}", "--step=last")
    assert out.exists()
    assert not (run / LOCK_NAME).exists()


def test_label_leaves_a_data_set_alone_that_is_prepared(tmp_path: Path) -> None:
    data = write_dataset(tmp_path)
    with only_writer(data.parent, "drumgan prepare", ""):
        said = drumgan("label", f"--data_dir={data}", "--classifier=drums", status=2)
    assert "is being written by `drumgan prepare`" in said
    assert not (data / "soft_labels.npz").exists()


def test_fit_leaves_a_run_alone_that_is_written(tmp_path: Path) -> None:
    data = write_dataset(tmp_path)
    command = ["--config=judge", f"--config.data.dir={data}", f"--workdir={tmp_path / 'judge'}"]
    with only_writer(tmp_path / "judge", "drumgan fit", ""):
        assert "is being written by `drumgan fit`" in drumgan("fit", *command, status=2)
        assert os.listdir(tmp_path / "judge") == [LOCK_NAME]


def test_a_read_only_run_is_packed_without_being_held(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = os.access
    # As the administrator, who may write everywhere, the tests cannot make one.
    monkeypatch.setattr(os, "access", lambda path, mode, **how: str(path) != str(run) and access(path, mode, **how))
    with only_writer(run, "drumgan train", ""):
        drumgan("pack", f"--run={run}", f"--out={tmp_path / 'toy.npz'}", "--step=last")
    assert (tmp_path / "toy.npz").exists()
