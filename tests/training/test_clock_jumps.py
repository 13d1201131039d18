"""A clock that jumps by an hour, there and back: a run, its lock and its figures do not depend on what time it is."""

import ast
import fcntl
import itertools
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from forked_cases import Forked, no_locks, toy_training, training_through_jumps
from training_cases import finish, timeless, write_dataset

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.write_lock import CLAIM_NAME, LOCK_NAME
from drumgan_jax.runs.checkpoint_items import load_ema
from drumgan_jax.runs.metrics import read_metrics
from drumgan_jax.training.run import only_training

HOUR, STEPS = 3600.0, 24
JUMPS = {8: HOUR, 16: -HOUR}


@pytest.mark.parametrize(
    ("locks", "name"), [(True, LOCK_NAME), pytest.param(False, CLAIM_NAME, marks=pytest.mark.slow)]
)
def test_a_run_goes_on_through_jumps_and_stays_the_only_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locks: bool, name: str
) -> None:
    if not locks:
        monkeypatch.setattr(fcntl, "flock", no_locks)
    data, run, whole = write_dataset(tmp_path / "data").parent, tmp_path / "run", tmp_path / "whole"
    compiled = tmp_path / "compiled"
    finish(Forked(toy_training, os.fspath(data), os.fspath(whole), 8 * STEPS, devices=4, compiled=compiled))
    arguments = os.fspath(data), os.fspath(run), 8 * STEPS, JUMPS, locks
    process = Forked(training_through_jumps, *arguments, devices=4, compiled=compiled)
    for step in JUMPS:
        wait_for(tmp_path / f"run-{step}", process)
        assert (run / name).exists()
        with pytest.raises(BadInput, match="is being written by `drumgan train`"), only_training(run):
            pass
        (tmp_path / f"run-{step}").unlink()
    finish(process)
    with only_training(run):
        found, wanted = read_metrics(run), read_metrics(whole)
    assert timeless(found) == timeless(wanted)
    assert len(found) == STEPS
    (one, at), (other, _) = load_ema(run), load_ema(whole)
    assert at == STEPS
    np.testing.assert_array_equal(one["params"]["a"], other["params"]["a"])
    measured = [value for line in found for key, value in line.items() if key.startswith(("speed/", "time/"))]
    assert len(measured) > STEPS
    assert all(math.isfinite(value) and value >= 0.0 for value in measured)
    for key in ("time/hours", "time/training_hours"):
        hours = [line[key] for line in found]
        assert all(before <= after for before, after in itertools.pairwise(hours))
        assert hours[-1] < 0.5


def wait_for(path: Path, process: Forked) -> None:
    """Return when a process has made a file; what it said if it ended before."""
    end = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[1][-4000:]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_nothing_is_measured_by_the_clock_on_the_wall(repository: Path) -> None:
    """Neither speeds nor heartbeats nor limits: `time.time` and the times of files jump with the clock."""
    named = {
        source.relative_to(repository).as_posix()
        for room in ("drumgan_jax", "data_pipelines", "launch")
        for source in (repository / room).rglob("*.py")
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Attribute)
        if node.attr == "st_mtime" or ast.unparse(node) in ("time.time", "time.time_ns", "datetime.now")
    }
    # Which of several traces is the newest.
    assert named == {"drumgan_jax/training/profiling.py"}
