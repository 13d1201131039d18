"""drumgan compare RUN RUN ... [--figures=fid/drums,coverage/drums] [--plot=compare.png] [--csv=compare.csv]

Sets runs beside each other: one table with the best value of every figure and the thousands of images it was reached
at, and a plot of every figure against images seen and against hours of training. What `drumgan evaluate` measured of a
figure that training measures too, on other sounds, stands apart as "FIGURE (evaluate)".
"""

import csv
import dataclasses
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from absl import flags

from drumgan_jax.atomic import replacing
from drumgan_jax.errors import BadInput
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.evaluation.report import number, read_reports, table
from drumgan_jax.training.run import read_config
from drumgan_jax.training.writers import read_metrics

FIGURES = flags.DEFINE_list("figures", [], "the figures to show, such as fid/drums; all if not given.")
PLOT = flags.DEFINE_string("plot", "compare.png", "where the plot goes; empty for none.")
CSV = flags.DEFINE_string("csv", "", "where to write every point of every curve; empty for nowhere.")

# The command line hands over words that are no flags: the runs.
POSITIONAL = True
_PREFIX = "evaluation/"
# What must be the same for two points of one figure to be comparable.
_CONDITIONS = ("weights", "samples", "reference_samples", "split", "truncation")


@dataclasses.dataclass(frozen=True)
class Point:
    """One figure of one checkpoint."""

    step: int
    images: int
    hours: float
    value: float


@dataclasses.dataclass(frozen=True)
class Run:
    """What is compared of a run: its name, and by figure its curve and under which conditions it was measured."""

    name: str
    images: int
    hours: float
    curves: dict[str, list[Point]]
    conditions: dict[str, set[tuple[Any, ...]]]


def main(argv: Sequence[str]) -> None:
    """Compare; see the module's docstring."""
    runs = read_runs(argv[1:])
    figures = figures_of(runs, FIGURES.value)
    print(comparison(runs, figures))
    for note in notes_on(runs, figures):
        print(f"note: {note}")
    if PLOT.value:
        save_plot(PLOT.value, runs, figures)
        print(f"The plot is in {PLOT.value}.")
    if CSV.value:
        save_points(CSV.value, runs, figures)
        print(f"Every point is in {CSV.value}.")


def read_runs(folders: Sequence[str | Path]) -> list[Run]:
    """The runs of some run directories; the others among them are left out.

    Raises:
        BadInput: there is no run among them, or none was evaluated.
    """
    folders = [folder for folder in folders if (Path(folder) / "config.json").is_file()]
    if not folders:
        raise BadInput("no run directory was given; write drumgan compare RUN RUN ..., such as runs/*.")
    runs = [read_run(folder) for folder in folders]
    if not any(run.curves for run in runs):
        raise BadInput("none of these runs was evaluated; see drumgan evaluate, or config.evaluation.every.")
    return runs


def read_run(folder: str | Path) -> Run:
    """A run's curves, of the evaluations in training and of `drumgan evaluate`."""
    batch_size = read_config(folder)["train"]["batch_size"]
    lines = read_metrics(folder)
    clock = [(line["step"], line["time/hours"]) for line in lines if "time/hours" in line]
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
            conditions.setdefault(name, set()).add(tuple(figure.get(part) for part in _CONDITIONS))
    curves = {
        name: [Point(step, step * batch_size, _hours_at(clock, step), value) for step, value in sorted(by_step.items())]
        for name, by_step in sorted(values.items())
    }
    last = max((int(line["step"]) for line in lines), default=0)
    return Run(Path(folder).resolve().name, last * batch_size, _hours_at(clock, last), curves, conditions)


def figures_of(runs: Sequence[Run], wanted: Sequence[str]) -> list[str]:
    """The figures to show: those that were asked for, else all of all runs.

    Raises:
        BadInput: no run has one that was asked for.
    """
    known = sorted({name for run in runs for name in run.curves})
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BadInput(f"no run has the figure {unknown[0]!r}; there are {', '.join(known)}.")
    return list(wanted) or known


def comparison(runs: Sequence[Run], figures: Sequence[str]) -> str:
    """The table: a line a run, with the best of each figure and the thousands of images at which it was reached."""
    rows = [
        [run.name, f"{run.images / 1000:.4g}", f"{run.hours:.3g}", *(_best_cell(run, name) for name in figures)]
        for run in runs
    ]
    return table(["run", "kimg", "hours", *(f"{name} @ kimg" for name in figures)], rows)


def notes_on(runs: Sequence[Run], figures: Sequence[str]) -> list[str]:
    """A sentence on each figure whose points were not all measured alike, and so are not comparable."""
    notes = []
    for name in figures:
        conditions = set().union(*(run.conditions.get(name, set()) for run in runs))
        values = {part: {one[place] for one in conditions} for place, part in enumerate(_CONDITIONS)}
        told = [
            f"{part} {', '.join(sorted(map(str, of_part)))}" for part, of_part in values.items() if len(of_part) > 1
        ]
        if told:
            notes.append(f"the points of {name} are not comparable, for they differ in {'; '.join(told)}.")
    return notes


def best_point(run: Run, figure: str) -> Point | None:
    """The best finite value of a figure."""
    sign = -1.0 if is_higher_better(figure) else 1.0
    points = [point for point in run.curves.get(figure, ()) if math.isfinite(point.value)]
    return min(points, key=lambda point: sign * point.value, default=None)


def save_plot(path: str | Path, runs: Sequence[Run], figures: Sequence[str]) -> None:
    """A row for each figure: against thousands of images on the left, against hours on the right."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(12, 3.2 * len(figures)), layout="constrained")
    axes: Any = picture.subplots(len(figures), 2, squeeze=False)
    for (left, right), name in zip(axes, figures, strict=True):
        for run in runs:
            points = run.curves.get(name, [])
            values = [point.value for point in points]
            left.plot([point.images / 1000 for point in points], values, marker=".", label=run.name)
            right.plot([point.hours for point in points], values, marker=".")
        for axis, label in ((left, "thousands of images"), (right, "hours")):
            axis.set(xlabel=label, ylabel=f"{name} ({'higher' if is_higher_better(name) else 'lower'} is better)")
            axis.grid(alpha=0.3)
    axes[0][0].legend(fontsize="small")
    with _written(path) as temporary:
        picture.savefig(temporary, dpi=100)


def save_points(path: str | Path, runs: Sequence[Run], figures: Sequence[str]) -> None:
    """Every point as a line of comma-separated values."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["run", "figure", "step", "images", "hours", "value"])
    for run in runs:
        for name in figures:
            for point in run.curves.get(name, []):
                writer.writerow([run.name, name, point.step, point.images, f"{point.hours:.6g}", point.value])
    with _written(path) as temporary:
        temporary.write_text(text.getvalue())


@contextmanager
def _written(path: str | Path) -> Iterator[Path]:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            yield temporary
    # Matplotlib's ValueError is of an ending that it does not know.
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be written ({error}); give a path that can, such as compare.png.") from error


def _best_cell(run: Run, figure: str) -> str:
    best = best_point(run, figure)
    return "" if best is None else f"{number(best.value)} @ {best.images / 1000:.4g}"


def _hours_at(clock: Sequence[tuple[float, float]], step: int) -> float:
    """Hours of training at a step: those of the last line up to it."""
    return max((hours for at, hours in clock if at <= step), default=0.0)
