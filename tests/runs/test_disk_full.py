"""A disk that is full at any place of a save or of `prepare`: a sentence, and nothing is lost."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from verbs import State

from drumgan_jax.commands.check_data import check_data
from drumgan_jax.commands.findings import SOUND
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.prepare import prepare
from drumgan_jax.runs import checkpoints as module
from drumgan_jax.runs.checkpoints import Checkpoints
from drumgan_jax.runs.config import complete_steps

SIZE, PAGE = 4 * 2**20, 4096
# Arrays of some pages, so that a save has many places to stop at.
FLOATS = 6_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB; skips where this process may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def state_of(step: int) -> State:
    return State({"params": {"a": jax.numpy.arange(FLOATS, dtype=np.float32) + step}})


def shape_of(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def leave(folder: Path, pages: int) -> None:
    """Fill a file system but for so many pages."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    status = os.statvfs(folder)
    filler.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - pages * PAGE)))


def saved(run: Path, step: int) -> str:
    """What a save says that fails; empty if it does not."""
    checkpoints = Checkpoints(run, keep=2, metric="fid/log_mel")
    try:
        checkpoints.save(step, state_of(step))
        checkpoints.close()
    except BadInput as problem:
        return str(problem)
    return ""


@pytest.mark.slow
def test_a_disk_that_fills_at_any_page_of_a_save(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise nothing is begun that has no room.
    monkeypatch.setattr(Checkpoints, "_check_room", lambda *_: None)
    run = small_disk / "run"
    assert saved(run, 2) == ""
    failed = 0
    for pages in range(200):
        leave(small_disk, pages)
        told = saved(run, 4)
        (small_disk / "filler").unlink()
        if not told:
            break
        failed += 1
        assert "is too full for a checkpoint" in told, pages
        assert "the last good one is step 2; make room and run the same command again." in told, pages
        assert complete_steps(run / "checkpoints") == [2], pages
        again = Checkpoints(run, keep=2, metric="fid/log_mel")
        target = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state_of(0)
        )
        state, step = again.restore(target)
        again.close()
        assert step == 2, pages
        np.testing.assert_array_equal(state.ema["params"]["a"], state_of(2).ema["params"]["a"])
    assert failed > 10
    assert complete_steps(run / "checkpoints") == [2, 4]
    assert not [path for path in (run / "checkpoints").iterdir() if module._BEING_WRITTEN in path.name]


@pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")
def test_a_disk_that_fills_at_any_page_of_prepare(small_disk: Path) -> None:
    representation = {"kind": "waveform", "sample_rate": 8000, "num_samples": 2000}
    config = {
        "name": "small",
        "representation": representation,
        "slicing": {"kind": "one_shot"},
        "preparation": {"test_fraction": 0.0},
    }
    folder, failed = small_disk / "data", 0
    for pages in range(200):
        leave(small_disk, pages)
        try:
            prepare(config, ["synthetic:drums?count=6"], folder)
        except BadInput as problem:
            told = str(problem)
            assert re.search(r"the data set cannot be written \(.*free some space", told), f"{pages}: {told}"
            assert not [path for path in folder.rglob("*") if path.is_file()], pages
            shutil.rmtree(folder, ignore_errors=True)
            failed += 1
        else:
            break
    assert failed > 10
    assert {finding.state for finding in check_data(folder / "small" / "1.0.0")[1]} == {SOUND}
