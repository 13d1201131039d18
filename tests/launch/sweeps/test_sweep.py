"""Sweeps whose jobs are small programs: stopped, gone on with, failed, limited, halved, and refused."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from verbs import drumgan

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.write_lock import only_writer
from drumgan_jax.launch.sweeps import running
from drumgan_jax.launch.sweeps.halving import rungs
from drumgan_jax.launch.sweeps.running import Budget
from drumgan_jax.launch.sweeps.space import Axis
from drumgan_jax.launch.sweeps.sweep import Ending, Sweep, run
from drumgan_jax.launch.sweeps.trials import Grid, Trial, drawn, read_grid, trials_of

# Writes what a training would, up to so many images, and ends as the file `NAME.ends` says.
TRAIN = """
import json, pathlib, signal, sys, time
run, value, images = pathlib.Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
run.mkdir(exist_ok=True)
(run / "config.json").write_text(json.dumps({"train": {"batch_size": 4}}))
ends = run.parent / f"{run.name}.ends"
end = ends.read_text() if ends.exists() else "0"
if end == "waits":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    (run.parent / f"{run.name}.started").touch()
    time.sleep(60)
if end == "0":
    with open(run / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": images // 4, "evaluation/fid/x": value / images, "time/hours": 1.0}) + "\\n")
print("a last word of", run.name, file=sys.stderr)
sys.exit(int(end))
"""


def sweep_of(folder: Path, values: Sequence[float] = (1, 2, 3), **settings: Any) -> Sweep:
    trials = [
        Trial(f"t{value:g}", f"digest{value:g}", {"gamma": value}, (), f"t{value:g}/config.json", 400)
        for value in values
    ]
    return Sweep(folder, trials, {"config": "x"}, (), "fid/x", **settings)


def run_sweep(sweep: Sweep, at_once: int = 1, **limits: float) -> tuple[Ending, list[str]]:
    """How a sweep ends, and the jobs that it started."""

    def command(trial: Trial, images: int) -> list[str]:
        arguments = [str(sweep.folder / trial.name), str(trial.varied["gamma"]), str(images or trial.images)]
        return [sys.executable, "-c", TRAIN, *arguments]

    said: list[str] = []
    ending = run(sweep, command, at_once, Budget(**limits), said.append)
    started = [line.split()[1] for line in said if line.startswith("[") and "complete" not in line]
    return ending, started


def test_a_sweep_runs_all_and_ranks_them(tmp_path: Path) -> None:
    ending, started = run_sweep(sweep_of(tmp_path, (2, 1, 3)))
    assert started == ["t2", "t1", "t3"]
    lines = ending.text.splitlines()
    assert lines[0].split() == ["trial", "gamma", "status", "kimg", "hours", "fid/x", "@", "kimg"]
    assert [line.split()[:3] for line in lines[2:5]] == [[f"t{n}", n, "complete"] for n in ("1", "2", "3")]
    assert lines[5] == f"best: t1, fid/x 0.0025 at 0.4 kimg; its run is {tmp_path / 't1'}."
    rows = (tmp_path / "sweep.csv").read_text().splitlines()
    assert rows[0] == "trial,gamma,status,images,hours,fid/x"
    assert rows[1].startswith("t1,1,complete,400,1,0.0025")
    for name in ("sweep.png", "curves.png"):
        assert (tmp_path / name).stat().st_size > 1000
    # Nothing is run again; another digest under a name, or a run that is gone, is.
    assert run_sweep(sweep_of(tmp_path, (2, 1, 3)))[1] == []
    sweep = sweep_of(tmp_path)
    changed = [dataclasses.replace(sweep.trials[0], digest="another"), *sweep.trials[1:]]
    (tmp_path / "t3" / "config.json").unlink()
    assert run_sweep(dataclasses.replace(sweep, trials=changed))[1] == ["t1", "t3"]


def test_jobs_run_at_once(tmp_path: Path) -> None:
    """Each of two waits until it is stopped, which comes when both have started."""
    for name in ("t1", "t2"):
        (tmp_path / f"{name}.ends").write_text("waits")

    def stop() -> None:
        end = time.monotonic() + 60
        while not all((tmp_path / f"{name}.started").exists() for name in ("t1", "t2")) and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    ending, started = run_sweep(sweep_of(tmp_path), at_once=2)
    assert (started, ending.was_stopped) == (["t1", "t2"], True)
    assert "stopped; not all jobs have ended" in ending.text
    status = json.loads((tmp_path / "sweep.json").read_text())["trials"]
    assert [job["status"] for one in status.values() for job in one["jobs"].values()] == ["stopped", "stopped"]
    for name in ("t1", "t2"):
        (tmp_path / f"{name}.ends").unlink()
    ending, started = run_sweep(sweep_of(tmp_path), at_once=2)
    assert (started, ending.was_stopped, ending.failed) == (["t1", "t2", "t3"], False, [])


def test_ctrl_c_reaches_a_job_once_as_the_signal_at_which_it_saves(tmp_path: Path) -> None:
    program = """
        import pathlib, signal, sys
        from drumgan_jax.launch.sweeps import running, ledger, trials
        told = pathlib.Path(sys.argv[1])
        child = '''
        import pathlib, signal, sys, time
        told = pathlib.Path(sys.argv[1])
        def stop(number, frame):
            told.write_text(told.read_text() + signal.Signals(number).name)
            sys.exit(75)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        told.write_text("")
        time.sleep(60)
        '''
        import textwrap
        trial = trials.Trial("a", "d", {}, (), "a", 1)
        command = {"a": [sys.executable, "-c", textwrap.dedent(child), str(told)]}
        book = ledger.Ledger(told.parent, {}, {})
        print(running.run_all([trial], 0, book, command, 1, running.Budget(), print), book.status_of(trial)[0])
    """
    told = tmp_path / "told"
    command = [sys.executable, "-c", textwrap.dedent(program).replace("\n        ", "\n"), str(told)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        end = time.monotonic() + 60
        while not told.exists() and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert told.read_text() == "SIGTERM"
    assert out.splitlines()[-1] == "stopped stopped"


def test_a_failed_job_does_not_stop_the_others_and_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "t1.ends").write_text("2")
    ending, started = run_sweep(sweep_of(tmp_path))
    assert (ending.failed, started) == (["t1"], ["t1", "t2", "t3"])
    assert "note: t1 failed: a last word of t1" in ending.text
    assert ending.text.splitlines()[4].split()[:3] == ["t1", "1", "failed"]
    (tmp_path / "t1.ends").unlink()
    ending, started = run_sweep(sweep_of(tmp_path))
    assert (ending.failed, started) == ([], ["t1"])


def test_a_job_that_was_stopped_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "t2.ends").write_text("75")
    ending, started = run_sweep(sweep_of(tmp_path))
    assert (ending.was_stopped, ending.failed, started) == (True, [], ["t1", "t2", "t3"])


def test_budgets(tmp_path: Path) -> None:
    ending, started = run_sweep(sweep_of(tmp_path), jobs=2)
    assert (started, ending.was_stopped) == (["t1", "t2"], False)
    assert "the budget of 2 jobs is spent; not all jobs have ended. The same command with more goes on." in ending.text
    assert "waiting" in ending.text
    assert run_sweep(sweep_of(tmp_path), jobs=2)[1] == []
    assert run_sweep(sweep_of(tmp_path), jobs=3)[1] == ["t3"]
    # A job that runs is told to save when the hours are spent.
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "t1.ends").write_text("waits")
    began = time.monotonic()
    ending, started = run_sweep(sweep_of(tmp_path / "late"), cost=0.002, price=3.6)
    assert time.monotonic() - began < 50
    assert (started, ending.was_stopped) == (["t1"], False)
    assert "the budget of 0.002 is spent (0.000" in ending.text
    with pytest.raises(BadInput, match=r"--max_cost needs the price of a chip for an hour, and its chips"):
        Budget(cost=1.0)


def test_halving(tmp_path: Path) -> None:
    assert rungs(9000, 3, 3, 4) == [1000, 3000, 9000]
    for arguments, match in (((9, 1, 2, 1), "halves nothing"), ((9, 3, 3, 4), r"the first of 3 rungs has 1 images")):
        with pytest.raises(BadInput, match=match):
            rungs(*arguments)
    sweep = sweep_of(tmp_path, (4, 2, 3, 1, 5, 6, 7, 8, 9), rungs=[44, 132, 400], factor=3)
    # One without a figure does not go on.
    (tmp_path / "t2.ends").write_text("2")
    ending, started = run_sweep(sweep)
    assert started == [f"t{n}" for n in (4, 2, 3, 1, 5, 6, 7, 8, 9, 1, 3, 4, 1)]
    # Without rungs, those that ended early have not come to their own end.
    assert run_sweep(dataclasses.replace(sweep, rungs=(0,)), jobs=13)[1] == []
    assert ending.text.splitlines()[2].split()[:4] == ["t1", "1", "complete", "0.4"]
    # What a run had after a rung does not count in it, so that the same go on.
    (tmp_path / "t2.ends").write_text("0")
    (tmp_path / "sweep.json").unlink()
    _, started = run_sweep(sweep)
    assert started[9:] == ["t1", "t2", "t3", "t1"]


def test_a_job_that_leaves_no_result_has_failed(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, (1,))
    ending = run(sweep, lambda trial, images: ["true"], 1, Budget(), lambda line: None)
    assert ending.failed == ["t1"]
    assert "t1 failed: it ended well, and there is no t1/config.json in the sweep's folder" in ending.text


def test_what_jobs_print_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no text, and a process that a job leaves behind with its output."""
    monkeypatch.setattr(running, "_LAST_WORDS", 0.2)
    code = "import subprocess, sys; sys.stdout.buffer.write(bytes(range(256)) * 999); sys.stdout.flush()"
    code += "; subprocess.Popen(['sleep', '3']); open(sys.argv[1], 'w').write('{}')"
    sweep = sweep_of(tmp_path, (1,))
    (tmp_path / "t1").mkdir()
    command = [sys.executable, "-c", code, str(tmp_path / "t1" / "config.json")]
    assert run(sweep, lambda trial, images: command, 1, Budget(), lambda line: None).failed == []
    # The warning of a stream that is not closed would come in another test.
    for thread in [one for one in threading.enumerate() if one is not threading.main_thread()]:
        thread.join(20)


def test_jobs_end_with_a_sweep_that_is_killed(tmp_path: Path) -> None:
    program = """
        import os, subprocess, sys
        from drumgan_jax.launch import local
        child = "import os, time; from drumgan_jax.launch import local; local.end_with_parent();"
        child += "print(os.getpid(), flush=True); time.sleep(60)"
        environment = {**os.environ, local.PARENT: str(os.getpid())}
        subprocess.Popen([sys.executable, "-c", child], env=environment).wait()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = Path(f"/proc/{int(process.stdout.readline())}")
        process.kill()
    end = time.monotonic() + 30
    while child.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not child.exists()


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    run_sweep(sweep_of(tmp_path))
    with pytest.raises(BadInput, match=r"holds another sweep, which differs in config; give another --workdir"):
        run_sweep(dataclasses.replace(sweep_of(tmp_path), of={"config": "y"}))
    with (
        only_writer(tmp_path, "drumgan sweep", ""),
        pytest.raises(BadInput, match="is being written by `drumgan sweep`"),
    ):
        run_sweep(sweep_of(tmp_path))
    for text in ("{", '{"a": {}}', "[1]", "[]", "null", '{"of": 1, "trials": {}}', '{"of": {}, "trials": {"a": 5}}'):
        (tmp_path / "sweep.json").write_text(text)
        with pytest.raises(BadInput, match=r"sweep.json is damaged .*; delete it: finished runs will end at once"):
            run_sweep(sweep_of(tmp_path))


def test_trials_of_a_config() -> None:
    grid = drawn("splice_loops:tiny", [Axis.parse("objective.r1_gamma=1,5,1.0")], "grid", 0, 0)
    trials, notes = trials_of(grid, "data", ["train.total_images=1000"])
    assert [trial.name for trial in trials] == ["r1_gamma1", "r1_gamma5"]
    assert notes == ["r1_gamma1.0 is the same run as r1_gamma1, and is left out."]
    assert trials[0].images == 1000
    assert trials[0].arguments == (
        "--config=splice_loops:tiny",
        "--config.objective.r1_gamma=1",
        "--config.train.total_images=1000",
        "--data=data",
    )
    shorter = trials[0].up_to(100)
    assert shorter.arguments[-1] == "--config.train.total_images=100"
    assert shorter.digest == trials[0].digest
    # How it is logged does not make it another run; another data set does.
    (quiet, _), _ = trials_of(grid, "data", ["train.total_images=1000", "logging.every=7"])
    assert quiet.digest == trials[0].digest
    assert trials_of(grid, "more", ["train.total_images=1000"])[0][0].digest != trials[0].digest


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        ({"data.prefetch": 3}, r"data.prefetch changes nothing of what a run learns, and is not varied"),
        ({"objective.r1_gama": 1}, r"the config has no config.objective.r1_gama \(did you mean config.objective.r1_g"),
        ({"objective.r1_gamma": "x"}, r"config.objective.r1_gamma is 'x'; it must be a number, such as"),
        ({"objective": 1}, r"config.objective is a section"),
        ({"train.batch_size": 0}, r"the run a: config.train.batch_size is 0"),
    ],
)
def test_keys_and_values_that_no_config_has(overrides: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        trials_of(Grid("splice_loops:tiny", {"a": overrides}), "data")


def test_grids_that_are_none(repository: Path, tmp_path: Path) -> None:
    for grid in ("electrogan_grid", str(repository / "configs" / "electrogan_grid.py")):
        assert len(read_grid(grid).runs) == 6
        assert read_grid(grid).config == "electrogan"
    for text, match in (
        ("CONFIG = 'x'", "is not a grid: it has no RUNS"),
        ("RUNS = {}", "is not a grid"),
        ("1 /", "fails with SyntaxError"),
        ("CONFIG = 'x'; RUNS = {'a/b': {}}", "names its runs badly"),
        ("CONFIG = 'x'; RUNS = {}", "names its runs badly"),
    ):
        (tmp_path / "grid.py").write_text(text)
        with pytest.raises(BadInput, match=match):
            read_grid(str(tmp_path / "grid.py"))
    with pytest.raises(BadInput, match=f"there is no grid file {tmp_path}/nothing.py"):
        read_grid(str(tmp_path / "nothing.py"))
    with pytest.raises(BadInput, match=r"did you mean electrogan_grid"):
        read_grid("electrogan_gird")


def test_runs_of_one_name_are_all_kept() -> None:
    for values in ((0.5, 0.3, 0), (0.5, 0, 0.2), (1, -1), ("a", "a ", "a_run2")):
        runs = drawn("x", [Axis(("r1_gamma",), values)], "grid", 0, 0).runs
        assert [run["r1_gamma"] for run in runs.values()] == list(values)
    assert list(drawn("x", [Axis(("g",), (1, -1, 0.5))], "grid", 0, 0).runs) == ["g1", "g-1", "g0.5"]
    assert list(drawn("x", [Axis(("g",), ("a", "a "))], "grid", 0, 0).runs) == ["ga", "ga_run2"]
    grid = drawn("splice_loops:tiny", [Axis.parse("seed=1,2")], "grid", 0, 0)
    with pytest.raises(BadInput, match=r"seed is varied, and also the same for all runs"):
        trials_of(grid, "data", ["seed=3"])


def test_measures_have_the_last_checkpoint_if_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drumgan_jax.launch.sweeps.measures.read_config", lambda run: {})
    monkeypatch.setattr("drumgan_jax.launch.sweeps.measures.complete_steps", lambda folder: [4, 8])
    place = ["--measure=runs/a,runs/b,", f"--workdir={tmp_path / 'sweep'}", "--dry_run"]
    said = drumgan("sweep", *place, "--truncation=1,0.7", "--", "--samples=9").splitlines()
    assert len(said) == 4
    wanted = "--verb=evaluate --workdir=runs/b -- --step=8 --truncation=0.7 --metrics=fid:log_mel --sounds=0"
    assert wanted in said[3]
    assert said[3].endswith(f"--out={tmp_path}/sweep/results/b_step8_truncation0.7.json --samples=9")


PLAIN = ["--config=splice_loops:tiny", "--vary=objective.r1_gamma=1,5"]


def test_the_command_says_which_jobs_it_would_start(tmp_path: Path) -> None:
    place = ["--data=data", f"--workdir={tmp_path}", "--dry_run"]
    said = drumgan("sweep", *PLAIN, "--config.seed=3", "--env=A=b", *place).splitlines()
    assert len(said) == 2
    assert "launch --backend=local --name=sweep-" in said[0]
    assert f"--wait --env=A=b --workdir={tmp_path}/r1_gamma1 --config=splice_loops:tiny" in said[0]
    assert "--config.objective.r1_gamma=1 --config.seed=3 --data=data" in said[0]
    said = drumgan("sweep", "--grid=electrogan_grid", "--variant=tiny", "--set=seed=3", *place).splitlines()
    assert len(said) == 6
    assert "--config=electrogan:tiny" in said[5]
    halved = drumgan("sweep", *PLAIN, "--halving=2", "--rungs=2", "--config.train.total_images=800", *place)
    assert halved.count("--config.train.total_images=800 --data=data --config.train.total_images=400") == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], r"give one of --vary \(with --config\), --grid and --measure"),
        ([*PLAIN, "--grid=electrogan_grid", "--data=d"], r"give one of --vary"),
        (PLAIN, r"no data set was given; give --data"),
        (["--vary=a=1", "--data=d"], r"no config was given"),
        ([*PLAIN, "--data=d", "--image=i"], r"--image means nothing to --backend=local; it is for kubernetes"),
        (
            [*PLAIN, "--data=d", "--", "--samples=3"],
            r"--samples=3 is not a flag; what stands after -- is for --measure",
        ),
        ([*PLAIN, "--data=d", "--max_cost=3"], r"--max_cost needs the price of a chip"),
        (["--config=splice_loops:tiny", "--vary=objective.gamma=1", "--data=d"], r"has no config.objective.gamma"),
        pytest.param(
            [*PLAIN, "--data=gs://b/d", "--backend=kubernetes", "--chips=v5e:2x2", "--image=i"],
            r"--workdir=.* is on no disk that hosts of Kubernetes share; give one in gs://. Nothing was started",
            marks=pytest.mark.slow,
        ),
        (["--measure=nowhere"], r"nowhere"),
        (["--measure=,", "--data=d"], r"there is nothing to run"),
        ([*PLAIN, "--data=d", "--name=Odd", "--dry_run"], r"the job's name is 'Odd-"),
        (["--measure=nowhere", "--truncation=x"], r"--truncation has"),
    ],
)
def test_commands_that_start_nothing(tmp_path: Path, arguments: list[str], match: str) -> None:
    told = drumgan("sweep", f"--workdir={tmp_path / 'sweep'}", *arguments, status=2)
    assert re.search(match, told), told
    assert not (tmp_path / "sweep").exists()
