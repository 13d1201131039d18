"""Tables and plots that compare runs."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.commands.curves import (
    CONDITIONS,
    Moment,
    Point,
    Run,
    best_point,
    curve_of,
    groups_of,
    point_at,
    point_of_step,
    range_over_seeds,
)
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, first_line, listed, shown
from drumgan_jax.core.places import make, place
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.evaluation.report import number, table


def figures_of(runs: Sequence[Run], wanted: Sequence[str]) -> list[str]:
    """The figures to show: `wanted`, or all figures of all runs if it is empty.

    Raises:
        BadInput: no run has one of the wanted figures.
    """
    known = sorted({name for run in runs for name in run.curves})
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BadInput(f"no run has the figure {shown(unknown[0])}; there are {listed(known)}.")
    return list(wanted) or known


def comparison(runs: Sequence[Run], figures: Sequence[str]) -> str:
    """A table with a line per group: the best of each figure and the thousands of images at which it was reached."""
    rows = []
    for group in groups_of(runs):
        seen, trained = (np.mean([getattr(run, name) for run in group.runs]) for name in ("images", "hours"))
        cells = [_cell([best_point(run, name) for run in group.runs]) for name in figures]
        rows.append([group.label, f"{seen / 1000:.4g}", f"{trained:.3g}", *cells])
    return table(["run", "kimg", "hours", *(f"{name} @ kimg" for name in figures)], rows)


def comparison_at(runs: Sequence[Run], figures: Sequence[str], moments: Sequence[Moment]) -> str:
    """A table of each figure at equal images and at equal time, with the thousands of images of the evaluations."""
    rows = [
        [f"{name}: {group.label}", *(_cell([point_at(run, name, at) for run in group.runs]) for at in moments)]
        for name in figures
        for group in groups_of(runs)
    ]
    return table(["figure: run", *(f"by {moment}" for moment in moments)], rows)


def comparison_of_steps(runs: Sequence[Run], figures: Sequence[str], steps: Sequence[str]) -> str:
    """A table of each figure at checkpoints (see `runs.config.find_step`), with the thousands of images of each.

    Raises:
        BadInput: a run has no such checkpoint.
    """
    rows = [
        [f"{name}: {group.label}", *(_cell([point_of_step(run, name, step) for run in group.runs]) for step in steps)]
        for name in figures
        for group in groups_of(runs)
    ]
    return table(["figure: run", *(f"of {step}" for step in steps)], rows)


def notes_on(runs: Sequence[Run], figures: Sequence[str]) -> list[str]:
    """A sentence for each figure whose points were measured under different conditions and are not comparable."""
    notes = []
    for name in figures:
        conditions = set().union(*(run.conditions.get(name, set()) for run in runs))
        values = {part: {one[place] for one in conditions} for place, part in enumerate(CONDITIONS)}
        differing = [
            f"{part} {', '.join(sorted(map(str, of_part)))}" for part, of_part in values.items() if len(of_part) > 1
        ]
        if differing:
            notes.append(f"the points of {name} are not comparable: they differ in {'; '.join(differing)}.")
    return notes


def notes_at(runs: Sequence[Run], figures: Sequence[str], moments: Sequence[Moment]) -> list[str]:
    """A sentence for each run that ended before a moment, or was not evaluated by then."""
    notes = []
    for moment in moments:
        for run in runs:
            if moment.is_after(run):
                notes.append(
                    f"{run.name} ended before {moment}, at {run.images / 1000:.4g} kimg and {run.hours:.3g} h."
                )
                continue
            missing = [name for name in figures if name in run.curves and point_at(run, name, moment) is None]
            if missing:
                notes.append(f"{run.name} had no evaluation by {moment} of {', '.join(missing)}.")
    return notes


def notes_of_steps(runs: Sequence[Run], figures: Sequence[str], steps: Sequence[str]) -> list[str]:
    """A sentence for each checkpoint of a run that was not measured."""
    return [
        f"{run.name} was not measured at {step}; run drumgan evaluate --run={run.folder} --step={step}."
        for step in steps
        for run in runs
        if not any(point_of_step(run, name, step) for name in figures)
    ]


def save_plot(path: str | Path, runs: Sequence[Run], figures: Sequence[str]) -> None:
    """Plot each figure in a row: against thousands of images on the left, against hours of training on the right."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(12, 3.2 * len(figures)), layout="constrained")
    axes: Any = picture.subplots(len(figures), 2, squeeze=False)
    groups = groups_of(runs)
    for pair, name in zip(axes, figures, strict=True):
        for color, group in enumerate(groups):
            curve = curve_of(group, name)
            low, high = [point.low for point in curve], [point.high for point in curve]
            for axis, places in zip(
                pair, ([point.images / 1000 for point in curve], [point.hours for point in curve]), strict=True
            ):
                axis.plot(places, [p.mean for p in curve], marker=".", color=f"C{color}", label=group.label)
                if len(group.runs) > 1:
                    axis.fill_between(places, low, high, color=f"C{color}", alpha=0.2, linewidth=0)
        for axis, label in zip(pair, ("thousands of images", "hours of training"), strict=True):
            axis.set(xlabel=label, ylabel=f"{name} ({'higher' if is_higher_better(name) else 'lower'} is better)")
            axis.grid(alpha=0.3)
    axes[0][0].legend(fontsize="small")
    with _written(path) as temporary:
        picture.savefig(temporary, dpi=100)


def save_points(path: str | Path, runs: Sequence[Run], figures: Sequence[str]) -> None:
    """Write every point of every run as a line of comma-separated values."""
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
        make(place(path).parent)
        with replacing(path) as temporary:
            yield temporary
    # Matplotlib raises ValueError for an unknown file suffix.
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} cannot be written ({first_line(error)}); give another path, such as compare.png."
        ) from error


def _cell(points: Sequence[Point | None]) -> str:
    """A table cell for a group, from one point per run: mean, range, number of runs if some lack it, and images."""
    present = [point for point in points if point is not None]
    if not present:
        return ""
    figure = range_over_seeds(present)
    extent = f" [{number(figure.low)}, {number(figure.high)}]" if len(present) > 1 else ""
    lacking = f" ({len(present)} of {len(points)})" if len(present) < len(points) else ""
    return f"{number(figure.mean)}{extent}{lacking} @ {figure.images / 1000:.4g}"
