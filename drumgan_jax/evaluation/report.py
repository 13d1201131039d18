"""Reports of evaluations: kept as JSON in the run directory, and shown as a table."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput

FOLDER = "evaluations"


def write_report(run_dir: str | os.PathLike[str], step: int, report: Mapping[str, Any]) -> Path:
    """Write an evaluation of a run's checkpoint to evaluations/step_STEP.json, whole or not at all.

    Figures of an earlier evaluation of the same step stay, unless the new one has them too.

    Raises:
        BadInput: the file cannot be written.
    """
    path = Path(run_dir) / FOLDER / f"step_{step:08d}.json"
    earlier = _read(path)
    figures = {**earlier.get("figures", {}), **report.get("figures", {})}
    save_json(path, {**earlier, **report, "step": step, **({"figures": figures} if figures else {})})
    return path


def read_reports(run_dir: str | os.PathLike[str]) -> dict[int, dict[str, Any]]:
    """The evaluations of a run by step, ascending; a damaged one is left out."""
    reports = (_read(path) for path in sorted((Path(run_dir) / FOLDER).glob("step_*.json")))
    return {report["step"]: report for report in reports if report}


def drop_reports(run_dir: str | os.PathLike[str], step: int) -> None:
    """Remove the evaluations of checkpoints beyond a step, or at 0 all: those of a run that began anew or went back."""
    for path in (Path(run_dir) / FOLDER).glob("step_*"):
        number = path.stem.split("_")[1]
        if number.isdecimal() and (int(number) > step or step == 0):
            path.unlink()


def save_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON, whole or not at all, in a folder that is made if need be.

    Raises:
        BadInput: the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(value, indent=1) + "\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); check folder and free space.") from error


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text under a header, in columns; the first column is flush left, the others flush right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, rows)])


def figures_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures of a report as a table: value, 95 % interval, samples of both sides, weights."""
    rows = [
        [
            name,
            number(figure["value"]),
            f"{number(figure['low'])} .. {number(figure['high'])}",
            f"{figure['samples']:,}",
            f"{figure['reference_samples']:,}",
            figure["weights"][:8],
        ]
        for name, figure in figures.items()
    ]
    return table(["figure", "value", "95 % interval", "samples", "reference", "weights"], rows)


def number(value: float) -> str:
    """A figure as four significant digits."""
    return f"{value:.4g}"


def _read(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text())
        return report if isinstance(report, dict) and "step" in report else {}
    except (OSError, ValueError):
        return {}
