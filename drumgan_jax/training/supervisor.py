"""The supervising parent of one of several training processes: it imports no JAX, and shares the fate of all others.

Each host's command starts the same command again as its worker, and reads the heartbeats of all (see `heartbeats`). If
one is lost or has failed, every parent ends its worker, prints the same sentence and exits with the same status.
"""

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from drumgan_jax.core import places
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.signals import TO_STOP, handled
from drumgan_jax.runs.digests import CHECKPOINTS, complete_steps
from drumgan_jax.training.heartbeats import (
    BEATS,
    FOLDER,
    LEAST_IN_BUCKET,
    Ending,
    Heartbeat,
    Kind,
    Watch,
    lost,
    read_heartbeats,
    write_heartbeat,
)
from drumgan_jax.training.supervised import VARIABLE

# Seconds for a killed process to be gone; one in a system call that does not return is left behind.
_GONE = 5.0


def supervise(command: Sequence[str], run_dir: Path, timeout: float) -> int:
    """Run a training command as a worker until it has ended, or one of the run's other processes has.

    Args:
        command: the worker's; it finds its socket by `pulse_of_worker`.
        run_dir: the run directory, which all hosts share.
        timeout: seconds within which all have ended after one is lost.

    Returns:
        The exit status: the worker's; EX_TEMPFAIL if a process was lost; that of an error if one has failed.

    Raises:
        BadInput: the heartbeats cannot be written.
    """
    timeout = max(timeout, LEAST_IN_BUCKET) if places.is_remote(run_dir) else timeout
    worker = _Worker(command, timeout)
    try:
        with _passed_on(worker):
            return _Run(worker, run_dir, timeout).until_the_end()
    finally:
        worker.kill()


