"""python -m drumgan_jax.launch.sweep --grid=electrogan_grid --variant=small --data_dir=data --workdir=grid

Trains all runs of a grid on this machine, one after another, each in its own process and in its own folder below
--workdir, then writes a table and a plot that compare them (`drumgan compare`). The same command resumes a stopped
sweep: finished runs are skipped, and an unfinished one is resumed.

A grid is given by its name in the package or by the path of your own file. It is a Python file with two names: CONFIG,
the name or path of a config, and RUNS, a mapping from the name of each run to its overrides, such as
{"optimizer.generator.learning_rate": 0.001}. --set=train.total_images=100000 overrides a value in all runs.
"""

import argparse
import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.commands import compare
from drumgan_jax.commands.config_files import GRID, find_module
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, first_line, shown
from drumgan_jax.core.paths import expand
from drumgan_jax.core.write_lock import only_writer

STATUS_NAME = "sweep.json"
COMPLETE, STOPPED, FAILED = "complete", "stopped", "failed"
# Exit status of `drumgan train` when it was stopped before the end.
_PREEMPTED = 75


@dataclasses.dataclass(frozen=True)
class Grid:
    """The name or path of a config, and overrides by the name of the run."""

    config: str
    runs: Mapping[str, Mapping[str, Any]]


def main() -> None:
    """Sweep; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", required=True, help="the grid's name, or its file")
    parser.add_argument("--variant", default="full", help="the variant of its config")
    parser.add_argument("--data_dir", required=True, type=expand, help="the data set of all runs")
    parser.add_argument("--workdir", required=True, type=expand, help="the folder for the run directories")
    parser.add_argument("--set", action="append", default=[], help="an override for all runs, such as seed=3")
    given = parser.parse_args()
    workdir = Path(given.workdir)
    failed = sweep(read_grid(given.grid), given.variant, given.data_dir, workdir, given.set)
    if failed:
        sys.exit(f"{len(failed)} run(s) failed: {', '.join(failed)}; see {workdir / STATUS_NAME}.")


def read_grid(text: str) -> Grid:
    """Read a grid by its name or path.

    Raises:
        BadInput: the file cannot be run, or lacks CONFIG or RUNS.
    """
    module = find_module(text, GRID)
    try:
        grid = Grid(str(module.CONFIG), dict(module.RUNS))
    # A grid file is a program and may define these as anything.
    except Exception as problem:
        raise BadInput(
            f"{text} is not a grid ({type(problem).__name__}: {first_line(problem)}); see drumgan_jax/launch/sweep.py."
        ) from problem
    bad = [name for name in grid.runs if not name or Path(name).name != name]
    if bad or not grid.runs:
        raise BadInput(f"{text} names its runs badly ({shown(bad)}); give RUNS names that can be folders.")
    return grid


def sweep(grid: Grid, variant: str, data_dir: str, workdir: Path, common: Sequence[str] = ()) -> list[str]:
    """Train the incomplete runs of a grid, write the comparison, and return the names of runs that failed.

    Raises:
        BadInput: another sweep writes the folder.
        KeyboardInterrupt: a run was stopped from outside; the same call resumes it.
    """
    with only_writer(workdir, "drumgan_jax.launch.sweep", "give another --workdir"):
        for position, (name, overrides) in enumerate(grid.runs.items(), 1):
            status = read_status(workdir)
            command = train_command(grid.config, variant, overrides, common, data_dir, workdir / name)
            before = status.get(name, {})
            # If the command has changed, training resumes the run if it can, or says why it cannot.
            if (before.get("status"), before.get("command")) == (COMPLETE, command) and (workdir / name).is_dir():
                print(f"[{position}/{len(grid.runs)}] {name}: already complete", flush=True)
                continue
            print(f"[{position}/{len(grid.runs)}] {name}", flush=True)
            outcome, message = _run(command)
            write_status(workdir, {**status, name: {"status": outcome, "command": command, "told": message}})
            if outcome == STOPPED:
                raise KeyboardInterrupt
            if outcome == FAILED:
                print(f"{name} failed: {message}", flush=True)
        status = read_status(workdir)
        _compare(workdir, [workdir / name for name in grid.runs if (workdir / name).is_dir()])
        return [name for name in grid.runs if status[name]["status"] == FAILED]


def train_command(
    config: str, variant: str, overrides: Mapping[str, Any], common: Sequence[str], data_dir: str, run_dir: Path
) -> list[str]:
    """The command line that trains one run."""
    settings = [f"--config.{key}={value}" for key, value in overrides.items()]
    shared = [f"--config.{text}" for text in common]
    place = [f"--config.data.dir={data_dir}", f"--workdir={run_dir}"]
    return [
        sys.executable,
        "-m",
        "drumgan_jax.cli",
        "train",
        f"--config={config}:{variant}",
        *settings,
        *shared,
        *place,
    ]


def read_status(workdir: Path) -> dict[str, Any]:
    """The status of each run so far, by name.

    Raises:
        BadInput: the status file is damaged.
    """
    path = workdir / STATUS_NAME
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as problem:
        raise BadInput(
            f"{path} is damaged ({first_line(problem)}); delete it: finished runs will end at once."
        ) from problem


def write_status(workdir: Path, status: Mapping[str, Any]) -> None:
    """Save the status of each run."""
    with replacing(workdir / STATUS_NAME) as path:
        path.write_text(json.dumps(status, indent=1) + "\n")


def _run(command: Sequence[str]) -> tuple[str, str]:
    """Run a command; return how it ended and the last line that it wrote to stderr."""
    last = ""
    # In its own session, so that Ctrl-C reaches it only through this process, as the signal on which it saves.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, bufsize=1, start_new_session=True) as process:
        assert process.stderr is not None
        stop = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, lambda *_: process.send_signal(signal.SIGTERM)) for number in stop}
        try:
            for line in process.stderr:
                sys.stderr.write(line)
                last = line.strip() or last
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if code in (_PREEMPTED, -signal.SIGTERM):
        return STOPPED, last
    return (COMPLETE if code == 0 else FAILED), last


def _compare(workdir: Path, folders: Sequence[Path]) -> None:
    try:
        runs = compare.read_runs(folders)
    except BadInput as problem:
        print(f"no comparison: {problem}")
        return
    figures = compare.figures_of(runs, [])
    text = "\n".join([compare.comparison(runs, figures), *compare.notes_on(runs, figures)])
    with replacing(workdir / "comparison.txt") as path:
        path.write_text(text + "\n")
    compare.save_plot(workdir / "comparison.png", runs, figures)
    compare.save_points(workdir / "comparison.csv", runs, figures)
    print(f"{text}\ncomparison.txt, .png and .csv are in {workdir}.")


if __name__ == "__main__":
    try:
        main()
    except BadInput as sentence:
        print(f"sweep: {sentence}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("sweep: stopped; run the same command to resume.", file=sys.stderr)
        sys.exit(_PREEMPTED)
