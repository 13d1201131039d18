"""Learning curves of runs: figures over images and over training time, with runs grouped over seeds."""

import dataclasses
import itertools
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.places import name_of, place
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.evaluation.report import read_reports
from drumgan_jax.runs.config import CHECKPOINTS, complete_steps, find_step, read_config
from drumgan_jax.runs.identity import FREE
from drumgan_jax.runs.metrics import read_metrics, training_clock

_PREFIX = "evaluation/"
# Points of one figure are comparable only if these are equal.
CONDITIONS = ("weights", "samples", "reference_samples", "split", "truncation")


@dataclasses.dataclass(frozen=True)
class Point:
    """One figure of one checkpoint."""

    step: int
    images: int
    hours: float
    value: float


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as it is compared.

    Attributes:
        name: name of its directory.
        images: number of images seen.
        hours: hours of training, without evaluations if the metrics record that.
        curves: points by figure.
        conditions: measurement conditions of the points, by figure.
        seed: seed of its config.
        identity: its config without the seed and the values that may change on resume (runs.identity.FREE), as text.
        whole: its config without the seed, as text.
        folder: its directory.
    """

    name: str
    images: int
    hours: float
    curves: dict[str, list[Point]]
    conditions: dict[str, set[tuple[Any, ...]]]
    seed: int | None
    identity: str
    whole: str
    folder: Path


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ only in their seeds; often a single run."""

    name: str
    runs: tuple[Run, ...]

    @property
    def label(self) -> str:
        """The name, with the number of seeds if there are several."""
        return self.name if len(self.runs) == 1 else f"{self.name} ({len(self.runs)} seeds)"


@dataclasses.dataclass(frozen=True)
class Moment:
    """A place on a curve: thousands of images seen ("kimg") or hours of training ("h")."""

    amount: float
    unit: str

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit}"

    def is_after(self, other: Point | Run) -> bool:
        """Whether this moment is after a point, or after the end of a run."""
        return self._of(other) < self.amount

    def last(self, points: Sequence[Point]) -> Point | None:
        """The last point up to this moment."""
        return max((p for p in points if self._of(p) <= self.amount), key=lambda point: point.step, default=None)

    def _of(self, other: Point | Run) -> float:
        return other.images / 1000 if self.unit == "kimg" else other.hours


@dataclasses.dataclass(frozen=True)
class SeedRange:
    """A figure over several runs: mean, lowest and highest value, and mean images and hours."""

    mean: float
    low: float
    high: float
    images: float
    hours: float


