"""A run's metrics.jsonl: a line of figures for every log step."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.regular_files import read_regular
from drumgan_jax.core.settings import is_number

METRICS_NAME = "metrics.jsonl"


def keep_until(path: Path, step: int) -> None:
    """Drop lines beyond `step` (at 0, all lines) and a truncated last line, atomically."""
    if not path.exists():
        return
    lines = read_regular(path).decode(errors="replace").splitlines()
    kept = [line for line in lines if _step_of(line) <= step and step > 0]
    with replacing(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in kept))


def _step_of(line: str) -> float:
    try:
        step = json.loads(line)["step"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return float("inf")
    return step if is_number(step) else float("inf")


def read_metrics(run_dir: str | os.PathLike[str]) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl, in order, without a line that is being written."""
    path = Path(run_dir) / METRICS_NAME
    lines = read_regular(path).decode(errors="replace").splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines if _step_of(line) < float("inf")]
    return [{name: value for name, value in line.items() if is_number(value)} for line in found]


def hours_run(run_dir: str | os.PathLike[str]) -> float:
    """Wall-clock hours of a run by its metrics, evaluations and checkpoints included."""
    return max((line.get("time/hours", 0.0) for line in read_metrics(run_dir)), default=0.0)


def training_clock(lines: Sequence[Mapping[str, float]]) -> list[tuple[int, float]]:
    """Steps and the hours spent on training steps until then. Older runs only have wall-clock hours."""
    hours = [(line["step"], line.get("time/training_hours", line.get("time/hours"))) for line in lines]
    return [(int(step), value) for step, value in hours if value is not None]
