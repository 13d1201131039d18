"""A clock that jumps by an hour, there and back: a run, its lock and its figures do not depend on what time it is."""

import ast
import fcntl
import itertools
import math
import os
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from forked_cases import Forked, no_locks, toy_training, training_through_jumps
from several_hosts import COUNT, finish_all, start, write_config
from training_cases import finish, timeless, wait_for_line, write_dataset

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.write_lock import CLAIM_NAME, LOCK_NAME
from drumgan_jax.runs.checkpoint_items import load_ema
from drumgan_jax.runs.metrics import METRICS_NAME, read_metrics
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


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_several_processes_go_on_through_jumps(tmp_path: Path) -> None:
    """A clock that C++ reads too; before the run's start, JAX gives up, and the run goes on from its checkpoint."""
    library, clock = tmp_path / "shifted_clock.so", tmp_path / "clock"
    source = Path(__file__).parent.parent / "shifted_clock.c"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    data = write_dataset(tmp_path / "data")
    config, run, whole = write_config(tmp_path, data.parent), tmp_path / "run", tmp_path / "whole"
    set_clock(clock, 0)
    variables = {"LD_PRELOAD": os.fspath(library), "CLOCK_SHIFT": os.fspath(clock)}
    processes = start(config, run, 10.0, variables)
    for line, seconds in ((15, 3600), (40, 0), (65, 86400), (90, 3600), (115, -86400)):
        wait_for_line(processes[0], run / METRICS_NAME, line, 300)
        set_clock(clock, seconds)
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [os.EX_TEMPFAIL] * COUNT, said
    lines = {text.splitlines()[-1] for text in said}
    assert len(lines) == 1
    assert re.search(r"the run goes on from step 1\d\d: give the same command again on all hosts\.$", lines.pop())
    finish_all(config, run)
    finish_all(config, whole)
    assert timeless(read_metrics(run)) == timeless(read_metrics(whole))


def set_clock(clock: Path, seconds: int) -> None:
    """Write by how much the clock is off, in place: processes have the file mapped."""
    with open(clock, "r+b" if clock.exists() else "wb") as file:
        file.write(struct.pack("q", seconds))


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
    # Which of several traces is the newest; and goodput, since between the processes of a run no other clock goes on.
    assert named == {"drumgan_jax/training/profiling.py", "drumgan_jax/training/loop.py"}
