"""Sweeps over measures: checkpoints of runs x truncations, each measured by all metrics."""

import dataclasses
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.places import name_of, place
from drumgan_jax.launch.sweeps.trials import Trial, digest_of
from drumgan_jax.runs.config import CHECKPOINTS, complete_steps, find_step, read_config

RESULTS = "results"
ALL = "all"


@dataclasses.dataclass(frozen=True)
class Measures:
    """What is measured of each run.

    Attributes:
        steps: checkpoints, as `runs.config.find_step` takes them, or "all".
        truncations: of the latents; 1 for the full variety.
        metrics: as `drumgan evaluate` takes them, all in one job.
        data: the data set; empty for that of each run.
        more: arguments of `drumgan evaluate`.
    """

    steps: Sequence[str]
    truncations: Sequence[float]
    metrics: Sequence[str]
    data: str = ""
    more: Sequence[str] = ()


def trials_of_measures(runs: Sequence[str], measures: Measures, folder: Path) -> tuple[list[Trial], list[str]]:
    """The trials of a sweep over measures, and sentences on those that are left out as copies.

    Args:
        runs: run directories.
        measures: of each.
        folder: of the sweep.

    Raises:
        BadInput: a run, or one of its checkpoints, does not exist.
    """
    trials: dict[str, Trial] = {}
    notes = []
    names = [name_of(place(run)) for run in runs]
    for name, run in zip(names, runs, strict=True):
        called = name if names.count(name) == 1 else f"{name}-{digest_of(run)[:4]}"
        config = read_config(run)
        for step, truncation in itertools.product(_steps(run, measures.steps), measures.truncations):
            full = f"{called}_step{step}_truncation{truncation}"
            result = f"{RESULTS}/{full}.json"
            trial = Trial(
                name=full,
                digest=digest_of(
                    config, os.fspath(run), step, truncation, measures.metrics, measures.data, measures.more
                ),
                varied={"run": called, "step": step, "truncation": truncation},
                arguments=_arguments(run, step, truncation, measures, folder / result),
                result=result,
            )
            if trial.digest in trials:
                notes.append(f"{full} is the same as {trials[trial.digest].name}, and is left out.")
            trials.setdefault(trial.digest, trial)
    return list(trials.values()), notes


def _arguments(run: str, step: int, truncation: float, measures: Measures, out: Path) -> tuple[str, ...]:
    return (
        "--verb=evaluate",
        f"--workdir={run}",
        *([f"--data={measures.data}"] if measures.data else []),
        "--",
        f"--step={step}",
        f"--truncation={truncation}",
        f"--metrics={','.join(measures.metrics)}",
        "--sounds=0",
        f"--out={out}",
        *measures.more,
    )


def _steps(run: str, wanted: Sequence[str]) -> list[int]:
    """Numbers of the checkpoints, each once."""
    kept = complete_steps(place(run) / CHECKPOINTS)
    if not kept:
        raise BadInput(f"{run} has no checkpoint; give runs that were trained.")
    found: list[int] = []
    for step in wanted:
        numbers = kept if step == ALL else [find_step(run, step) or max(kept)]
        if lost := [number for number in numbers if number not in kept]:
            raise BadInput(f"{run} has no checkpoint of step {lost[0]}; it has {', '.join(map(str, kept))}.")
        found += [number for number in numbers if number not in found]
    return found
