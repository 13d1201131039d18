"""`drumgan train` in four processes, of which one is killed, stopped, slow, without disk, or an hour off: a table.

`pytest -m slow -s tests/training/test_four_hosts.py` prints it.
"""

import dataclasses
import os
import re
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from several_hosts import start, write_config
from training_cases import timeless, wait_for_line, write_dataset

from drumgan_jax.evaluation.report import table
from drumgan_jax.runs.digests import CHECKPOINTS, complete_steps
from drumgan_jax.runs.metrics import METRICS_NAME, read_metrics
from drumgan_jax.training.heartbeats import FOLDER, read_heartbeats

HOSTS, STEPS, TIMEOUT = 4, 150, 10.0
FAULT_AT = 20


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a fault did.

    Attributes:
        tries: how often the command was given on all hosts until the run was complete.
        reached: the last step before the fault.
        saved: the step from which the run went on.
        ended: seconds from the fault to the end of all processes; 0 if they went on.
        recovered: seconds from the fault to the first step beyond `reached`, starts included.
        told: the last line of all hosts.
    """

    tries: int
    reached: int
    saved: int
    ended: float
    recovered: float
    told: str


def steps_of(run: Path) -> int:
    return int(read_metrics(run)[-1]["step"])


def workers(run: Path) -> list[int]:
    """Their process ids, in order."""
    attempt = max((run / FOLDER).iterdir(), key=lambda folder: folder.stat().st_mtime)
    return [one.pid for _, one in sorted(read_heartbeats(attempt, HOSTS).items())]


def through(
    config: Path,
    run: Path,
    happen: Callable[[], None],
    mend: Callable[[], None],
    of_one: Mapping[int, Mapping[str, str]] | None = None,
) -> Outcome:
    """Give the command again, as a launcher does, until the run is complete; a fault happens in the first try."""
    tries, ended, told, saved = 0, 0.0, "", 0
    recovered: list[float] = []
    while tries < 4:
        tries += 1
        processes = start(config, run, TIMEOUT, count=HOSTS, of_one=of_one)
        if tries == 1:
            wait_for_line(processes[0], run / METRICS_NAME, FAULT_AT, 1200)
            began = time.monotonic()
            happen()
            reached = steps_of(run)
            watch = threading.Thread(target=_wait_beyond, args=(run, reached, began, recovered), daemon=True)
            watch.start()
        for process in processes:
            process.wait(1200)
        said = [process.communicate()[1].strip().splitlines() for process in processes]
        statuses = {process.returncode for process in processes}
        if statuses == {0}:
            watch.join(10)
            return Outcome(tries, reached, saved, ended, recovered[0], told)
        ended = ended or time.monotonic() - began
        (told,) = {lines[-1] for lines in said}
        assert statuses == {75} or statuses == {2}, (statuses, said)
        saved = max(complete_steps(run / CHECKPOINTS), default=0)
        mend()
    raise AssertionError(f"not complete after {tries} tries: {told}")


def _wait_beyond(run: Path, reached: int, began: float, recovered: list[float]) -> None:
    while not recovered:
        try:
            if steps_of(run) > reached:
                recovered.append(time.monotonic() - began)
        except (IndexError, ValueError):
            pass
        time.sleep(0.05)


def kill(run: Path) -> None:
    os.kill(workers(run)[1], signal.SIGKILL)


def stop(run: Path) -> None:
    os.kill(workers(run)[1], signal.SIGSTOP)


def slow(run: Path) -> None:
    """Half of the time it stands still, for two thirds of a minute."""
    worker = workers(run)[1]

    def halt() -> None:
        for _ in range(40):
            for number in (signal.SIGSTOP, signal.SIGCONT):
                try:
                    os.kill(worker, number)
                except ProcessLookupError:
                    return
                time.sleep(0.5)

    threading.Thread(target=halt, daemon=True).start()


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> None:
    with open(folder / "filler", "wb") as file:
        try:
            while True:
                file.write(bytes(2**14))
                file.flush()
        except OSError:
            return


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_four_hosts_of_which_one_has_a_fault(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    config = write_config(tmp_path, data.parent, batch=8)
    whole = tmp_path / "whole"
    processes = start(config, whole, 30.0, count=HOSTS)
    said = [process.communicate(timeout=1200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * HOSTS, said
    library, clock = tmp_path / "shifted_clock.so", tmp_path / "clock"
    source = Path(__file__).parent.parent / "shifted_clock.c"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    clock.write_bytes(struct.pack("q", 3600))
    an_hour_off = {1: {"LD_PRELOAD": os.fspath(library), "CLOCK_SHIFT": os.fspath(clock)}}
    disk = tmp_path / "disk"

    def nothing() -> None:
        pass

    outcomes: dict[str, Outcome] = {}
    with small_disk(disk):
        runs = {name: tmp_path / name for name in ("killed", "stopped", "slow", "an hour off")}
        runs["full disk"] = disk / "run"
        filler = disk / "filler"
        for name, happen, mend, of_one in (
            ("killed", lambda: kill(runs["killed"]), nothing, None),
            ("stopped", lambda: stop(runs["stopped"]), nothing, None),
            ("slow", lambda: slow(runs["slow"]), nothing, None),
            ("full disk", lambda: fill(disk), lambda: filler.unlink(missing_ok=True), None),
            ("an hour off", nothing, nothing, an_hour_off),
        ):
            outcomes[name] = through(config, runs[name], happen, mend, of_one)
            found, wanted = timeless(read_metrics(runs[name])), timeless(read_metrics(whole))
            assert found == wanted, name
            assert len(found) == STEPS
            assert not (runs[name] / FOLDER).exists()
    print("\n" + as_table(outcomes))
    # Nothing was lost but what came after the last save.
    for name in ("killed", "stopped", "full disk"):
        assert outcomes[name].tries == 2, name
        assert outcomes[name].reached - outcomes[name].saved <= 2 * 4 + 1, name
    for name in ("slow", "an hour off"):
        assert outcomes[name].tries == 1, name
    assert re.search("too full|disk is full|No space", outcomes["full disk"].told), outcomes["full disk"].told


def as_table(outcomes: Mapping[str, Outcome]) -> str:
    rows = [
        [
            name,
            str(one.tries),
            str(one.reached - one.saved) if one.tries > 1 else "0",
            f"{one.ended:.1f}" if one.tries > 1 else "-",
            f"{one.recovered:.1f}",
        ]
        for name, one in outcomes.items()
    ]
    return table(["fault of one host", "tries", "steps lost", "all ended, s", "beyond it again, s"], rows)
