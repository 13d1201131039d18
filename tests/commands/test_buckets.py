"""Verbs on runs and files in a bucket do what they do on this machine; other addresses are refused."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from bucket_cases import Faults, bucket
from verbs import drumgan

import drumgan_jax
from drumgan_jax.core import places, write_lock
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.write_lock import only_writer
from drumgan_jax.launch.checks import check_places
from drumgan_jax.launch.job import Job
from drumgan_jax.launch.sweeps.running import Budget
from drumgan_jax.launch.sweeps.sweep import Sweep
from drumgan_jax.launch.sweeps.sweep import run as run_sweep
from drumgan_jax.launch.sweeps.trials import Trial

pytestmark = pytest.mark.usefixtures("unoptimized")


@pytest.fixture(scope="module")
def faults() -> Iterator[Faults]:
    with bucket() as found:
        yield found


@pytest.fixture(scope="module")
def there(run: Path, faults: Faults) -> str:
    """The toy run, in the bucket."""
    places.upload(run, places.place("gs://drums/runs/toy"))
    return "gs://drums/runs/toy"


def test_a_run_in_a_bucket_plays_as_on_this_machine(run: Path, there: str, tmp_path: Path) -> None:
    here, from_bucket = drumgan_jax.load(run), drumgan_jax.load(there)
    latents = here.draw([0, 1])
    np.testing.assert_array_equal(here.render(latents).waveforms, from_bucket.render(latents).waveforms)
    assert from_bucket.encoding is not None
    for place, name in ((run, "here"), (there, "there")):
        drumgan("generate", f"--run={place}", f"--out={tmp_path / name}", "--count=2")
    assert (tmp_path / "here/sound_0001.wav").read_bytes() == (tmp_path / "there/sound_0001.wav").read_bytes()


def test_pack_check_and_load_files_of_a_bucket(run: Path, there: str, tmp_path: Path) -> None:
    packed = "gs://drums/packed/toy.npz"
    drumgan("pack", f"--run={there}", f"--out={packed}", "--step=last")
    # Packing keeps the components that it has found in the run.
    copy = shutil.copytree(run, tmp_path / "toy")
    drumgan("pack", f"--run={copy}", f"--out={tmp_path / 'toy.npz'}", "--step=last")
    assert places.read(places.place(packed)) == (tmp_path / "toy.npz").read_bytes()
    assert drumgan_jax.load(packed).label_names == drumgan_jax.load(run).label_names
    assert "a run of task 'gan'" in drumgan("check", there)
    assert "UNSOUND" not in drumgan("check", packed)


def test_compare_reads_runs_of_a_bucket(run: Path, there: str, tmp_path: Path) -> None:
    line = {"step": 6, "evaluation/fid/log_mel": 3.0, "time/hours": 1.0}
    places.write(places.place(there) / "metrics.jsonl", json.dumps(line).encode())
    said = drumgan("compare", there, f"--plot={tmp_path / 'plot.png'}")
    assert "toy" in said
    assert "fid/log_mel" in said


@pytest.mark.parametrize(
    ("verb", "arguments", "said"),
    [
        (
            "generate",
            ["--run=gs://nowhere/run", "--out=o"],
            "gs://nowhere/run cannot be read (there is no such",
        ),
        (
            "generate",
            ["--run=hdfs://a/run", "--out=o"],
            "hdfs:// is not supported; give a folder of this machine, gs://",
        ),
        (
            "generate",
            ["--out=gs://drums/sounds"],
            "--out=gs://drums/sounds: this flag takes a path of this machine; copy",
        ),
        ("check", ["s3a://b"], "s3a:// is not supported"),
    ],
)
def test_addresses_that_verbs_refuse(faults: Faults, verb: str, arguments: list[str], said: str) -> None:
    try:
        found = drumgan(verb, *arguments, status=2)
    except flags.IllegalFlagValueError as error:
        found = str(error)
    assert said in found


@pytest.mark.parametrize(
    ("settings", "read_only", "match"),
    [
        (
            {"workdir": "gs://nowhere/run"},
            False,
            r"gs://nowhere/run cannot be written: there is no such bucket; make it",
        ),
        ({}, True, r"gs://drums/new cannot be written \(Forbidden.*check that the bucket is of your project"),
        ({"data": "gs://drums/nothing"}, False, r"gs://drums/nothing"),
    ],
)
def test_launch_looks_at_its_buckets_first(faults: Faults, settings: dict, read_only: bool, match: str) -> None:
    job = Job(**{"name": "loops", "config": "a:b", "workdir": "gs://drums/new", **settings})
    faults.read_only = read_only
    try:
        with pytest.raises(BadInput, match=match):
            check_places(job)
    finally:
        faults.read_only = False
    assert places.names_in(places.place("gs://drums/new")) == []


def test_launch_does_not_disturb_a_run_that_is_written(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_lock, "_BEAT", 0.1)
    job = Job("loops", "a:b", "gs://drums/held")
    check_places(job)
    with only_writer("gs://drums/held", "drumgan train", ""), pytest.raises(BadInput, match="by `drumgan train`"):
        check_places(job)


def test_a_sweep_in_a_bucket_goes_on(there: str) -> None:
    folder = places.place("gs://drums/sweep")
    trials = [Trial(f"t{n}", f"d{n}", {"gamma": n}, (), f"t{n}/config.json", 8) for n in (1, 2)]
    sweep = Sweep(folder, trials, {"config": "x"}, (), "")
    started: list[str] = []

    def command(trial: Trial, images: int) -> list[str]:
        places.write(folder / trial.name / "config.json", b'{"train": {"batch_size": 4}}')
        line = {"step": 2, "evaluation/fid/x": 3.0 - trial.varied["gamma"]}
        places.write(folder / trial.name / "metrics.jsonl", json.dumps(line).encode())
        return ["true"]

    for _ in range(2):
        ending = run_sweep(sweep, command, 1, Budget(), started.append)
    assert started == ["[1/2] t1", "[2/2] t2", "[1/2] t1: already complete", "[2/2] t2: already complete"]
    assert "best: t2, fid/x 1 at 0.008 kimg; its run is gs://drums/sweep/t2." in ending.text
    assert places.read(folder / "sweep.csv").decode().splitlines()[1] == "t2,2,complete,8,0,1.0"
    assert len(places.read(folder / "sweep.png")) > 1000
