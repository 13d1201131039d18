"""Submitting what a backend has made of a job: tools and rights first, then files, then commands."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, brief
from drumgan_jax.launch.job import Rendered

_INSTALL = {
    "kubectl": "install it, and fetch the cluster's credentials",
    "sbatch": "log in to a host of the cluster",
}


def submit(rendered: Rendered, folder: Path, say: Callable[[str], None] = print) -> None:
    """Start a job.

    Args:
        rendered: what a backend made of it.
        folder: for its files; made if absent.
        say: told what the commands print.

    Raises:
        BadInput: a tool is missing, a check fails, the folder cannot be written, or a command fails.
    """
    for command in (*(one for one, _ in rendered.checks), *rendered.commands):
        if shutil.which(command[0]) is None:
            remedy = _INSTALL.get(command[0], "install it")
            raise BadInput(f"{command[0]} is not on this machine; {remedy}, or give --dry_run.")
    for check, meaning in rendered.checks:
        ended = _run(check)
        if ended.returncode:
            why = brief(ended.stderr.strip() or ended.stdout.strip() or f"status {ended.returncode}")
            raise BadInput(f"nothing was started: {meaning} ({why}).")
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
            why = brief(ended.stderr.strip() or f"status {ended.returncode}")
            done = f"; the {number - 1} commands before it succeeded" if number > 1 else ""
            raise BadInput(f"{command[0]} failed ({why}){done}.")
        say(ended.stdout.strip())


def _run(command: list[str] | tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
