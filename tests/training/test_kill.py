"""Kill -9 at random moments of training and saving: nothing is lost but the steps since the last checkpoint."""

import json
import os
import random
import time

import numpy as np
import pytest
from forked_cases import Forked, toy_training
from training_cases import finish, timeless, write_dataset

from drumgan_jax.runs.checkpoint_items import load_ema
from drumgan_jax.runs.config import complete_steps
from drumgan_jax.runs.metrics import METRICS_NAME, read_metrics

# A killed process comes at most this many steps beyond the last: several kills fit into a run.
FURTHEST = 10


def steps_so_far(run_dir):
    path = run_dir / METRICS_NAME
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start(data_dir, run_dir, steps):
    """A toy run; what a process compiled is kept beside the runs, for a kill may come while it is written."""
    arguments = os.fspath(data_dir), os.fspath(run_dir), 8 * steps
    return Forked(toy_training, *arguments, devices=4, compiled=run_dir.parent / "compiled")


def kill_once(data_dir, run_dir, steps, rng):
    """Start, let it come some steps further, kill; whether it was killed before it ended."""
    goal = steps_so_far(run_dir) + rng.randrange(FURTHEST)
    process = start(data_dir, run_dir, steps)
    deadline = time.monotonic() + 120
    while process.poll() is None and steps_so_far(run_dir) < goal and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.05))  # somewhere within a step, a log line or a save
    process.kill()
    process.communicate()
    return process.returncode != 0


def run_with_kills(data_dir, run_dir, steps, kills, seed):
    """A run killed up to `kills` times, then let to its end; how often it was killed."""
    rng = random.Random(seed)
    for killed in range(kills + 1):
        if killed == kills or not kill_once(data_dir, run_dir, steps, rng):
            break
        folder = run_dir / "checkpoints"
        if complete_steps(folder):
            load_ema(run_dir)  # whatever is complete can be read
        if (run_dir / "config.json").exists():
            json.loads((run_dir / "config.json").read_text())
    finish(start(data_dir, run_dir, steps))
    return killed


@pytest.mark.parametrize(
    ("steps", "kills", "seed"), [(60, 6, 0), *(pytest.param(400, 40, n, marks=pytest.mark.slow) for n in range(1, 4))]
)
def test_killed_runs_equal_an_uninterrupted_one(tmp_path, steps, kills, seed):
    data_dir = write_dataset(tmp_path / "data").parent
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert run_with_kills(data_dir, whole, steps, 0, seed) == 0
    assert run_with_kills(data_dir, killed, steps, kills, seed) >= kills // 2
    assert timeless(read_metrics(killed)) == timeless(read_metrics(whole))
    assert len(read_metrics(killed)) == steps
    assert complete_steps(killed / "checkpoints")[0] == complete_steps(whole / "checkpoints")[0] == 17
    one, other = load_ema(killed), load_ema(whole)
    assert one[1] == other[1] == steps
    np.testing.assert_array_equal(one[0]["params"]["a"], other[0]["params"]["a"])
