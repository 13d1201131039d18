"""Grids, trained one run after another, stopped and gone on with."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.write_lock import only_writer
from drumgan_jax.launch import sweep

GRID = sweep.Grid("configs/x.py", {"a": {"seed": 1}, "b": {"seed": 2}, "c": {"seed": 3}})
# A run that writes what a training would, and ends as the file `ends` in its folder says.
TRAIN = """
import json, pathlib, sys
run = pathlib.Path(sys.argv[1])
run.mkdir(exist_ok=True)
(run / "config.json").write_text(json.dumps({"train": {"batch_size": 4}}))
with open(run / "metrics.jsonl", "a") as file:
    file.write(json.dumps({"step": 5, "evaluation/fid/x": float(sys.argv[2]), "time/hours": 1.0}) + "\\n")
print("a last word of", run.name, file=sys.stderr)
ends = run.parent / f"{run.name}.ends"
sys.exit(int(ends.read_text()) if ends.exists() else 0)
"""


@pytest.fixture(autouse=True)
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that were started, in order; they are small programs."""
    started, run = [], sweep._run

    def command(config, variant, overrides, common, data_dir, run_dir):
        return [sys.executable, "-c", TRAIN, str(run_dir), str(overrides["seed"])]

    def counted(command):
        started.append(Path(command[3]).name)
        return run(command)

    monkeypatch.setattr(sweep, "train_command", command)
    monkeypatch.setattr(sweep, "_run", counted)
    return started


def test_a_sweep_trains_all_and_compares(trainings: list[str], tmp_path: Path) -> None:
    assert sweep.sweep(GRID, "tiny", "data", tmp_path) == []
    assert trainings == ["a", "b", "c"]
    lines = (tmp_path / "comparison.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["a", "b", "c"]
    assert lines[3].split() == ["b", "0.02", "1", "2", "@", "0.02"]
    assert (tmp_path / "comparison.png").stat().st_size > 1000
    assert sweep.sweep(GRID, "tiny", "data", tmp_path) == []
    assert trainings == ["a", "b", "c"]
    with only_writer(tmp_path, "another", ""), pytest.raises(BadInput, match="is being written by `another`"):
        sweep.sweep(GRID, "tiny", "data", tmp_path)
    # Another command, or a folder that is gone, is not what was complete.
    shutil.rmtree(tmp_path / "c")
    changed = sweep.Grid("configs/x.py", {**GRID.runs, "b": {"seed": 4}})
    assert sweep.sweep(changed, "tiny", "data", tmp_path) == []
    assert trainings == ["a", "b", "c", "b", "c"]


def test_ctrl_c_reaches_a_run_once_as_the_signal_at_which_it_saves(tmp_path: Path) -> None:
    program = """
import pathlib, signal, sys, time
told = pathlib.Path(sys.argv[1])
def stop(number, frame):
    told.write_text(told.read_text() + signal.Signals(number).name)
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
told.write_text("")
time.sleep(60)
"""
    told = tmp_path / "told"
    code = "import sys; from launch import sweep; print(sweep._run([sys.executable, '-c', *sys.argv[1:]]))"
    command = [sys.executable, "-c", code, program, str(told)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        end = time.monotonic() + 60
        while not told.exists() and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert told.read_text() == "SIGTERM"
    assert out.startswith("('stopped'")


def test_a_stopped_sweep_goes_on_where_it_stopped(trainings: list[str], tmp_path: Path) -> None:
    (tmp_path / "b.ends").write_text("75")
    with pytest.raises(KeyboardInterrupt):
        sweep.sweep(GRID, "tiny", "data", tmp_path)
    assert trainings == ["a", "b"]
    assert sweep.read_status(tmp_path)["b"]["status"] == "stopped"
    (tmp_path / "b.ends").unlink()
    assert sweep.sweep(GRID, "tiny", "data", tmp_path) == []
    assert trainings == ["a", "b", "b", "c"]


def test_a_failed_run_does_not_stop_the_others(trainings: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.ends").write_text("2")
    assert sweep.sweep(GRID, "tiny", "data", tmp_path) == ["a"]
    assert trainings == ["a", "b", "c"]
    status = json.loads((tmp_path / "sweep.json").read_text())
    assert (status["a"]["status"], status["a"]["told"]) == ("failed", "a last word of a")
    # Failed runs are tried again.
    (tmp_path / "a.ends").unlink()
    assert sweep.sweep(GRID, "tiny", "data", tmp_path) == []
    assert trainings == ["a", "b", "c", "a"]


def test_the_command_has_every_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    command = sweep.train_command("configs/x.py", "tiny", {"a.b": 0.5}, ["seed=3"], "data", Path("runs/a"))
    assert command[3:] == [
        "train",
        "--config=configs/x.py:tiny",
        "--config.a.b=0.5",
        "--config.seed=3",
        "--config.data.dir=data",
        "--workdir=runs/a",
    ]


def test_grids_that_are_none(repository: Path, tmp_path: Path) -> None:
    for grid in ("electrogan_grid", str(repository / "configs" / "electrogan_grid.py")):
        assert len(sweep.read_grid(grid).runs) == 6
        assert sweep.read_grid(grid).config == "electrogan"
    for text, match in (
        ("CONFIG = 'x'", "is not a grid: it has no RUNS"),
        ("RUNS = {}", "is not a grid"),
        ("1 /", "fails with SyntaxError"),
        ("CONFIG = 'x'; RUNS = {'a/b': {}}", "names its runs badly"),
        ("CONFIG = 'x'; RUNS = {}", "names its runs badly"),
    ):
        (tmp_path / "grid.py").write_text(text)
        with pytest.raises(BadInput, match=match):
            sweep.read_grid(str(tmp_path / "grid.py"))
    with pytest.raises(BadInput, match=f"there is no grid file {tmp_path}/nothing.py"):
        sweep.read_grid(str(tmp_path / "nothing.py"))
    with pytest.raises(BadInput, match=r"did you mean electrogan_grid"):
        sweep.read_grid("electrogan_gird")
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(BadInput, match="is damaged"):
        sweep.read_status(tmp_path)
