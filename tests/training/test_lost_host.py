"""`drumgan train` in three processes of which one is killed, halted or meets an error: all end, and the run goes on."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from several_hosts import COUNT, STEPS, finish_all, start, write_config
from training_cases import timeless, wait_for_line, write_dataset

from drumgan_jax.runs.metrics import METRICS_NAME, read_metrics
from drumgan_jax.training.heartbeats import FOLDER, Heartbeat, read_heartbeats


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
