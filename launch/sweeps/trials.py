"""The trials of a sweep: jobs with names, told apart by a digest of what they compute."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ml_collections import ConfigDict

from drumgan_jax.commands.config_files import GRID, find_module, load
from drumgan_jax.commands.config_flag import unknown_key, wrong_value
from drumgan_jax.core.errors import BadInput, about, first_line, shown
from drumgan_jax.launch.checks import checked_training
from drumgan_jax.launch.sweeps import space
from drumgan_jax.runs.config import CONFIG_NAME
from drumgan_jax.runs.identity import flat

# How a run is fed, and where it says what it does, change nothing of what it learns.
_APART = ("data", "logging", "mesh", "checkpoint")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One job of a sweep.

    Attributes:
        name: of its run directory, or of its results, in the sweep's folder.
        digest: of what it computes, in hex; two trials of one digest are one.
        varied: what is varied, by key.
        arguments: of `drumgan launch`, besides name, workdir and backend.
        result: a file in the sweep's folder that is there once it has ended.
        images: real examples after which the run ends; 0 for a measurement.
        batch: examples a step.
        figure: by which its best checkpoint is kept.
    """

    name: str
    digest: str
    varied: Mapping[str, Any]
    arguments: tuple[str, ...]
    result: str
    images: int = 0
    batch: int = 1
    figure: str = ""

    def up_to(self, images: int) -> "Trial":
        """The trial with its run ended after so many real examples; 0 for its own end."""
        if images in (0, self.images):
            return self
        return dataclasses.replace(self, arguments=(*self.arguments, f"--config.train.total_images={images}"))


@dataclasses.dataclass(frozen=True)
class Grid:
    """The name or path of a config, and overrides by the name of the run."""

    config: str
    runs: Mapping[str, Mapping[str, Any]]


def read_grid(text: str) -> Grid:
    """Read a grid by its name or path.

    Raises:
        BadInput: the file cannot be run, or lacks CONFIG or RUNS.
    """
    module = find_module(text, GRID)
    try:
        grid = Grid(str(module.CONFIG), {str(name): dict(run) for name, run in dict(module.RUNS).items()})
    # A grid file is a program and may define these as anything.
    except Exception as problem:
        raise BadInput(
            f"{text} is not a grid ({type(problem).__name__}: {first_line(problem)}); see configs/electrogan_grid.py."
        ) from problem
    bad = [name for name in grid.runs if not name or PurePath(name).name != name]
    if bad or not grid.runs:
        raise BadInput(f"{text} names its runs badly ({shown(bad)}); give RUNS names that can be folders.")
    return grid


def drawn(config: str, axes: Sequence[space.Axis], draw: str, count: int, seed: int) -> Grid:
    """The grid of a sweep over axes; see `space.points`. Runs of one name are numbered."""
    runs: dict[str, Mapping[str, Any]] = {}
    for overrides in space.points(axes, draw, count, seed):
        name = first = space.name_of(overrides)
        copies = itertools.count(2)
        while name in runs:
            name = f"{first}_run{next(copies)}"
        runs[name] = overrides
    return Grid(config, runs)


def trials_of(grid: Grid, data: str, common: Sequence[str] = (), chips: str = "") -> tuple[list[Trial], list[str]]:
    """The trials of a grid, and sentences on those that are left out as copies.

    Args:
        grid: the runs.
        data: the data set.
        common: overrides for all runs, as KEY=VALUE.
        chips: that each run gets, if they are known.

    Raises:
        BadInput: a key does not exist, or a value is unfit; before any run is started.
    """
    trials: dict[str, Trial] = {}
    notes = []
    fixed = dict(map(_common, common))
    varied = {key for overrides in grid.runs.values() for key in overrides}
    if both := sorted(varied & fixed.keys()):
        raise BadInput(f"{both[0]} is varied, and also the same for all runs; leave one out.")
    if apart := sorted(key for key in varied if key.split(".")[0] in _APART):
        raise BadInput(f"{apart[0]} changes nothing of what a run learns, and is not varied; give it with --set.")
    for name, overrides in grid.runs.items():
        config = load(grid.config)
        told = {**overrides, **fixed}
        for key, value in told.items():
            _override(config, key, value, grid.config)
        with about(f"the run {name}"):
            full = checked_training(config, chips)
        trial = Trial(
            name=name,
            digest=_digest({key: full[key] for key in full if key not in _APART}, data),
            varied=overrides,
            arguments=(
                f"--config={grid.config}",
                *(f"--config.{key}={value}" for key, value in told.items()),
                f"--data={data}",
            ),
            result=f"{name}/{CONFIG_NAME}",
            images=full["train"]["total_images"],
            batch=full["train"]["batch_size"],
            figure=full.get("evaluation", {}).get("metric", ""),
        )
        if trial.digest in trials:
            notes.append(f"{name} is the same run as {trials[trial.digest].name}, and is left out.")
        trials.setdefault(trial.digest, trial)
    return list(trials.values()), notes


def digest_of(*parts: Any) -> str:
    """SHA-256 of values as canonical JSON, in hex."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _digest(config: Mapping[str, Any], data: str) -> str:
    return digest_of(flat(config), data)


def _common(text: str) -> tuple[str, Any]:
    key, found, value = text.removeprefix("config.").partition("=")
    if not found:
        raise BadInput(f"--set={shown(text)} has no value; write --set=train.total_images=100000.")
    return key, space.value_of(value)


def _override(config: ConfigDict, key: str, value: Any, name: str) -> None:
    """Set one value of a config, as its flag would."""
    if unknown := unknown_key(config, key):
        raise BadInput(f"{name}: {unknown} Nothing was started.")
    try:
        config.update_from_flattened_dict({key: value})
    except (TypeError, ValueError, AttributeError) as problem:
        raise BadInput(f"{name}: {wrong_value(config, key, value)} Nothing was started.") from problem
