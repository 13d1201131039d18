"""`prepare` on clusters of separate processes on this machine: byte for byte the data set of one process alone."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines import dask_run
from drumgan_jax.data_pipelines.prepare import prepare

pytestmark = pytest.mark.slow

CONFIG = ConfigDict(
    {
        "name": "small",
        "representation": {
            "kind": "log_mel",
            "sample_rate": 8000,
            "n_fft": 128,
            "hop_length": 64,
            "num_frames": 16,
            "num_mels": 8,
        },
        "slicing": {"kind": "one_shot"},
        "preparation": {"test_fraction": 0.25},
    }
)
SOURCE = ["synthetic:drums?count=1500"]


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return contents(prepare(CONFIG, SOURCE, tmp_path_factory.mktemp("alone"), workers=1).directory)


@pytest.fixture
def processes(tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts modules of Python in a folder of their own, and ends them with the test."""
    started: list[subprocess.Popen] = []
    (tmp_path / "cluster").mkdir()

    def start(*command: str) -> subprocess.Popen:
        with open(tmp_path / "cluster" / f"{len(started)}.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=tmp_path / "cluster", stdout=log, stderr=log
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
    for process in started:
        process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


class TestDask:
    @pytest.fixture
    def cluster(self, processes):
        """The address of a scheduler, and its two workers."""
        distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
        port = free_port()
        address = f"tcp://127.0.0.1:{port}"
        scheduler = processes("distributed.cli.dask_scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard")
        until(lambda: answers(port))
        worker = ("distributed.cli.dask_worker", address, "--nthreads=1", "--no-nanny", "--no-dashboard")
        workers = [processes(*worker) for _ in range(2)]
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
        return address, scheduler, workers

    def prepared(self, address, folder):
        options = [f"dask_client_address={address}"]
        return contents(prepare(CONFIG, SOURCE, folder, runner="dask", beam_options=options).directory)

    @pytest.fixture
    def when_some_chunks_are_done(self, monkeypatch, tmp_path):
        """Has a function called in the middle of the run, once; what it was called with comes back in a list."""
        wait, seen = dask_run._wait, []

        def through(what):
            def waited(result):
                parts = next((tmp_path / "data").glob("small/.preparing-*/parts"))
                until(lambda: len(list(parts.glob("[0-9]*.json"))) >= 6)
                seen.append(sorted(path.name for path in parts.glob("[0-9]*.json")))
                what()
                wait(result)

            monkeypatch.setattr(dask_run, "_wait", waited)
            return seen

        return through

    def test_two_workers(self, cluster, alone, tmp_path):
        assert self.prepared(cluster[0], tmp_path / "data") == alone

    def test_a_worker_is_killed(self, cluster, alone, tmp_path, when_some_chunks_are_done):
        address, _, workers = cluster
        seen = when_some_chunks_are_done(lambda: os.kill(workers[0].pid, signal.SIGKILL))
        assert self.prepared(address, tmp_path / "data") == alone
        assert workers[0].wait() == -signal.SIGKILL
        assert workers[1].poll() is None
        assert 6 <= len(seen[0]) < 30, "the worker was not killed in the middle"
        assert os.listdir(tmp_path / "data" / "small") == ["1.0.0"]

    def test_all_workers_are_killed(self, cluster, tmp_path, when_some_chunks_are_done, monkeypatch):
        address, _, workers = cluster
        monkeypatch.setattr(dask_run, "_SECONDS_WITHOUT_WORKERS", 5)
        when_some_chunks_are_done(lambda: [worker.kill() for worker in workers])
        with pytest.raises(BadInput, match="the Dask cluster has lost all its workers, and none came back"):
            self.prepared(address, tmp_path / "data")
        assert not (tmp_path / "data" / "small").exists()

    def test_the_scheduler_is_killed(self, cluster, tmp_path, when_some_chunks_are_done, caplog):
        address, scheduler, _ = cluster
        when_some_chunks_are_done(scheduler.kill)
        with pytest.raises(
            BadInput,
            match=r"DaskRunner did not finish the run \(.*connection-lost.*\); the engine's own log has more\.$",
        ):
            self.prepared(address, tmp_path / "data")
        assert not caplog.records
        assert not (tmp_path / "data" / "small").exists()

    def test_a_scheduler_without_workers(self, processes, tmp_path):
        pytest.importorskip("distributed", reason="the extra dask is not installed")
        port = free_port()
        processes("distributed.cli.dask_scheduler", "--host=127.0.0.1", f"--port={port}", "--no-dashboard")
        until(lambda: answers(port))
        with pytest.raises(BadInput, match=r"the Dask scheduler at \S+ has no workers; start some: dask worker tcp://"):
            self.prepared(f"tcp://127.0.0.1:{port}", tmp_path / "data")

    def test_a_worker_that_does_not_see_the_recordings(self, cluster, tmp_path, monkeypatch):
        seen = "drumgan_jax.data_pipelines.sources.paths_of"
        monkeypatch.setattr(seen, lambda sources: ("/recordings/of/this/machine/alone",))
        with pytest.raises(BadInput, match=r"^a worker on \S+ does not see /recordings/of/this/machine/alone; put"):
            self.prepared(cluster[0], tmp_path / "data")


class TestPortable:
    @pytest.fixture
    def endpoint(self, processes):
        """The address of Beam's own job service, which runs jobs on this machine."""
        port = free_port()
        processes("apache_beam.runners.portability.local_job_service_main", f"--port={port}")
        until(lambda: answers(port))
        return f"localhost:{port}"

    @pytest.mark.parametrize(
        "environment",
        [
            ["environment_type=LOOPBACK"],
            [
                "environment_type=beam:env:harness_subprocess_python:v1",
                f"environment_config=exec {sys.executable} -m drumgan_jax.data_pipelines.worker",
                "direct_num_workers=2",
            ],
        ],
        ids=["loopback", "two processes"],
    )
    def test_a_job_service(self, endpoint, environment, alone, tmp_path):
        options = [f"job_endpoint={endpoint}", *environment]
        result = prepare(CONFIG, SOURCE, tmp_path / "data", runner="portable", beam_options=options)
        assert contents(result.directory) == alone

    def test_a_job_that_fails(self, endpoint, tmp_path, capfd):
        """Without an environment it is Docker, of which there is no such image."""
        options = [f"job_endpoint={endpoint}", "environment_config=no-such-image-as-this:latest"]
        with pytest.raises(BadInput) as told:
            prepare(CONFIG, SOURCE, tmp_path / "data", runner="portable", beam_options=options)
        assert re.fullmatch(
            r"PortableRunner did not finish the run \(.*\); the engine's own log has more\.", str(told.value)
        )
        assert len(str(told.value)) < 300
        assert capfd.readouterr().err == ""

    def test_a_worker_that_does_not_see_the_recordings(self, endpoint, tmp_path, monkeypatch):
        seen = "drumgan_jax.data_pipelines.sources.paths_of"
        monkeypatch.setattr(seen, lambda sources: ("/recordings/of/this/machine/alone",))
        options = [f"job_endpoint={endpoint}", "environment_type=LOOPBACK"]
        with pytest.raises(BadInput, match=r"^a worker on \S+ does not see /recordings/of/this/machine/alone; put"):
            prepare(CONFIG, SOURCE, tmp_path / "data", runner="portable", beam_options=options)


def test_the_command_line_with_beams_direct_runner(tmp_path, repository):
    """As the flags are written, with a process of its own."""
    command = [sys.executable, "-m", "drumgan_jax.cli", "prepare", "--config=configs/splice_loops.py:tiny"]
    command += ["--audio=synthetic:drums?count=12", f"--data_dir={tmp_path}", "--runner=DirectRunner"]
    command += ["--beam_option=direct_num_workers=2"]
    run = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "12 of 12 files gave 12 examples" in run.stdout
    assert "Traceback" not in run.stderr
    command[-2:] = ["--runner=dusk"]
    run = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("drumgan prepare: 'dusk' is no runner; is dask meant?")
