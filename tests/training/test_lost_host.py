"""`drumgan train` in three processes of which one is killed, halted or meets an error: all end, and the run goes on."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from quick_compilation import quick_flags
from training_cases import timeless, tiny_config, wait_for_line, write_dataset

from drumgan_jax.runs.metrics import METRICS_NAME, read_metrics
from drumgan_jax.training.heartbeats import FOLDER, Heartbeat, read_heartbeats

COUNT, STEPS = 3, 150
# The toy is made known to the worker only: the parent imports no JAX.
CONFIG_FILE = """
import os, sys
sys.modules["clu"] = None
sys.path.insert(0, {tests!r})
if "DRUMGAN_SUPERVISED" in os.environ:
    import toy_gan
else:
    assert "jax" not in sys.modules
from ml_collections import ConfigDict
def get_config():
    return ConfigDict({config!r})
"""


def write_config(folder: Path, data: Path) -> Path:
    sections = {"train": {"batch_size": 6, "total_images": 6 * STEPS}, "checkpoint": {"every": 4, "keep": 2}}
    config = tiny_config(data, **sections)
    config.train.host_timeout = 30.0
    config.task = {"kind": "toy", "gain": 0.3}
    path = folder / "toy_config.py"
    path.write_text(CONFIG_FILE.format(tests=os.fspath(Path(__file__).parent.parent), config=config.to_dict()))
    return path


def start(config: Path, run: Path, timeout: float) -> list[subprocess.Popen[str]]:
    """The three commands, each as on a host of its own."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "drumgan_jax.cli", "train", f"--config={config}", f"--workdir={run}"]
    place = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(COUNT), "XLA_FLAGS": quick_flags(1)}
    return [
        subprocess.Popen(
            [*command, f"--config.train.host_timeout={timeout}"],
            env={**os.environ, **place, "JAX_PROCESS_ID": str(process)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(COUNT)
    ]


def heartbeats(run: Path) -> dict[int, Heartbeat]:
    attempt = max((run / FOLDER).iterdir(), key=lambda folder: folder.stat().st_mtime)
    return read_heartbeats(attempt, COUNT)


def broken(
    config: Path, run: Path, timeout: float, after: int, happen: Callable[[int], None]
) -> tuple[set[int | None], set[str], float]:
    """Statuses, last lines and seconds until all had ended, if this happens to worker 1 after so many lines."""
    processes = start(config, run, timeout)
    wait_for_line(processes[0], run / METRICS_NAME, after, 1200)
    workers = [one.pid for one in heartbeats(run).values()]
    began = time.monotonic()
    happen(workers[1])
    for process in processes:
        process.wait(1200)
    seconds = time.monotonic() - began
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    said = [process.communicate()[1] for process in processes]
    assert not any("Traceback" in text or "*** Check failure" in text for text in said), said
    return {one.returncode for one in processes}, {text.splitlines()[-1] for text in said}, seconds


def finish_all(config: Path, run: Path) -> None:
    processes = start(config, run, 30.0)
    said = [process.communicate(timeout=1200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * COUNT, said


@pytest.mark.slow
def test_a_run_whose_processes_are_lost_equals_one_that_was_not(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    config, run, whole = write_config(tmp_path, data.parent), tmp_path / "run", tmp_path / "whole"
    name = f"process 1 on {os.uname().nodename}"
    goes_on = r"; the run goes on from step \d+: give the same command again on all hosts\."

    def damage(worker: int) -> None:
        # Records of which one process or another will read the first.
        shard.write_bytes(bytes(size // 4) + content[size // 4 :])

    events = [
        (lambda worker: os.kill(worker, signal.SIGKILL), f"{name} was ended by SIGKILL{goes_on}", 75),
        (lambda worker: os.kill(worker, signal.SIGSTOP), f"{name} has given no sign of life for 7.33 s{goes_on}", 75),
        (damage, rf"process \d on {os.uname().nodename}: .*{re.escape('toy-train.tfrecord')}.*", 2),
    ]
    shard = next(data.glob("*.tfrecord-00000*"))
    content, size = shard.read_bytes(), shard.stat().st_size
    for number, (happen, told, status) in enumerate(events):
        statuses, lines, seconds = broken(config, run, 10.0, 5 + 15 * number, happen)
        print(f"{lines}: all had ended after {seconds:.1f} s")
        assert statuses == {status}
        (line,) = lines
        assert re.fullmatch(f"drumgan train: {told}", line), line
        shard.write_bytes(content)
    finish_all(config, run)
    finish_all(config, whole)
    assert timeless(read_metrics(run)) == timeless(read_metrics(whole))
    assert len(read_metrics(run)) == STEPS
    assert not (run / FOLDER).exists()
