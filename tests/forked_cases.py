"""Processes forked from one that has imported everything, which start at once: Python code, and a toy training."""

import atexit
import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

sys.modules["clu"] = None  # type: ignore[assignment]  # importing TensorFlow takes seconds

import jax  # noqa: E402
from quick_compilation import quick_flags  # noqa: E402
from toy_gan import build_toy_task  # noqa: E402
from training_cases import tiny_config  # noqa: E402

from drumgan_jax.training import tasks  # noqa: E402
from drumgan_jax.training.loop import train  # noqa: E402


class Forked:
    """A process that runs a function of this module, with the methods of subprocess.Popen that tests use.

    It compiles quickly, which changes nothing that these tests ask, and keeps all it compiled for those after it.

    Args:
        run: the function; it must be importable.
        arguments: of it.
        devices: simulated ones.
        environment: of the process, besides this one's.
        compiled: the folder of what was compiled; JAX_COMPILATION_CACHE_DIR if not given.
    """

    def __init__(
        self,
        run: Callable[..., None],
        *arguments: Any,
        devices: int = 1,
        environment: dict[str, str] | None = None,
        compiled: Path | None = None,
    ):
        self._folder = Path(tempfile.mkdtemp())
        for name in ("1", "2"):
            # There too if it is killed before it has begun.
            (self._folder / name).touch()
        settings = {"XLA_FLAGS": quick_flags(devices), **(environment or {})}
        kept = os.fspath(compiled or os.environ["JAX_COMPILATION_CACHE_DIR"])
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["forked_cases"])
        self._process = context.Process(target=_inside, args=(self._folder, settings, kept, run, *arguments))
        # Else the fork server does not find this module, says nothing, and all is imported by each process anew.
        paths = [os.fspath(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(paths)):
            self._process.start()

    @property
    def returncode(self) -> int | None:
        """Its exit status, once it has ended."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill -9."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; what it has printed, and what it has said on stderr."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("", timeout or 0.0)
        said = [(self._folder / name).read_text(errors="replace") for name in ("1", "2")]
        shutil.rmtree(self._folder)
        return said[0], said[1]


def _inside(folder: Path, settings: dict[str, str], kept: str, run: Callable[..., None], *arguments: Any) -> None:
    os.environ.update(settings)
    for number in (1, 2):
        os.dup2(os.open(folder / str(number), os.O_WRONLY | os.O_CREAT), number)
    jax.config.update("jax_compilation_cache_dir", kept)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    try:
        run(*arguments)
    finally:
        # As at the end of a process that was not forked: of several, each takes leave of the others.
        atexit._run_exitfuncs()


def python(code: str) -> None:
    """Run Python code."""
    exec(textwrap.dedent(code), {"__name__": "__main__"})


def toy_training(data_dir: str, run_dir: str, images: int, at: Callable[[int, str], None] | None = None) -> None:
    """A toy run with a checkpoint every second step, and one to be kept at step 17."""
    assert tasks.TASKS["toy"] is build_toy_task
    config = tiny_config(data_dir, train={"total_images": images}, checkpoint={"every": 2, "milestones": (136,)})
    config.task = {"kind": "toy", "gain": 0.3}
    train(config, run_dir, at=at)


def no_locks(*_: Any) -> None:
    """As `flock` of a file system without locks."""
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def training_through_jumps(data_dir: str, run_dir: str, images: int, jumps: dict[int, float], locks: bool) -> None:
    """The same while the clock jumps to so many seconds from the right time before some steps.

    Before each of them, it waits until a file HERE-STEP beside the run, which it makes, is gone.
    """
    right, now, off = time.time, time.time_ns, 0.0

    def at(step: int, _: str) -> None:
        nonlocal off
        if step in jumps and off != jumps[step]:
            off = jumps[step]
            here = Path(f"{run_dir}-{step}")
            here.touch()
            while here.exists():
                time.sleep(0.01)

    # The process is this run's alone.
    time.time, time.time_ns = lambda: right() + off, lambda: now() + int(off * 1e9)
    fcntl.flock = fcntl.flock if locks else no_locks  # type: ignore[assignment]
    toy_training(data_dir, run_dir, images, at)
