"""Evaluation reports: JSON files in the run directory, and tables for the terminal."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.core import places
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.places import place

FOLDER = "evaluations"


def write_report(
    run_dir: str | os.PathLike[str], step: int, report: Mapping[str, Any], truncation: float = 1.0
) -> Path:
    """Write an evaluation of a run's checkpoint to evaluations/step_STEP.json, atomically.

    Figures of an earlier evaluation of the same step are kept unless the new one replaces them. That of truncated
    sounds, which no curve is made of, is in truncationT_step_STEP.json.

    Raises:
        BadInput: the file cannot be written.
    """
    truncated = "" if truncation == 1.0 else f"truncation{truncation:g}_"
    path = place(run_dir) / FOLDER / f"{truncated}step_{step:08d}.json"
    earlier = _read(path)
    figures = {**earlier.get("figures", {}), **report.get("figures", {})}
    save_json(path, {**earlier, **report, "step": step, **({"figures": figures} if figures else {})})
    return path


def read_reports(run_dir: str | os.PathLike[str]) -> dict[int, dict[str, Any]]:
    """Read the evaluations of a run by step, ascending; damaged files, and those of truncated sounds, are skipped."""
    reports = (_read(path) for path in sorted((place(run_dir) / FOLDER).glob("step_*.json")))
    return {report["step"]: report for report in reports if report}


def drop_reports(run_dir: str | os.PathLike[str], step: int) -> None:
    """Delete evaluations after a step, or all at step 0, when a run restarts or returns to an earlier checkpoint."""
    for path in (place(run_dir) / FOLDER).glob("*step_*"):
        number = path.stem.rpartition("step_")[2].split("_")[0]
        if number.isdecimal() and (int(number) > step or step == 0):
            path.unlink()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise BadInput if a file cannot be written there; to be asked before minutes of measuring."""
    path = place(path)
    if path.is_dir():
        raise BadInput(f"{path} is a folder; give the name of a file.")
    if places.is_remote(path):
        return
    try:
        places.make(path.parent)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); check the folder and its free space.") from error


def save_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON atomically; missing folders are created.

    Raises:
        BadInput: the file cannot be written.
    """
    path = place(path)
    try:
        places.make(path.parent)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(value, indent=1) + "\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); check the folder and its free space.") from error


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format rows of text under a header; the first column is left-aligned, the others right-aligned."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, rows)])


def figures_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the figures of a report as a table: value, 95 % interval, samples of both sides, weights."""
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
    """Format a figure with four significant digits."""
    return f"{value:.4g}"


def _read(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text())
        return report if isinstance(report, dict) and "step" in report else {}
    except (OSError, ValueError):
        return {}
