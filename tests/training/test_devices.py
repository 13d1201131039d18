"""One device, eight, and two processes of two: the same training on the same data, and the same scores of it."""

import json
import os
import signal
import socket

import numpy as np
import pytest
from forked_cases import Forked, python
from training_cases import finish, timeless, wait_for_line, write_dataset

from drumgan_jax.core.write_lock import only_writer
from drumgan_jax.runs.config import complete_steps
from drumgan_jax.runs.digests import read_digests
from drumgan_jax.runs.metrics import read_metrics

TRAINING = """
import json
import jax, numpy as np
from jax.experimental import multihost_utils
import toy_gan
from training_cases import tiny_config
from drumgan_jax.training import loop
from drumgan_jax.core import mesh

mesh.MIN_SPLIT_SIZE = 64  # so that these small networks are split over fsdp as big ones are
build, seen = loop.build_task, []

def recording(config, devices):
    task = build(config, devices)
    step = task.step
    def recorded(state, batch, number):
        with jax.transfer_guard("allow"):
            rows = multihost_utils.process_allgather(batch["x"], tiled=True)
            seen.append(rows.astype(np.float64).sum((1, 2, 3)).tolist())
        return step(state, batch, number)
    object.__setattr__(task, "step", recorded)  # tasks are frozen
    return task

loop.build_task = recording
evaluation = {{"every": 2 if {toy} else 0, "num_samples": 16, "metrics": ("fid:log_mel",)}}
checkpoint = {{"every": 2, "keep": 1, "milestones": (24,)}}
sections = {{"train": {{"total_images": {images}}}, "mesh": {{"fsdp": {fsdp}}}, "checkpoint": checkpoint}}
config = tiny_config({data!r}, evaluation=evaluation, **sections)
if {toy}:
    config.task = {{"kind": "toy", "gain": 0.3}}
result = loop.train(config, {run!r})
assert jax.device_count() == {devices}
if jax.process_index() == 0:
    print(json.dumps({{"seen": seen, "step": result.step, "stopped": result.stopped}}))
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data")).parent


def training(data_dir, run_dir, steps, devices, fsdp=1, toy=False):
    return TRAINING.format(
        data=os.fspath(data_dir), run=os.fspath(run_dir), images=steps * 8, fsdp=fsdp, devices=devices, toy=toy
    )


def start(code, devices, **environment):
    return Forked(python, code, devices=devices, environment=environment)


def start_pair(code):
    """Two processes of two devices each."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    return [
        start(code, 2, JAX_COORDINATOR_ADDRESS=address, JAX_NUM_PROCESSES="2", JAX_PROCESS_ID=str(process))
        for process in range(2)
    ]


def result_of(process):
    return json.loads(finish(process).splitlines()[-1])


def assert_same_losses(one, other):
    """Equal but for the order of float32 sums: seen are differences of 1e-6, and 5e-5 relative to scores near zero."""
    for line, same in zip(timeless(read_metrics(one)), timeless(read_metrics(other)), strict=True):
        assert line.keys() == same.keys()
        for name in line:
            assert line[name] == pytest.approx(same[name], rel=1e-4, abs=1e-5), (line["step"], name)


def test_one_device_equals_eight_equals_two_processes(data_dir, tmp_path):
    """Of eight, each has a row of a batch; path lengths are of half of it, and the others' rows do not count."""
    steps = 4
    running = [
        start(training(data_dir, tmp_path / "1", steps, 1), 1),
        start(training(data_dir, tmp_path / "8", steps, 8, fsdp=2), 8),
        *start_pair(training(data_dir, tmp_path / "2x2", steps, 4)),
    ]
    one, eight, two, _ = [result_of(process) if i < 3 else finish(process) for i, process in enumerate(running)]
    assert one["seen"] == eight["seen"] == two["seen"]
    assert np.shape(one["seen"]) == (steps, 8)
    assert_same_losses(tmp_path / "1", tmp_path / "8")
    assert_same_losses(tmp_path / "1", tmp_path / "2x2")


def test_resume_on_other_devices_continues_the_order(data_dir, tmp_path):
    whole = result_of(start(training(data_dir, tmp_path / "whole", 6, 4, toy=True), 4))
    first = result_of(start(training(data_dir, tmp_path / "run", 2, 1, toy=True), 1))
    pair = start_pair(training(data_dir, tmp_path / "run", 4, 4, toy=True))
    second, _ = result_of(pair[0]), finish(pair[1])
    third = result_of(start(training(data_dir, tmp_path / "run", 6, 4, toy=True), 4))
    assert first["seen"] + second["seen"] + third["seen"] == whole["seen"]
    assert_same_losses(tmp_path / "run", tmp_path / "whole")
    # 24 images are seen in the part of two processes; the evaluations' best may be any.
    assert {3, 6} <= set(complete_steps(tmp_path / "run" / "checkpoints"))


def test_damage_is_agreed_on_by_all_processes(data_dir, tmp_path):
    """What one of two processes finds in its share of the files sends both to the checkpoint before."""
    whole = result_of(start(training(data_dir, tmp_path / "run", 4, 4, toy=True), 4))
    folder = tmp_path / "run" / "checkpoints"
    before, damaged = complete_steps(folder)[-2:]
    assert damaged == 4
    names = list(read_digests(folder / "4").files)
    (odd,) = [name for name in names[1::2] if name.startswith("train/") and "/d/" in name][-1:]
    content = bytearray((folder / "4" / odd).read_bytes())
    content[-1] ^= 1
    (folder / "4" / odd).write_bytes(content)
    pair = start_pair(training(data_dir, tmp_path / "run", 5, 4, toy=True))
    said = [process.communicate(timeout=120) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], said
    seen = json.loads(said[0][0].splitlines()[-1])["seen"]
    assert seen[: 4 - before] == whole["seen"][before:]
    assert len(seen) == 5 - before
    sentence = f"/4 cannot be used (its file {odd} is not what was saved) and is now unreadable-4; the run goes on from"
    assert [err.count(f"{sentence} step {before}.") for _, err in said] == [1, 0]


def test_sigterm_to_one_process_stops_both_at_one_step(data_dir, tmp_path):
    pair = start_pair(training(data_dir, tmp_path, 1_000_000, 4, toy=True))
    wait_for_line(pair[0], tmp_path / "metrics.jsonl", 4)
    pair[1].send_signal(signal.SIGTERM)
    result, _ = result_of(pair[0]), finish(pair[1])
    assert result["stopped"] == "preempted"
    assert complete_steps(tmp_path / "checkpoints")[-1] == result["step"]


def test_a_run_that_is_written_is_refused_by_all_processes(data_dir, tmp_path):
    with only_writer(tmp_path / "run", "drumgan fit", ""):
        pair = start_pair(training(data_dir, tmp_path / "run", 2, 4, toy=True))
        said = [process.communicate(timeout=120)[1] for process in pair]
    for process, text in zip(pair, said, strict=True):
        assert process.returncode == 1
        assert (
            text.count(f"BadInput: {tmp_path / 'run'} is being written by `drumgan fit` (process {os.getpid()} on") == 1
        )
