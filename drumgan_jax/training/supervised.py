"""The worker's side of supervision: it tells its parent that it lives, where its main thread is, and how it failed."""

import json
import os
import re
import select
import socket
import sys
import textwrap
import threading
import traceback
from typing import Any

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.places import NotReached
from drumgan_jax.training.heartbeats import BEATS, JOINING, Kind, shortened

# Tells a process that it is a worker: the descriptors of its socket and of its parent's stderr, and the timeout.
VARIABLE = "DRUMGAN_SUPERVISED"
# How errors begin, of JAX's or of others' types, by which a process learns that another has ended; of the status codes
# those that may say so. Memory that is short is RESOURCE_EXHAUSTED, what is damaged DATA_LOSS.
_OF_ANOTHER = re.compile(r"(CANCELLED|UNKNOWN|DEADLINE_EXCEEDED|FAILED_PRECONDITION|ABORTED|INTERNAL|UNAVAILABLE): ")


class Pulse:
    """Tells the parent at intervals, from a thread, what it needs to know; ends the process if the parent has gone.

    Args:
        channel: a socket to the parent.
        timeout: seconds after which a parent that says nothing is taken for dead.
    """

    def __init__(self, channel: socket.socket, timeout: float):
        self._channel, self._interval = channel, timeout / BEATS
        self._where = (0, 0, JOINING)
        self._run: dict[str, Any] = {}
        self._writing = threading.Lock()
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()

    def joined(self, process: int, count: int, attempt: str) -> None:
        """Tell of which run this is a process; see `distributed.attempt`."""
        self._run = {"process": process, "count": count, "attempt": attempt}

    def at(self, step: int, place: str) -> None:
        """Note where the main thread is from now on: all processes call this equally often."""
        self._where = (self._where[0] + 1, step, place)

    def failed(self, error: Exception) -> int:
        """Tell the parent of an error, which it says on all hosts; the exit status that goes with it."""
        kind, sentence, status = explained(error)
        trace = "".join(traceback.format_exception(error)) if kind == Kind.UNCLEAR else ""
        if status == 1:
            traceback.print_exception(error)
        sys.stdout.flush()
        self._tell({"failed": {"kind": kind, "sentence": shortened(sentence), "status": status, "trace": trace}})
        return status

    def _tell(self, message: dict[str, Any]) -> None:
        passed, step, place = self._where
        line = {**self._run, "passed": passed, "step": step, "place": place, **message}
        try:
            with self._writing:
                self._channel.sendall(f"{json.dumps(line)}\n".encode())
        except OSError:
            _leave()

    def _beat(self) -> None:
        unanswered = 0
        while unanswered <= BEATS:
            self._tell({})
            if not select.select([self._channel], [], [], self._interval)[0]:
                unanswered += 1
                continue
            unanswered = 0
            try:
                if not self._channel.recv(4096):
                    break
            except OSError:
                break
        _leave()


def pulse_of_worker() -> Pulse | None:
    """The pulse of this process if it was started by a supervising parent, else None."""
    told = os.environ.pop(VARIABLE, None)
    if told is None:
        return None
    descriptor, stderr, timeout = told.split(":")
    for one in (descriptor, stderr):
        os.set_inheritable(int(one), False)
    # Descriptor 2, which C++ libraries write to, is a pipe that the parent reads.
    sys.stderr = open(int(stderr), "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    return Pulse(socket.socket(fileno=int(descriptor)), float(timeout))


def explained(error: Exception) -> tuple[Kind, str, int]:
    """How an error is told: whether it is of this process's own, in a sentence, and with which exit status."""
    line = (str(error).strip().splitlines() or [""])[0]
    named = textwrap.shorten(f"{type(error).__name__}: {line}", 400, placeholder=" ...")
    cause: BaseException | None = error
    while cause is not None:
        if _OF_ANOTHER.match(str(cause)):
            return Kind.UNCLEAR, f"ended with {named}", os.EX_TEMPFAIL
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, BadInput):
        return Kind.TOLD, str(error), 2
    if isinstance(error, NotReached):
        return Kind.TOLD, f"a bucket does not answer ({error.strerror}).", os.EX_TEMPFAIL
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename} cannot be read or written" if error.filename else "a file cannot be read or written"
        return Kind.TOLD, f"{name} ({error.strerror}); mend that, and run the same command again.", 2
    return Kind.TOLD, f"ended with {named}; its output has the traceback.", 1


def _leave() -> None:
    # The others are told by the heartbeats that stand still; this process must not go on without its parent. Should it
    # live after all, it must not take this for a clean end.
    os._exit(os.EX_UNAVAILABLE)
