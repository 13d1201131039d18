"""What came out of a sweep: one table, a plot, and the best of it."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.commands import comparison
from drumgan_jax.commands.curves import Run, best_point, read_run
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.evaluation.report import number, table
from drumgan_jax.launch.sweeps.ledger import Ledger
from drumgan_jax.launch.sweeps.trials import Trial

WAITING = "waiting"
TABLE, PLOT, CURVES = "sweep", "sweep.png", "curves"
# More lines in one plot are not told apart.
_MOST_LINES = 10


@dataclasses.dataclass(frozen=True)
class Row:
    """One trial.

    Attributes:
        name: of the trial.
        varied: its values by key.
        status: how it is.
        images: real examples that its run has seen; 0 for a measurement.
        hours: that its training took, or 0.
        figures: best value by name, and the thousands of images at which a run had it.
    """

    name: str
    varied: Mapping[str, Any]
    status: str
    images: int
    hours: float
    figures: Mapping[str, tuple[float, float]]


def rows_of(trials: Sequence[Trial], ledger: Ledger) -> tuple[list[Row], list[Run]]:
    """A row for each trial, and the runs that there are."""
    rows, runs = [], []
    for trial in trials:
        status = ledger.status_of(trial)[0] or WAITING
        run = _run(ledger.folder / trial.name) if trial.images else None
        if run is not None:
            runs.append(run)
            points = {figure: best_point(run, figure) for figure in run.curves}
            figures = {name: (point.value, point.images / 1000) for name, point in points.items() if point is not None}
            rows.append(Row(trial.name, trial.varied, status, run.images, run.hours, figures))
        else:
            measured = {} if trial.images else _measured(ledger.folder / trial.result)
            rows.append(Row(trial.name, trial.varied, status, 0, 0.0, measured))
    return rows, runs


def _measured(path: Path) -> dict[str, tuple[float, float]]:
    report = json.loads(path.read_text()) if path.is_file() else {}
    return {name: (figure["value"], 0.0) for name, figure in report.get("figures", {}).items()}


def ranked(rows: Sequence[Row], figure: str) -> list[Row]:
    """The rows from the best to the worst; those without the figure last."""
    sign = -1.0 if is_higher_better(figure) else 1.0
    values = {row.name: row.figures[figure][0] for row in rows if figure in row.figures}
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    return sorted(rows, key=lambda row: sign * finite[row.name] if row.name in finite else math.inf)


def figure_of(rows: Sequence[Row], wanted: str) -> str:
    """The figure by which rows are ranked: the wanted one, or the first that there is; empty if there is none."""
    known = sorted({name for row in rows for name in row.figures})
    return wanted if wanted in known else known[0] if known else ""


def text_of(rows: Sequence[Row], figure: str, folder: Path, notes: Sequence[str]) -> str:
    """The table, the line of the best, and notes."""
    columns = _columns(rows)
    figures = sorted({name for row in rows for name in row.figures}, key=lambda name: (name != figure, name))
    trained = any(row.images for row in rows)
    lines = [
        [
            row.name,
            *(f"{row.varied.get(key, '')}" for key in columns.values()),
            row.status,
            *([f"{row.images / 1000:.4g}", f"{row.hours:.3g}"] if trained else []),
            *(_cell(row.figures.get(name), trained) for name in figures),
        ]
        for row in rows
    ]
    heads = [f"{name} @ kimg" if trained else name for name in figures]
    text = table(["trial", *columns, "status", *(["kimg", "hours"] if trained else []), *heads], lines)
    best = rows[0] if rows and figure in rows[0].figures else None
    if best is not None:
        value, at = best.figures[figure]
        where = f" at {at:.4g} kimg; its run is {folder / best.name}" if trained else ""
        text += f"\nbest: {best.name}, {figure} {number(value)}{where}."
    return "\n".join([text, *(f"note: {note}" for note in notes)])


def save(rows: Sequence[Row], runs: Sequence[Run], figure: str, folder: Path, text: str) -> None:
    """Write sweep.txt, sweep.csv, sweep.png, and for runs curves.png and curves.csv, to the sweep's folder."""
    with replacing(folder / f"{TABLE}.txt") as path:
        path.write_text(text + "\n")
    with replacing(folder / f"{TABLE}.csv") as path:
        path.write_text(_csv(rows))
    if figure:
        _plot(rows, figure, folder / PLOT)
    if any(run.curves for run in runs):
        figures = comparison.figures_of(runs, [])
        comparison.save_plot(folder / f"{CURVES}.png", runs, figures)
        comparison.save_points(folder / f"{CURVES}.csv", runs, figures)


def _csv(rows: Sequence[Row]) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row.varied))
    figures = sorted({name for row in rows for name in row.figures})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["trial", *keys, "status", "images", "hours", *figures])
    for row in rows:
        values = [row.figures[name][0] if name in row.figures else "" for name in figures]
        settings = [row.varied.get(key, "") for key in keys]
        writer.writerow([row.name, *settings, row.status, row.images, f"{row.hours:.6g}", *values])
    return text.getvalue()


def _plot(rows: Sequence[Row], figure: str, path: Path) -> None:
    """The figure against each varied key, with a line for each combination of the others, if these are few."""
    from matplotlib.figure import Figure

    columns = _columns(rows)
    picture = Figure(figsize=(5.0 * max(1, len(columns)), 3.8), layout="constrained")
    axes: Any = picture.subplots(1, max(1, len(columns)), squeeze=False)
    for axis, (label, key) in zip(axes[0], columns.items(), strict=False):
        others = {other: name for name, other in columns.items() if other != key}
        lines: dict[str, list[tuple[Any, float]]] = {}
        for row in rows:
            if key in row.varied and figure in row.figures:
                line = ", ".join(f"{name} {row.varied.get(other, '')}" for other, name in others.items())
                lines.setdefault(line, []).append((row.varied[key], row.figures[figure][0]))
        few = len(lines) <= _MOST_LINES
        for line, pairs in lines.items():
            is_scale = all(_is_number(at) for at, _ in pairs)
            named = sorted(pairs) if is_scale else [(str(at), value) for at, value in pairs]
            style = "o-" if is_scale and few else "o"
            axis.plot(*zip(*named, strict=True), style, color=None if few else "C0", label=line or None)
        places = [at for pairs in lines.values() for at, _ in pairs]
        if places and all(_is_number(at) and at > 0 for at in places) and max(places) > 10 * min(places):
            axis.set_xscale("log")
        if few and any(lines):
            axis.legend(fontsize="x-small")
        axis.set(xlabel=label, ylabel=f"{figure} ({'higher' if is_higher_better(figure) else 'lower'} is better)")
        axis.grid(alpha=0.3)
    with replacing(path) as temporary:
        picture.savefig(temporary, dpi=100)


def _columns(rows: Sequence[Row]) -> dict[str, str]:
    """Varied keys by the heads of their columns, which are short; keys of the same values have one."""
    keys = list(dict.fromkeys(key for row in rows for key in row.varied))
    values = {key: tuple(str(row.varied.get(key)) for row in rows) for key in keys}
    first = [key for place, key in enumerate(keys) if values[key] not in [values[one] for one in keys[:place]]]
    short = [key.rpartition(".")[2] for key in first]
    return {last if short.count(last) == 1 else key: key for key, last in zip(first, short, strict=True)}


def _run(folder: Path) -> Run | None:
    try:
        return read_run(folder)
    except BadInput:
        return None


def _cell(found: tuple[float, float] | None, trained: bool) -> str:
    if found is None:
        return ""
    return f"{number(found[0])} @ {found[1]:.4g}" if trained else number(found[0])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
