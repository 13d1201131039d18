"""Runs and data sets in a bucket: a whole training with kills and faults equals one on this machine."""

import logging
import os
import random
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import several_hosts
from bucket_cases import Faults, bucket
from forked_cases import Forked, toy_training
from several_hosts import write_config
from training_cases import finish, timeless, write_dataset

from drumgan_jax.core import places
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.runs.checkpoint_items import load_ema
from drumgan_jax.runs.config import complete_steps
from drumgan_jax.runs.metrics import read_metrics
from drumgan_jax.training.heartbeats import FOLDER, read_heartbeats


@pytest.fixture
def faults() -> Faults:
    with bucket() as found:
        yield found


@pytest.fixture
def data_dir(tmp_path: Path, faults: Faults) -> Path:
    """A data set on this machine, and the same one in the bucket."""
    directory = write_dataset(tmp_path / "data")
    places.upload(directory.parent.parent, places.place("gs://drums/data"))
    return directory.parent


def start(data_dir: str | Path, run_dir: str | Path, compiled: Path, steps: int) -> Forked:
    told = {name: os.environ[name] for name in ("STORAGE_EMULATOR_HOST", "TENSORSTORE_GCS_HTTP_URL")}
    arguments = os.fspath(data_dir), os.fspath(run_dir), 8 * steps
    return Forked(toy_training, *arguments, devices=4, environment=told, compiled=compiled)


def test_a_data_set_is_read_by_ranges(data_dir: Path, faults: Faults) -> None:
    here, there = open_dataset(data_dir), open_dataset("gs://drums/data")
    assert str(there.directory) == "gs://drums/data/toy/1.0.0"
    assert there.splits == here.splits
    assert there.fingerprint("train", 24) == here.fingerprint("train", 24)
    faults.share = 0.2
    for item in range(24):
        np.testing.assert_equal(
            there.example("train", item, ("x", "labels")), here.example("train", item, ("x", "labels"))
        )


def test_a_copy_of_a_data_set_is_made_once(tmp_path: Path, data_dir: Path, faults: Faults) -> None:
    cache = tmp_path / "cache"
    faults.share = 0.05
    copied = open_dataset("gs://drums/data", os.fspath(cache))
    assert copied.directory.is_relative_to(cache)
    assert copied.fingerprint("train", 24) == open_dataset(data_dir).fingerprint("train", 24)
    faults.share, asked = 1.0, dict(faults.happened)
    faults.kinds = ("late",)
    shard = next(copied.directory.glob("*.tfrecord-00000*"))
    times = {path: path.stat().st_mtime_ns for path in copied.directory.iterdir()}
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + b"x")
    assert open_dataset("gs://drums/data", os.fspath(cache)).directory == copied.directory
    assert shard.read_bytes() == content
    assert {path for path in times if path.stat().st_mtime_ns != times[path]} == {shard}
    assert faults.happened["late"] - asked["late"] < 30
    with pytest.raises(BadInput, match=r"config.data.cache=gs://drums/cache is no folder of this machine"):
        open_dataset("gs://drums/data", "gs://drums/cache")
    (tmp_path / "file").touch()
    with pytest.raises(
        BadInput, match=r"file \(config.data.cache\) cannot hold gs://drums/data/toy/1.0.0 \(.*; make room"
    ):
        open_dataset("gs://drums/data", os.fspath(tmp_path / "file"))
    places.write(places.place("gs://drums/data/toy/1.0.0/features.json"), b"{}")
    with pytest.raises(BadInput, match=r"features.json is not as it was written"):
        open_dataset("gs://drums/data", os.fspath(tmp_path / "another"))
    places.place("gs://drums/data/toy/1.0.0/digests.json").unlink()
    with pytest.raises(BadInput, match=r"has no digests.json, by which config.data.cache tells"):
        open_dataset("gs://drums/data", os.fspath(cache))


def test_a_data_set_in_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = pytest.importorskip("moto.server", reason="moto is not installed (extra dev)")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    directory = write_dataset(tmp_path / "data")
    service = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    service.start()
    host, port = service.get_host_and_port()
    told = {"ENDPOINT_URL": f"http://{host}:{port}", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}
    for name, value in {**told, "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    try:
        places.filesystem(places.place("s3://drums/data")).mkdir("drums")
        places.upload(directory.parent, places.place("s3://drums/data"))
        there, here = open_dataset("s3://drums/data"), open_dataset(directory)
        assert there.fingerprint("train", 24) == here.fingerprint("train", 24)
        np.testing.assert_equal(there.example("train", 3, ("x",)), here.example("train", 3, ("x",)))
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("steps", "kills", "share"), [(20, 2, 0.01), pytest.param(100, 20, 0.02, marks=pytest.mark.slow)]
)
def test_a_killed_run_in_a_bucket_equals_one_on_this_machine(
    tmp_path: Path, data_dir: Path, faults: Faults, steps: int, kills: int, share: float
) -> None:
    here, there = tmp_path / "run", places.place("gs://drums/runs/toy")
    compiled = tmp_path / "compiled"
    finish(start(data_dir, here, compiled, steps))
    faults.share = share
    rng, killed = random.Random(0), 0
    while killed < kills:
        goal = len(read_metrics(there)) + rng.randrange(1, 4)
        process = start("gs://drums/data", there, compiled, steps)
        while process.poll() is None and len(read_metrics(there)) < goal:
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 0.5))
        assert process.poll() is None, process.communicate()
        process.kill()
        process.communicate()
        killed += 1
    finish(start("gs://drums/data", there, compiled, steps))
    assert timeless(read_metrics(there)) == timeless(read_metrics(here))
    assert complete_steps(there / "checkpoints") == complete_steps(here / "checkpoints")
    jax.tree.map(np.testing.assert_array_equal, load_ema(there), load_ema(here))
    assert not places.names_in(there / "metrics")


@pytest.mark.slow
def test_hosts_of_a_run_in_a_bucket_see_each_other_by_it(tmp_path: Path, data_dir: Path, faults: Faults) -> None:
    """One of three workers is killed: all commands end alike, and the same commands end as ones that were not."""
    there, whole = places.place("gs://drums/runs/three"), tmp_path / "whole"
    config = write_config(tmp_path, data_dir)
    processes = several_hosts.start(config, there, 20.0)
    deadline = time.monotonic() + 300
    while len(read_metrics(there)) < 10 and time.monotonic() < deadline:
        time.sleep(0.2)
    (attempt,) = (there / FOLDER).iterdir()
    os.kill(read_heartbeats(attempt, several_hosts.COUNT)[1].pid, signal.SIGKILL)
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert {process.returncode for process in processes} == {75}, said
    (line,) = {text.splitlines()[-1] for text in said}
    assert "was ended by SIGKILL; the run goes on from step" in line
    several_hosts.finish_all(config, there)
    several_hosts.finish_all(config, whole)
    assert timeless(read_metrics(there)) == timeless(read_metrics(whole))
    assert not places.names_in(there / FOLDER)
