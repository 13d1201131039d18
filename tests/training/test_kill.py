"""Kill -9 at random moments of training and saving: nothing is lost but the steps since the last checkpoint."""

import json
import multiprocessing
import os
import random
import time

import numpy as np
import pytest
from kill_cases import toy_training
from training_cases import timeless, write_dataset

from drumgan_jax.training.checkpoints import complete_steps, load_ema
from drumgan_jax.training.writers import METRICS_NAME, read_metrics

STEPS = 60


@pytest.fixture(scope="module")
def start():
    """Starts `toy_training` in a process forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kill_cases"])

    def start(data_dir, run_dir):
        process = context.Process(target=toy_training, args=(os.fspath(data_dir), os.fspath(run_dir), STEPS * 8))
        process.start()
        return process

    return start


def steps_so_far(run_dir):
    path = run_dir / METRICS_NAME
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_once(start, data_dir, run_dir, rng):
    """Start, let it come some steps further, kill; whether it was killed before it ended."""
    process = start(data_dir, run_dir)
    goal = steps_so_far(run_dir) // 2 * 2 + rng.randrange(STEPS // 4)
    deadline = time.monotonic() + 120
    while process.is_alive() and steps_so_far(run_dir) < goal and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.1))  # somewhere within a step, a log line or a save
    process.kill()
    process.join()
    return process.exitcode != 0


def run_until_killed(start, data_dir, run_dir, kills, seed):
    rng = random.Random(seed)
    for _ in range(kills):
        if not kill_once(start, data_dir, run_dir, rng):
            break
        folder = run_dir / "checkpoints"
        if complete_steps(folder):
            load_ema(run_dir)  # whatever is complete can be read
        if (run_dir / "config.json").exists():
            json.loads((run_dir / "config.json").read_text())
    process = start(data_dir, run_dir)
    process.join(240)
    assert process.exitcode == 0


@pytest.fixture(scope="module")
def uninterrupted(start, tmp_path_factory):
    data_dir = write_dataset(tmp_path_factory.mktemp("data")).parent
    run_dir = tmp_path_factory.mktemp("whole")
    process = start(data_dir, run_dir)
    process.join(240)
    assert process.exitcode == 0
    return data_dir, run_dir


@pytest.mark.parametrize(
    ("kills", "seed"), [(6, 0), *(pytest.param(40, seed, marks=pytest.mark.slow) for seed in range(1, 4))]
)
def test_killed_runs_equal_an_uninterrupted_one(start, uninterrupted, tmp_path, kills, seed):
    data_dir, whole = uninterrupted
    run_until_killed(start, data_dir, tmp_path, kills, seed)
    assert timeless(read_metrics(tmp_path)) == timeless(read_metrics(whole))
    assert len(read_metrics(tmp_path)) == STEPS
    one, other = load_ema(tmp_path), load_ema(whole)
    assert one[1] == other[1] == STEPS
    np.testing.assert_array_equal(one[0]["params"]["a"], other[0]["params"]["a"])