def read_runs(folders: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """Read the runs among some folders; folders that are not run directories are skipped.

    Raises:
        BadInput: there is no run among them, or none was evaluated.
    """
    folders = [folder for folder in folders if (place(folder) / "config.json").is_file()]
    if not folders:
        raise BadInput("no run directory was given; write drumgan compare RUN RUN ..., such as runs/*.")
    runs = [read_run(folder) for folder in folders]
    if not any(run.curves for run in runs):
        raise BadInput("none of these runs was evaluated; see drumgan evaluate, or config.evaluation.every.")
    return runs


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Read a run's curves from the evaluations during training and by `drumgan evaluate`."""
    config = read_config(folder)
    # What is fitted has seen no batches.
    batch_size = config.get("train", {}).get("batch_size", 0)
    lines = read_metrics(folder)
    clock = training_clock(lines)
    values: dict[str, dict[int, float]] = {}
    conditions: dict[str, set[tuple[Any, ...]]] = {}
    for line in lines:
        for name, value in line.items():
            if name.startswith(_PREFIX):
                values.setdefault(name.removeprefix(_PREFIX), {})[int(line["step"])] = value
    in_training = frozenset(values)
    for step, report in read_reports(folder).items():
        for name, figure in report.get("figures", {}).items():
            apart = "truncation" in figure and name in in_training
            name = f"{name} (evaluate)" if apart else name
            values.setdefault(name, {}).setdefault(step, figure["value"])
            conditions.setdefault(name, set()).add(tuple(figure.get(part) for part in CONDITIONS))
    curves = {
        name: [Point(step, step * batch_size, _hours_at(clock, step), value) for step, value in sorted(by_step.items())]
        for name, by_step in sorted(values.items())
    }
    last = max((int(line["step"]) for line in lines), default=0)
    return Run(
        name=name_of(place(folder)),
        images=last * batch_size,
        hours=_hours_at(clock, last),
        curves=curves,
        conditions=conditions,
        seed=config.get("seed"),
        identity=_without(config, "seed", *FREE),
        whole=_without(config, "seed"),
        folder=place(folder),
    )


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """Group runs of one config with different seeds, named by the common beginning of their names, in order.

    If a seed occurs twice, the values that may change on resume must be equal too. If it still occurs twice, the runs
    are repetitions, and all runs of that config stay separate.
    """
    groups = _alike(runs, ("identity", "whole"))
    names = [_common_name(group) for group in groups]
    return [
        Group(name if name and names.count(name) == 1 else "+".join(run.name for run in group), group)
        for name, group in zip(names, groups, strict=True)
    ]


def best_point(run: Run, figure: str) -> Point | None:
    """The best finite value of a figure."""
    sign = -1.0 if is_higher_better(figure) else 1.0
    points = [point for point in run.curves.get(figure, ()) if math.isfinite(point.value)]
    return min(points, key=lambda point: sign * point.value, default=None)


def point_at(run: Run, figure: str, moment: Moment) -> Point | None:
    """The last evaluation of a figure up to a moment; None if there is none or the run ended before the moment."""
    return None if moment.is_after(run) else moment.last(run.curves.get(figure, ()))


def point_of_step(run: Run, figure: str, step: str) -> Point | None:
    """The evaluation of a figure at a checkpoint, named as `runs.config.find_step` takes it; None if there is none.

    Raises:
        BadInput: the run has no such checkpoint.
    """
    found = find_step(run.folder, step)
    at = max(complete_steps(run.folder / CHECKPOINTS), default=None) if found is None else found
    return next((point for point in run.curves.get(figure, ()) if point.step == at), None)


def range_over_seeds(points: Sequence[Point]) -> SeedRange:
    """Summarise one point of each run."""
    values = [point.value for point in points]
    mean, low, high = float(np.mean(values)), float(np.min(values)), float(np.max(values))
    images, hours = (float(np.mean(column)) for column in zip(*((p.images, p.hours) for p in points), strict=True))
    return SeedRange(mean, low, high, images, hours)


def curve_of(group: Group, figure: str) -> list[SeedRange]:
    """A group's curve, at the steps at which all of its runs were evaluated."""
    curves = [{point.step: point for point in run.curves.get(figure, ())} for run in group.runs]
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    return [range_over_seeds([curve[step] for curve in curves]) for step in steps]


def _alike(runs: Sequence[Run], fields: Sequence[str]) -> list[tuple[Run, ...]]:
    """Split runs by their first field; if a seed occurs twice in a part, split that part by the next field."""
    if not fields:
        return [(run,) for run in runs]
    parts: dict[str, list[Run]] = {}
    for run in runs:
        parts.setdefault(getattr(run, fields[0]), []).append(run)
    groups: list[tuple[Run, ...]] = []
    for part in parts.values():
        distinct = len({run.seed for run in part}) == len(part)
        groups += [tuple(part)] if distinct else _alike(part, fields[1:])
    return groups


def _without(config: dict[str, Any], *free: str) -> str:
    """A config without the keys and sections of these names, as canonical text."""
    flat = flatten_dict(config, sep=".")
    kept = {
        key: value for key, value in flat.items() if not any(key == one or key.startswith(f"{one}.") for one in free)
    }
    return json.dumps(kept, sort_keys=True)


def _common_name(runs: Sequence[Run]) -> str:
    """The common beginning of the names, up to the end of the last common word."""
    names = [run.name for run in runs]
    if len(names) == 1:
        return names[0]
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    common = "".join(letters[0] for letters in same)
    return common[: max(common.rfind(sign) for sign in "-_. ")] if set(common) & set("-_. ") else common


def _hours_at(clock: Sequence[tuple[int, float]], step: int) -> float:
    """Hours of training at a step, from the last line up to it."""
    return max((hours for at, hours in clock if at <= step), default=0.0)
