"""A stand-in for a training worker, without JAX: three of them wait for each other at every step, through files.

    supervised_case.py RUN PROCESS EVENT

EVENT happens to process 1 at step 5, once all have beaten; "well" is none, "long" a run of a
minute, and "all" an error that all have.
"""

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path

from drumgan_jax.core.errors import BadInput
from drumgan_jax.training.heartbeats import BATCH, STEP
from drumgan_jax.training.supervised import Pulse, pulse_of_worker

COUNT, STEPS, LONG, AT = 3, 10, 600, 5
FULL = "the disk of RUN is too full for a checkpoint: make room and run the same command again."


def happen(event: str) -> None:
    """What comes over process 1 while it reads a batch."""
    match event:
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "hangs":
            time.sleep(3600)
        case "full":
            raise BadInput(FULL)
        case "unreadable":
            raise OSError(errno.EIO, os.strerror(errno.EIO), "data/shard-0")
        case "fault":
            raise ZeroDivisionError("of its own")
        case "parent killed":
            os.kill(os.getppid(), signal.SIGKILL)
        case "parent stopped":
            os.kill(os.getppid(), signal.SIGSTOP)


def train(run: Path, process: int, event: str, pulse: Pulse) -> int:
    """Steps that all processes do together; the exit status."""
    stop = []
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
    for step in range(1, (LONG if event in ("long", "parent stopped") else STEPS) + 1):
        pulse.at(step, BATCH)
        if event == "all":
            raise BadInput("config.x is invalid.")
        if step == AT and process == 1:
            happen(event)
        pulse.at(step, STEP)
        mine = run / f"at_{process}.json"
        partial = mine.with_suffix(".partial")
        partial.write_text(json.dumps([step, os.getpid(), bool(stop)]))
        partial.rename(mine)
        others = wait(run, step)
        if any(one[2] for one in others):
            return 75
        # Longer than an interval, so that the parents know each other before the event.
        time.sleep(0.1)
    return 0


def wait(run: Path, step: int) -> list[tuple[int, int, bool]]:
    """Wait until all have come to a step, as in a collective; raise as one does if the other end has gone."""
    while True:
        told = [json.loads(path.read_text()) for path in run.glob("at_*.json")]
        if len(told) == COUNT and min(one[0] for one in told) >= step:
            return told
        if not all(alive(pid) for _, pid, _ in told):
            raise ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process lives."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def main() -> None:
    """Train as a worker; see the module's docstring."""
    run, process, event = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    pulse = pulse_of_worker()
    assert pulse is not None
    pulse.joined(process, COUNT, "attempt")
    try:
        status = train(run, process, event, pulse)
    except Exception as error:
        status = pulse.failed(error)
    sys.exit(status)


if __name__ == "__main__":
    main()
