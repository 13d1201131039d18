"""Running the jobs of a sweep, some at a time, within a budget."""

import contextlib
import dataclasses
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.signals import TO_STOP, handled
from drumgan_jax.launch.job import AGAIN
from drumgan_jax.launch.local import PARENT
from drumgan_jax.launch.sweeps.ledger import COMPLETE, FAILED, RUNNING, STOPPED, Ledger
from drumgan_jax.launch.sweeps.trials import Trial

# Seconds between looks at the jobs, and between notes of how long they have run.
_LOOK, _NOTE = 0.1, 30.0
# Seconds for the last lines of a job that has ended.
_LAST_WORDS = 5.0
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Budget:
    """What a sweep may take, over all calls; infinite where it is not limited.

    Attributes:
        jobs: that are started.
        hours: of all jobs together.
        cost: of all jobs together.
        price: of an hour of a job, which is that of all its chips.
    """

    jobs: float = math.inf
    hours: float = math.inf
    cost: float = math.inf
    price: float = 0.0

    def __post_init__(self) -> None:
        if any(math.isnan(limit) for limit in (self.jobs, self.hours, self.cost, self.price)):
            raise BadInput("a budget is not a number; give numbers of 0 or more.")
        if self.cost < math.inf and self.price <= 0.0:
            raise BadInput("--max_cost needs the price of a chip for an hour, and its chips; give --price and --chips.")

    def spent(self, hours: float) -> str:
        """Why jobs that have run so long are stopped; empty if they are not."""
        if hours >= self.hours:
            return f"the budget of {self.hours:g} hours is spent"
        if hours * self.price >= self.cost:
            return f"the budget of {self.cost:g} is spent ({hours:.3g} hours at {self.price:g})"
        return ""

    def full(self, starts: int) -> str:
        """Why no job is started after so many; empty if one is."""
        return f"the budget of {self.jobs:g} jobs is spent" if starts >= self.jobs else ""


@dataclasses.dataclass
class _Running:
    trial: Trial
    process: "subprocess.Popen[str]"
    reader: threading.Thread
    last: list[str]
    noted: float


def run_all(
    trials: Sequence[Trial],
    images: int,
    ledger: Ledger,
    commands: Mapping[str, Sequence[str]],
    at_once: int,
    budget: Budget,
    say: Say,
) -> str:
    """Run the trials that are not complete, up to so many images each.

    Args:
        trials: in the order in which they are started.
        images: up to which the runs go; 0 for their own ends, or what is no training.
        ledger: told of every start and end.
        commands: by the trial's name; each runs it to its end, and saves when it gets SIGTERM.
        at_once: how many run at a time.
        budget: what all jobs of the ledger may take.
        say: told of starts, and of what jobs print.

    Returns:
        Empty if every trial has ended, well or not; else why not all have.
    """
    waiting = [trial for trial in trials if not ledger.is_complete(trial, images)]
    number = {trial.name: place for place, trial in enumerate(trials, 1)}
    for trial in trials:
        if trial not in waiting:
            say(f"[{number[trial.name]}/{len(trials)}] {trial.name}: already complete")
    running: list[_Running] = []
    # Why no job is started any more, and why those that run are to end.
    full, why = "", ""
    with _signals() as signals, _none_left(running):
        while running or (waiting and not full and not why):
            if not why and (why := _reason(signals, budget, ledger, running)) and running:
                say(f"{why}; {len(running)} running job(s) are told to save")
                _tell(running, signal.SIGTERM)
            if len(signals) > 1:
                # Those on this machine end at once when they are told again.
                _tell(running, signal.SIGTERM)
                del signals[1:]
            while not why and not full and waiting and len(running) < at_once:
                trial = waiting[0]
                if not ledger.is_begun(trial, images) and (full := budget.full(ledger.starts)):
                    break
                waiting.pop(0)
                say(f"[{number[trial.name]}/{len(trials)}] {trial.name}")
                ledger.note(trial, images, RUNNING, 0.0)
                running.append(
                    _start(trial, commands[trial.name], say if at_once == 1 else _with_name(trial.name, say))
                )
            running[:] = [one for one in running if not _ended(one, images, ledger, say)]
            time.sleep(_LOOK)
    return why or (full if waiting else "")


def _reason(signals: list[int], budget: Budget, ledger: Ledger, running: Sequence[_Running]) -> str:
    now = time.monotonic()
    since = sum(now - one.noted for one in running) / 3600.0
    return STOPPED if signals else budget.spent(ledger.hours + since)


def _start(trial: Trial, command: Sequence[str], say: Say) -> _Running:
    process = subprocess.Popen(
        command,
        env={**os.environ, PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        bufsize=1,
        # In its own session, so that Ctrl-C reaches it only through this process.
        start_new_session=True,
    )
    last = [""]

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                say(line.rstrip("\n"))
                last[0] = line.strip() or last[0]

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return _Running(trial, process, reader, last, time.monotonic())


def _ended(one: _Running, images: int, ledger: Ledger, say: Say) -> bool:
    """Whether a job has ended; notes that, or how long it has run."""
    status, now = one.process.poll(), time.monotonic()
    if status is None and now - one.noted < _NOTE:
        return False
    hours, one.noted = (now - one.noted) / 3600.0, now
    if status is None:
        ledger.note(one.trial, images, RUNNING, hours)
        return False
    # A process that the job has left behind may hold its output.
    one.reader.join(_LAST_WORDS)
    stopped = (AGAIN, -signal.SIGTERM, -signal.SIGINT)
    how = COMPLETE if status == 0 else STOPPED if status in stopped else FAILED
    told = one.last[0]
    if how == COMPLETE and not (ledger.folder / one.trial.result).is_file():
        how, told = FAILED, f"it ended well, and there is no {one.trial.result} in the sweep's folder"
    ledger.note(one.trial, images, how, hours, told)
    if how == FAILED:
        say(f"{one.trial.name} failed: {told}")
    return True


def _tell(running: Sequence[_Running], number: int) -> None:
    for one in running:
        with contextlib.suppress(ProcessLookupError):
            one.process.send_signal(number)


@contextlib.contextmanager
def _none_left(running: Sequence[_Running]) -> Iterator[None]:
    """End the jobs if this process cannot go on, such as when the disk with the ledger is full."""
    try:
        yield
    except BaseException:
        _tell(running, signal.SIGTERM)
        for one in running:
            one.process.wait()
        raise


def _with_name(name: str, say: Say) -> Say:
    return lambda line: say(f"{name}: {line}")


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Note SIGINT and SIGTERM instead of ending by them; yields those that came."""
    told: list[int] = []
    with handled(lambda number, _: told.append(number), *TO_STOP):
        yield told


def say_to_stderr(line: str) -> None:
    """Print a line of a job, or about one."""
    # One write a line, as threads do.
    sys.stderr.write(f"{line}{os.linesep}")
    sys.stderr.flush()
