"""A run's metrics: a line of figures for every log step, in metrics.jsonl.

To an object in a bucket nothing can be appended. There, each line is an object of its own beside metrics.jsonl, and
those of before are joined to it from time to time.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.core import places
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.regular_files import read_regular
from drumgan_jax.core.settings import is_number

METRICS_NAME = "metrics.jsonl"
# When the run was first started, in Unix seconds.
BEGAN = "time/began"
# Beside it, in a bucket: lines that are not in it yet.
PARTS = "metrics"
_MOST_PARTS = 100


class MetricsLog:
    """The end of a run's metrics, to which lines are added; those beyond a step are dropped first.

    Args:
        run_dir: the run directory.
        step: see `keep_until`.
    """

    def __init__(self, run_dir: Path, step: int):
        self._run_dir = run_dir
        keep_until(run_dir, step)
        self._file: Any = None
        self._parts = 0
        if not places.is_remote(run_dir):
            self._file = open(run_dir / METRICS_NAME, "a", encoding="utf-8")  # noqa: SIM115

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line, which readers see at once."""
        text = json.dumps(line) + "\n"
        if self._file is not None:
            self._file.write(text)
            self._file.flush()
            return
        if self._parts == _MOST_PARTS:
            _join(self._run_dir, _lines(self._run_dir))
            self._parts = 0
        # Numbered by the step, then in the order in which they come.
        places.write(self._run_dir / PARTS / f"{line['step']:012d}-{self._parts:04d}.jsonl", text.encode())
        self._parts += 1

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        elif self._parts:
            _join(self._run_dir, _lines(self._run_dir))


def keep_until(run_dir: Path, step: int) -> None:
    """Drop lines beyond `step` (at 0, all lines) and a truncated last line, atomically."""
    if lines := _lines(run_dir):
        _join(run_dir, [line for line in lines if _step_of(line) <= step and step > 0])


def _lines(run_dir: Path) -> list[str]:
    """All lines of a run, in order; none twice, as they may be while some are joined."""
    path, parts = run_dir / METRICS_NAME, []
    # On this machine, a copy of a run from a bucket has them.
    for name in sorted(places.names_in(run_dir / PARTS)):
        # One that is gone has been joined to the file, which is read after them.
        with contextlib.suppress(FileNotFoundError):
            parts.append((run_dir / PARTS / name).read_bytes())
    texts = [*([read_regular(path)] if path.exists() else []), *parts]
    return list(dict.fromkeys(line for text in texts for line in text.decode(errors="replace").splitlines()))


def _join(run_dir: Path, lines: Iterable[str]) -> None:
    with replacing(run_dir / METRICS_NAME) as temporary:
        temporary.write_text("".join(line + "\n" for line in lines))
    if places.is_remote(run_dir):
        places.drop(run_dir / PARTS)
    else:
        shutil.rmtree(run_dir / PARTS, ignore_errors=True)


def _step_of(line: str) -> float:
    try:
        step = json.loads(line)["step"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return float("inf")
    return step if is_number(step) else float("inf")


def read_metrics(run_dir: str | os.PathLike[str]) -> list[dict[str, float]]:
    """The lines of a run's metrics, in order, without a line that is being written."""
    found = [json.loads(line) for line in _lines(places.place(run_dir)) if _step_of(line) < float("inf")]
    return [{name: value for name, value in line.items() if is_number(value)} for line in found]


def began_at(run_dir: str | os.PathLike[str]) -> float | None:
    """When a run was first started, in Unix seconds; None if its metrics do not tell."""
    return next((line[BEGAN] for line in read_metrics(run_dir) if BEGAN in line), None)


def hours_run(run_dir: str | os.PathLike[str]) -> float:
    """Wall-clock hours of a run by its metrics, evaluations and checkpoints included."""
    return max((line.get("time/hours", 0.0) for line in read_metrics(run_dir)), default=0.0)


def training_clock(lines: Sequence[Mapping[str, float]]) -> list[tuple[int, float]]:
    """Steps and the hours spent on training steps until then. Older runs only have wall-clock hours."""
    hours = [(line["step"], line.get("time/training_hours", line.get("time/hours"))) for line in lines]
    return [(int(step), value) for step, value in hours if value is not None]
