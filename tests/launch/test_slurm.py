"""Jobs on Slurm: the script, and a real cluster of two nodes on this machine that ends, loses and requeues them."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from quick_compilation import quick_flags
from several_hosts import STEPS, finish_all, write_config
from training_cases import timeless, write_dataset

from drumgan_jax.core.errors import BadInput
from drumgan_jax.launch.job import Job
from drumgan_jax.launch.slurm import Slurm, render
from drumgan_jax.runs.metrics import read_metrics

GOLDEN = """#!/bin/bash
#SBATCH --job-name=loops
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=1440
#SBATCH --partition=gpu
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=loops-%j.log
#SBATCH --signal=B:TERM@180
#SBATCH --cpus-per-task=8

source venv/bin/activate
export DRUMGAN_LOGS=/shared/run/logs
export A='b c'
export JAX_LOCAL_DEVICE_IDS=0,1,2,3,4,5,6,7
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-}"
[ -n "$SRUN_CPUS_PER_TASK" ] || unset SRUN_CPUS_PER_TASK
# srun tells the highest status only. The shell outlives a signal that is for its command.
told="loops-$SLURM_JOB_ID.status"; rm -f "$told".*
task='trap : TERM; "$@"; status=$?; echo $status > "$0.$SLURM_PROCID"; exit $status'
srun --kill-on-bad-exit=0 --label bash -c "$task" "$told" drumgan train \
--config=splice_loops:full --workdir=/shared/run --config.data.dir=/shared/data --config.train.batch_size=256 \
--distributed &
step=$!
# Told before the limit; the tasks save and end with 75.
trap 'scancel --signal=TERM "$SLURM_JOB_ID.0"' TERM
wait $step; status=$?
# A trap ends a wait before the step has ended, or hides how it did.
while [ $status -gt 128 ]; do
  before=$status; wait $step; status=$?
  [ $status -eq $before ] && ! kill -0 $step 2>/dev/null && break
