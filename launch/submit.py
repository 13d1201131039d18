"""Submitting what a backend has made of a job: tools and rights first, then files, then commands; and waiting."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, brief
from drumgan_jax.core.signals import handled
from drumgan_jax.launch.job import AGAIN, Rendered

_INSTALL = {
    "kubectl": "install it, and fetch the cluster's credentials",
    "sbatch": "log in to a host of the cluster",
}
# Seconds between questions, and how many may fail in a row: a scheduler that restarts is away for minutes.
_POLL, _TRIES = 10.0, 60


def submit(
    rendered: Rendered,
    folder: Path,
    say: Callable[[str], None] = print,
    attach: bool = False,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Start a job.

    Args:
        rendered: what a backend made of it.
        folder: for its files; made if absent.
        say: told what the commands print.
        attach: whether a job of this name that is queued or runs is taken for this one; else it is refused.
        check: called before anything is written, if no such job is there; raises BadInput.

    Raises:
        BadInput: a tool is missing, a check fails, the name is in use, the folder cannot be written, or a command
            fails.
    """
    for command in (*(one for one, _ in rendered.checks), *rendered.commands):
        if shutil.which(command[0]) is None:
            remedy = _INSTALL.get(command[0], "install it")
            raise BadInput(f"{command[0]} is not on this machine; {remedy}, or give --dry_run.")
    for asks, meaning in rendered.checks:
        ended = _run(asks)
        if ended.returncode:
            raise BadInput(f"nothing was started: {meaning} ({_said(ended)}).")
    asked = _run(rendered.state)
    if asked.returncode:
        raise BadInput(f"nothing was started: it cannot be asked for jobs named {rendered.name} ({_said(asked)}).")
    if (words := asked.stdout.split()) and _status(rendered, words) is None:
        if attach:
            say(f"{rendered.name} is queued or runs; it is waited for")
            return
        raise BadInput(
            f"nothing was started: a job named {rendered.name} is queued or runs; give another --name, or cancel it"
            f" ({' '.join(rendered.cancel)})."
        )
    check()
    if words:
        # What has ended may still hold the name.
        _run(rendered.cancel)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in rendered.files.items():
            with replacing(folder / name) as temporary:
                temporary.write_text(text)
    except OSError as error:
        raise BadInput(f"{folder} cannot be written ({error.strerror}); nothing was started.") from error
    for number, command in enumerate(rendered.commands, start=1):
        ended = _run([part.replace("{folder}", str(folder)) for part in command])
        if ended.returncode:
            done = f"; the {number - 1} commands before it succeeded" if number > 1 else ""
            raise BadInput(f"{command[0]} failed ({_said(ended)}){done}.")
        say(ended.stdout.strip())


def wait(rendered: Rendered, pause: Callable[[float], None] = time.sleep) -> int:
    """Wait until a job has ended.

    SIGTERM cancels the job; the status is 75 then. Of one that is gone without a word, as it was cancelled long ago,
    the status is 75 too.

    Raises:
        BadInput: the scheduler cannot be asked for ten minutes.
    """
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    failures = 0
    with handled(stop, signal.SIGTERM):
        while not stopped:
            asked = _run(rendered.state)
            failures = failures + 1 if asked.returncode else 0
            if failures >= _TRIES:
                raise BadInput(f"the scheduler cannot be asked how {rendered.name} is ({_said(asked)}); it may go on.")
            if not failures and (status := _status(rendered, asked.stdout.split())) is not None:
                return status
            pause(_POLL)
        _run(rendered.cancel)
        return AGAIN


def _status(rendered: Rendered, words: list[str]) -> int | None:
    """The exit status of a job by what is told of it; None if it has not ended."""
    if not words:
        return AGAIN
    return next((rendered.ended[word] for word in words if word in rendered.ended), None)


def _run(command: list[str] | tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _said(ended: "subprocess.CompletedProcess[str]") -> str:
    return brief(ended.stderr.strip() or ended.stdout.strip() or f"status {ended.returncode}")
