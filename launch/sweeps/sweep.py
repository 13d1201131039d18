"""A sweep from its trials to its table."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.core.errors import brief
from drumgan_jax.core.write_lock import only_writer
from drumgan_jax.launch.sweeps import results
from drumgan_jax.launch.sweeps.halving import survivors
from drumgan_jax.launch.sweeps.ledger import FAILED, STOPPED, Ledger
from drumgan_jax.launch.sweeps.running import Budget, Say, run_all
from drumgan_jax.launch.sweeps.trials import Trial


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What is to be done.

    Attributes:
        folder: where runs and results are, and the table.
        trials: its jobs.
        of: what it is of; see `Ledger.open`.
        notes: sentences that stand below its table.
        figure: by which trials are ranked; empty for the first that there is.
        rungs: images up to which trials go before the best go on; 0 for their own ends.
        factor: one of so many goes on.
    """

    folder: Path
    trials: Sequence[Trial]
    of: Mapping[str, Any]
    notes: Sequence[str]
    figure: str
    rungs: Sequence[int] = (0,)
    factor: int = 1


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a sweep ended.

    Attributes:
        text: the table, and where more is.
        was_stopped: whether it, or a job of it, was told to stop; the same command goes on.
        failed: names of the trials that failed.
    """

    text: str
    was_stopped: bool
    failed: Sequence[str]


def run(sweep: Sweep, command: Callable[[Trial, int], Sequence[str]], at_once: int, budget: Budget, say: Say) -> Ending:
    """Run the jobs of a sweep that are not complete, and write its table.

    Args:
        sweep: what is to be done.
        command: that runs a trial up to so many images, and saves when it gets SIGTERM.
        at_once: jobs that run at a time.
        budget: of the whole sweep.
        say: told of starts, and of what jobs print.

    Raises:
        BadInput: the folder is another sweep's, or another process writes it.
    """
    with only_writer(sweep.folder, "drumgan sweep", "give another --workdir"):
        ledger = Ledger.open(sweep.folder, sweep.of)
        left, notes, why = list(sweep.trials), list(sweep.notes), ""
        for number, images in enumerate(sweep.rungs, 1):
            if images:
                say(f"rung {number} of {len(sweep.rungs)}: {len(left)} run(s) up to {images / 1000:.4g} kimg")
            told = {trial.name: command(trial.up_to(images), images) for trial in left}
            why = run_all(left, images, ledger, told, at_once, budget, say)
            if why:
                more = "" if why == STOPPED else " with more"
                notes.append(f"{why}; not all jobs have ended. The same command{more} goes on.")
                break
            if number < len(sweep.rungs):
                left = survivors(left, sweep.folder, sweep.figure, images, sweep.factor)
                if not left:
                    notes.append(f"no run has {sweep.figure}, so that none goes on.")
                    break
        how = {trial.name: ledger.status_of(trial) for trial in sweep.trials}
        failed = [name for name, (status, _) in how.items() if status == FAILED]
        notes += [f"{name} failed: {brief(how[name][1])}" for name in failed]
        text = _published(sweep, ledger, notes)
    # A budget that is spent is an end; a signal, or a job that was stopped from elsewhere, is none.
    stopped = why == STOPPED or (not why and any(status == STOPPED for status, _ in how.values()))
    return Ending(text, stopped, failed)


def _published(sweep: Sweep, ledger: Ledger, notes: Sequence[str]) -> str:
    rows, runs = results.rows_of(sweep.trials, ledger)
    figure = results.figure_of(rows, sweep.figure)
    if sweep.figure and figure and figure != sweep.figure:
        notes = [*notes, f"no trial has the figure {sweep.figure}; they are ranked by {figure}."]
    rows = results.ranked(rows, figure)
    text = results.text_of(rows, figure, sweep.folder, notes)
    results.save(rows, runs, figure, sweep.folder, text)
    curves = ", and curves.png and .csv," if any(run.curves for run in runs) else ""
    return f"{text}\nsweep.txt, .csv and .png{curves} are in {sweep.folder}."
