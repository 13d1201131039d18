"""Jobs on this machine: as many processes as there are hosts, started again for as long as they ask for it."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from drumgan_jax.core.processes import VARIABLES
from drumgan_jax.core.signals import TO_STOP, handled
from drumgan_jax.launch.job import AGAIN, Job

# Set to the process id of a sweep, with which its jobs are to end.
PARENT = "DRUMGAN_SWEEP"
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Let this process get SIGTERM when the sweep that started it has ended, however that ended."""
    parent = os.environ.pop(PARENT, "")
    if parent and hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):
            # It had ended before.
            os.kill(os.getpid(), signal.SIGTERM)


def render(job: Job, port: int) -> list[tuple[list[str], dict[str, str]]]:
    """The command and the variables of each process; `port` is that of the first one."""
    command = [sys.executable, "-m", "drumgan_jax.cli", *job.command[1:]]
    places = [(f"127.0.0.1:{port}", str(job.hosts), str(process)) for process in range(job.hosts)]
    told = [dict(zip(VARIABLES, place, strict=True)) if job.hosts > 1 else {} for place in places]
    return [(command, {**job.variables, **one}) for one in told]


def run(job: Job, restarts: int, say: Callable[[str], None]) -> int:
    """Run a job to its end; SIGTERM and Ctrl-C reach its processes as SIGTERM, on which they save; again, they end.

    Args:
        job: the job.
        restarts: how often all are started again at most, while they end with status 75.
        say: told of each start.

    Returns:
        0 if all ended well; a status that is neither that nor 75, if there is one; else 75.
    """
    running: list[subprocess.Popen[bytes]] = []
    with _told_to_stop(running) as told:
        for attempt in range(restarts + 1):
            say(f"{job.name}: {job.hosts} process{'es' if job.hosts > 1 else ''}, attempt {attempt + 1}")
            running[:] = [_start(command, variables) for command, variables in render(job, _free_port())]
            if told:
                # Between two attempts there was none to be told.
                _stop(running)
            statuses = [process.wait() for process in running]
            if not any(statuses):
                return 0
            # One that a signal ended is a lost host, of which the others say that the run goes on.
            final = [one for one in statuses if one > 0 and one != AGAIN]
            if final:
                return final[0]
            if told:
                break
    return AGAIN


@contextmanager
def _told_to_stop(running: "list[subprocess.Popen[bytes]]") -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on to processes as SIGTERM; yields the signals that came."""
    told: list[int] = []

    def stop(number: int, _: object) -> None:
        told.append(number)
        for process in running:
            if len(told) > 1:
                process.kill()
        _stop(running)

    with handled(stop, *TO_STOP):
        yield told


def _stop(running: "list[subprocess.Popen[bytes]]") -> None:
    for process in running:
        process.terminate()


def _start(command: list[str], variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    # In a session of its own, so that Ctrl-C reaches it only from here.
    return subprocess.Popen(command, env={**os.environ, **variables}, start_new_session=True)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