class _Worker:
    """The child process, in a process group of its own, and a socket to it.

    The worker's C++ libraries write to a pipe in place of stderr; Python's stderr is the parent's. When another process
    of the run ends, these libraries print pages about it and then end the worker. So their output is held back for two
    calls of `messages`: if the worker still lives then, it is shown; if not, only where no sentence explains the end.
    """

    def __init__(self, command: Sequence[str], timeout: float):
        self._channel, theirs = socket.socketpair()
        self._said, says = os.pipe()
        stderr = os.dup(2)
        with theirs:
            told = {VARIABLE: f"{theirs.fileno()}:{stderr}:{timeout}"}
            passed = (theirs.fileno(), stderr)
            # A group of its own, so that Ctrl-C reaches it only through this process.
            self.process = subprocess.Popen(
                command, env={**os.environ, **told}, pass_fds=passed, stderr=says, process_group=0
            )
        os.close(says)
        os.close(stderr)
        self._channel.setblocking(False)
        os.set_blocking(self._said, False)
        self._received, self._open = b"", True
        self._fresh, self._held = b"", b""
        self.interrupts = 0

    def messages(self, seconds: float) -> list[dict[str, Any]]:
        """Tell the worker that its parent lives, and wait for what it tells."""
        if self.process.poll() is None:
            _show(self._held)
            self._held, self._fresh = self._fresh, b""
        with contextlib.suppress(OSError):
            self._channel.send(b".")
        end = time.monotonic() + seconds
        while self._open and (left := end - time.monotonic()) > 0:
            if select.select([self._channel.fileno(), self._said], [], [], left)[0]:
                self._receive()
                self._hear()
        if not self._open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(max(end - time.monotonic(), 0.0))
        *lines, self._received = self._received.split(b"\n")
        return [json.loads(line) for line in lines]

    def show(self) -> None:
        """Show what was kept back."""
        self._hear()
        _show(self._held + self._fresh)
        self._held, self._fresh = b"", b""

    def _receive(self) -> None:
        try:
            content = self._channel.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        self._received += content
        self._open = bool(content)

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while content := os.read(self._said, 65536):
                self._fresh += content

    def kill(self) -> None:
        """End it and what it has started, at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GONE)


def _show(said: bytes) -> None:
    if said:
        print(said.decode(errors="replace"), end="", file=sys.stderr, flush=True)


class _Run:
    """What one parent knows of the run."""

    def __init__(self, worker: _Worker, run_dir: Path, timeout: float):
        self._worker, self._run_dir, self._timeout = worker, run_dir, timeout
        self._interval = timeout / BEATS
        self._own = Heartbeat(0, socket.gethostname(), worker.process.pid)
        self._count = 1
        self._folder: Path | None = None
        self._watch: Watch | None = None
        self._trace = ""

    def until_the_end(self) -> int:
        """Watch until the worker has ended or must; the exit status."""
        while True:
            ended = self._worker.process.poll() is not None
            for number, message in enumerate(self._worker.messages(self._interval)):
                self._take(message, first=number == 0)
            if ended and self._own.ended is None:
                self._own = dataclasses.replace(self._own, ended=self._ending(self._worker.process.returncode))
            if self._watch is None or self._folder is None:
                if self._own.ended is not None:
                    return self._alone(self._own.ended)
                continue
            # A heartbeat that cannot be written now may be next time.
            with contextlib.suppress(BadInput):
                write_heartbeat(self._folder, self._own)
            seen = {**read_heartbeats(self._folder, self._count), self._own.process: self._own}
            if verdict := self._watch.observe(time.monotonic(), seen):
                return self._end_by(verdict, self._folder)
            if self._own.ended is not None and self._own.ended.kind == Kind.CLEAN:
                self._worker.show()
                self._leave(self._folder, whole=True)
                return self._own.ended.status

    def _take(self, message: dict[str, Any], first: bool) -> None:
        """Take what the worker tells; one beat a call, so that their number does not count."""
        where = {name: message[name] for name in ("passed", "step", "place")}
        self._own = dataclasses.replace(self._own, beat=self._own.beat + first, **where)
        if failed := message.get("failed"):
            self._trace = failed["trace"]
            ending = Ending(Kind(failed["kind"]), failed["sentence"], failed["status"])
            self._own = dataclasses.replace(self._own, ended=ending)
        if self._watch is None and message.get("count", 1) > 1:
            self._own, self._count = dataclasses.replace(self._own, process=message["process"]), message["count"]
            self._folder = self._run_dir / FOLDER / message["attempt"]
            self._watch = Watch(self._count, self._timeout)
            write_heartbeat(self._folder, self._own)

    def _ending(self, code: int) -> Ending:
        """How the worker ended, by what the system says of it."""
        if code in (0, os.EX_TEMPFAIL):
            return Ending(Kind.CLEAN, "", code)
        if code > 0:
            # JAX may end a worker so when another process has ended, but not before the others are known; such an end
            # would come again.
            status = os.EX_TEMPFAIL if self._watch is not None else code
            return Ending(Kind.UNCLEAR, f"ended with status {code}", status)
        number = signal.Signals(-code)
        # JAX aborts when it has lost the others.
        if number == signal.SIGABRT:
            return Ending(Kind.UNCLEAR, "aborted", os.EX_TEMPFAIL)
        who = self._own.name if self._watch is not None else f"the training on {self._own.host}"
        return lost(f"{who} was ended by {number.name}")

    def _alone(self, ending: Ending) -> int:
        """The end before the others are known, or without any."""
        self._worker.show()
        if ending.kind == Kind.UNCLEAR:
            print(self._trace, file=sys.stderr, end="")
            print(f"drumgan train: the training on {self._own.host} {ending.sentence}.", file=sys.stderr)
        elif ending.kind != Kind.CLEAN:
            print(f"drumgan train: {ending.sentence}", file=sys.stderr)
        return ending.status

    def _end_by(self, verdict: Ending, folder: Path) -> int:
        """End the worker, and say why."""
        self._worker.kill()
        before, self._own = self._own.ended, dataclasses.replace(self._own, ended=verdict)
        with contextlib.suppress(BadInput):
            write_heartbeat(folder, self._own)
        # By then the others have ended theirs, one of which may have completed a checkpoint until then.
        time.sleep(2 * self._interval)
        # What follows only from the end of another would hide the sentence that says so.
        if self._own.name in verdict.sentence or (before is not None and before.kind == Kind.TOLD):
            self._worker.show()
            print(self._trace, file=sys.stderr, end="")
        sentence = verdict.sentence
        if verdict.status == os.EX_TEMPFAIL:
            step = max(complete_steps(self._run_dir / CHECKPOINTS), default=0)
            sentence = f"{sentence}; the run goes on from step {step}: give the same command again on all hosts."
        print(f"drumgan train: {sentence}", file=sys.stderr, flush=True)
        self._leave(folder, whole=False)
        return verdict.status

    def _leave(self, folder: Path, whole: bool) -> None:
        """Let the first process remove the heartbeats if all have ended; what a lost host left stays till all end well.

        Args:
            folder: of this start.
            whole: whether to wait for the others to end, and remove those of earlier starts too.
        """
        if self._own.process != 0:
            return
        end = time.monotonic() + (self._timeout if whole else 0.0)
        while not self._have_all_ended(folder):
            if time.monotonic() > end:
                return
            time.sleep(self._interval)
        gone = folder.parent if whole else folder
        if places.is_remote(folder):
            with contextlib.suppress(OSError):
                places.drop(gone)
            return
        shutil.rmtree(gone, ignore_errors=True)
        for empty in (folder.parent, self._run_dir):
            with contextlib.suppress(OSError):
                empty.rmdir()

    def _have_all_ended(self, folder: Path) -> bool:
        found = read_heartbeats(folder, self._count)
        return len(found) == self._count and all(one.ended and one.ended.is_last for one in found.values())


@contextlib.contextmanager
def _passed_on(worker: _Worker) -> Iterator[None]:
    """Pass SIGTERM on to the worker; Ctrl-C too, as SIGTERM, and the second time end it."""

    def handle(number: int, frame: FrameType | None) -> None:
        worker.interrupts += number == signal.SIGINT
        if worker.interrupts > 1:
            worker.process.send_signal(signal.SIGKILL)
            return
        if worker.interrupts:
            print("drumgan train: saving and stopping; Ctrl-C again ends at once.", file=sys.stderr, flush=True)
        worker.process.send_signal(signal.SIGTERM)

    with handled(handle, *TO_STOP):
        yield