done
# 2: something is to be mended first. 75, or ended by a signal: it is to go on.
grep -qsx 2 "$told".* && exit 2
# One that was cancelled is not RUNNING any more.
state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)
grep -qsxE "75|137|143" "$told".* && [ "$state" = RUNNING ] && scontrol requeue "$SLURM_JOB_ID"
exit $status
"""


def test_the_script() -> None:
    job = Job(
        "loops",
        "splice_loops:full",
        "/shared/run",
        data="/shared/data",
        overrides=("--config.train.batch_size=256",),
        chips="h100:2x8",
        environment={"A": "b c"},
        hours=24.0,
    )
    cluster = Slurm(partition="gpu", setup=("source venv/bin/activate",), options=("--cpus-per-task=8",))
    rendered = render(job, cluster)
    assert rendered.files["job.sbatch"] == GOLDEN
    assert rendered.commands == (("sbatch", "{folder}/job.sbatch"),)
    assert GOLDEN in rendered.text()
    checked = subprocess.run(["bash", "-n"], input=GOLDEN, text=True, capture_output=True)
    assert not checked.stderr


def test_what_slurm_cannot_take() -> None:
    job = Job("loops", "splice_loops:full", "/shared/run", chips="v5e:4x8")
    with pytest.raises(BadInput, match=r"--chips=v5e:4x8: nodes of Slurm have cards"):
        render(job, Slurm())
    with pytest.raises(
        BadInput, match=r"--hours=0.1 leaves no time between the start and the save; give at least 0.25"
    ):
        render(Job("loops", "splice_loops:full", "/shared/run", hours=0.1), Slurm())
    with pytest.raises(BadInput, match=r"is more than one line"):
        render(Job("loops", "splice_loops:full", "/shared/run"), Slurm(options=("--a\nrm",)))


def started(config: Path, run: Path, folder: Path, *more: str) -> "subprocess.Popen[str]":
    # The tasks of the test import the toy from its own configuration file.
    command = [sys.executable, "-m", "drumgan_jax.cli", "launch", "--backend=slurm", "--name=toy", "--hosts=2"]
    command += [f"--config={config}", f"--workdir={run}", f"--out={folder}", f"--setup=export PATH={folder}:$PATH"]
    command += [f"--env=XLA_FLAGS={quick_flags(1)}"]
    return subprocess.Popen([*command, *more], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def launch(config: Path, run: Path, folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    process = started(config, run, folder, *more)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def wait_until(reached, seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.slow
def test_a_job_that_is_told_to_stop_and_loses_a_node_ends_as_one_that_is_not(tmp_path: Path) -> None:
    from slurm_cluster import NODES, slurm_cluster, start_node, state_of

    data = write_dataset(tmp_path / "data")
    config, run = write_config(tmp_path, data.parent), tmp_path / "run"
    folder = tmp_path / "launch"
    folder.mkdir()
    drumgan = folder / "drumgan"
    drumgan.write_text(f'#!/bin/sh\nexec {sys.executable} -m drumgan_jax.cli "$@"\n')
    drumgan.chmod(0o755)

    def lines() -> int:
        return len(read_metrics(run)) if run.exists() else 0

    with slurm_cluster(tmp_path / "slurm") as daemons:
        ended = launch(config, run, folder)
        assert ended.returncode == 0, ended.stderr
        number = re.search(r"Submitted batch job (\d+)", ended.stdout)
        assert number is not None
        again = launch(config, run, folder)
        assert "nothing was started: a job named toy is queued or runs; give another --name" in again.stderr
        # As before its limit.
        wait_until(lambda: lines() > 5)
        subprocess.run(["scancel", "--batch", "--signal=TERM", number[1]], check=True)
        wait_until(lambda: state_of("toy") in ("PENDING", "REQUEUED", "REQUEUE_HOLD"))
        before = lines()
        # Slurm itself waits two minutes; at once, its daemons would take the job for the one that has just ended.
        time.sleep(10)
        subprocess.run(["scontrol", "update", f"JobId={number[1]}", "StartTime=now"], capture_output=True)
        wait_until(lambda: lines() > before + 3)
        # A node is lost with all that runs there.
        daemons[NODES[1]].kill()
        daemons[NODES[1]].wait()
        subprocess.run(["scontrol", "update", f"NodeName={NODES[1]}", "State=DOWN", "Reason=test"], check=True)
        daemons[NODES[1]] = start_node(NODES[1])
        subprocess.run(["scontrol", "update", f"NodeName={NODES[1]}", "State=RESUME"], capture_output=True)
        wait_until(lambda: state_of("toy") == "", 400)
        # Of what has ended, and of what its hosts refuse, a launch that waits has the status.
        for more, status in (((), 0), (("--config.seed=99",), 2)):
            ended = launch(config, run, folder, "--wait", *more)
            assert ended.returncode == status, (more, ended.stdout, ended.stderr)
        # A launch that waits and is told to stop cancels its job, which saves and is not put into the queue again.
        cancelled = tmp_path / "cancelled"
        waiting = started(config, cancelled, folder, "--wait")
        wait_until(lambda: cancelled.exists() and len(read_metrics(cancelled)) > 5)
        waiting.terminate()
        waiting.communicate(timeout=120)
        assert waiting.returncode == 75
        wait_until(lambda: state_of("toy") == "", 120)
        time.sleep(5)
        assert state_of("toy") == ""
        saved = max(int(step.name) for step in (cancelled / "checkpoints").iterdir())
        assert saved == int(read_metrics(cancelled)[-1]["step"]) < STEPS
    log = (folder / f"toy-{number[1]}.log").read_text()
    assert [int(line["step"]) for line in read_metrics(run)] == list(range(1, STEPS + 1)), log[-3000:]
    whole = tmp_path / "whole"
    finish_all(config, whole)
    assert len(timeless(read_metrics(whole))) == STEPS
    for one, other in zip(timeless(read_metrics(run)), timeless(read_metrics(whole)), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    assert os.path.isdir(run / "checkpoints" / str(STEPS))
    # Each start of each host has left what it printed.
    logs = [path.read_text() for path in (run / "logs").iterdir()]
    assert len(logs) >= 2 * 5
    assert sum("seed" in text for text in logs) >= 1
