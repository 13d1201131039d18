"""The flags of an engine, and what is said of one that cannot be used, before any work; test_on_engines.py has runs."""

import socket
import sys

import pytest
from ml_collections import ConfigDict

from drumgan_jax.core.disks import is_disk_full
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines import beam_run, engine_checks
from drumgan_jax.data_pipelines.engines import RUNNERS, Engine, engine_of
from drumgan_jax.data_pipelines.prepare import prepare

CONFIG = ConfigDict(
    {
        "name": "small",
        "representation": {"kind": "waveform", "sample_rate": 8000, "num_samples": 2000},
        "slicing": {"kind": "one_shot"},
        "preparation": {},
    }
)
ADDRESS, ENDPOINT = "dask_client_address=tcp://127.0.0.1:1", "job_endpoint=127.0.0.1:1"


@pytest.fixture
def nobody():
    """An address at which nothing answers."""
    with socket.socket() as taken:
        # Bound and not listening: connections are refused, and no other process gets the port.
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("name", RUNNERS)
def test_names_of_runners_are_short_or_long_in_any_case(name):
    options = [ENDPOINT] if name == "PortableRunner" else []
    if name == "DaskRunner":
        pytest.importorskip("distributed", reason="the extra dask is not installed")
    for asked in (name, name.lower(), name.upper(), name.removesuffix("Runner"), name.removesuffix("Runner").lower()):
        assert engine_of(asked, options, 0).runner == name
    assert engine_of("", (), 3) == Engine(workers=3)


def test_options_are_taken_with_and_without_dashes():
    engine = engine_of("flink", ["--parallelism=2", "flink_master=a:1", "--flink_master=b=2", "streaming"], 0)
    assert engine.options == ("--parallelism=2", "--flink_master=a:1", "--flink_master=b=2", "--streaming")
    assert engine.option("--flink_master") == "b=2"
    assert engine.option("--job_endpoint") is None


@pytest.mark.parametrize(
    ("runner", "options", "workers", "sentence"),
    [
        ("dusk", [], 0, r"'dusk' is no runner; is dask meant\? There are dask, portable, direct, flink, spark, prism,"),
        ("flunkRunner", [], 0, r"'flunkRunner' is no runner; is flink meant\? "),
        ("kubernetes", [], 0, r"'kubernetes' is no runner; there are dask, portable"),
        ("", ["streaming"], 0, r"--streaming is for a Beam runner; name one with --runner\."),
        ("", [ADDRESS], 0, r"--dask_client_address=\S+ is for a Beam runner; name one with --runner\."),
        ("flink", [ADDRESS], 0, r"--dask_client_address is for Dask; add --runner=dask, or leave the address out\."),
        ("direct", [ENDPOINT], 0, r"--job_endpoint is for PortableRunner, FlinkRunner, SparkRunner, PrismRunner; name"),
        (
            "portable",
            [],
            0,
            r"--runner=PortableRunner needs the address of a Beam job service: --job_endpoint=HOST:PORT",
        ),
        (
            "spark",
            [],
            2,
            r"--workers is of processes on this machine, and SparkRunner has workers of its own; leave it",
        ),
        ("direct", ["=4"], 0, r"'=4' is no option of Beam; write it as name=value\."),
        (
            "direct",
            ["direct_num_wokers=2"],
            0,
            r"--direct_num_wokers is no option of .*; is --direct_num_workers .*meant",
        ),
        (
            "direct",
            ["direct_num_workers=two"],
            0,
            r"Beam does not take an option \(argument --direct_num_workers: inv.*\)\.",
        ),
    ],
)
def test_what_cannot_be_is_told_before_any_work(tmp_path, capfd, runner, options, workers, sentence):
    with pytest.raises(BadInput, match=sentence):
        prepare(CONFIG, ["nowhere"], tmp_path / "out", runner=runner, beam_options=options, workers=workers)
    assert not (tmp_path / "out").exists()
    assert capfd.readouterr() == ("", "")


def test_a_job_service_that_does_not_answer(tmp_path, nobody):
    with pytest.raises(
        BadInput, match=rf"no Beam job service answers at {nobody} \(UNAVAILABLE: .*\); start one there"
    ):
        prepare(CONFIG, ["nowhere"], tmp_path, runner="portable", beam_options=[f"job_endpoint={nobody}"])


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadInput, match=r"--runner=DaskRunner needs d\S+, which is not .* 'drumgan-jax\[dask\]'"):
        engine_of("dask", [], 0)


class TestDask:
    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch):
        pytest.importorskip("distributed", reason="the extra dask is not installed")
        monkeypatch.setattr(engine_checks, "_SECONDS", 0.2)

    def test_a_scheduler_that_does_not_answer(self, tmp_path, nobody):
        with pytest.raises(BadInput, match=rf"no Dask scheduler answers at tcp://{nobody} \(Timed out .*\); start one"):
            prepare(CONFIG, ["nowhere"], tmp_path, runner="dask", beam_options=[f"dask_client_address=tcp://{nobody}"])

    @pytest.mark.parametrize(
        ("option", "sentence"),
        [
            ("dask_client_address=localhost", r"answers at localhost \(missing port number .*\); start"),
            ("dask_client_address=http://a:1", r"answers at http://a:1 \(unknown address scheme 'http' .*; start"),
            (
                "dask_npartitions=all",
                r"Beam does not take an option \(argument --dask_npartitions: invalid int value: ",
            ),
            ("dask_clientaddress=a:1", r"--dask_clientaddress is no option of .*; is --dask_client_address .*meant"),
        ],
    )
    def test_options(self, tmp_path, option, sentence):
        with pytest.raises(BadInput, match=sentence):
            prepare(CONFIG, ["nowhere"], tmp_path, runner="dask", beam_options=[option])


WORKER = """Pipeline job-0 failed in state FAILED: Traceback (most recent call last):
  File "a.py", line 1, in run
RuntimeError: something else [while running 'Process']

During handling of the above exception, another exception occurred:
  %s [while running 'Process-ptransform-19']
"""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            RuntimeError(WORKER % "drumgan_jax.core.errors.BadInput: the data set cannot be written; free some space."),
            r"the data set cannot be written; free some space\.$",
        ),
        (
            RuntimeError(WORKER % "grpc.RpcError: gone."),
            r"FlinkRunner did not finish the run \(grpc\.RpcError: gone\); the engine's own log has more\.$",
        ),
        (ImportError("no jar\n of it"), r"FlinkRunner did not finish the run \(no jar of it\); the engine's own log"),
        (KeyError(), r"FlinkRunner did not finish the run \(KeyError\); the engine's own log has more\.$"),
    ],
)
def test_an_engines_error_is_one_sentence(tmp_path, monkeypatch, error, sentence):
    def fails(*arguments):
        raise error

    monkeypatch.setattr(beam_run, "_pipeline", fails)
    with pytest.raises(BadInput, match=sentence) as told:
        prepare(CONFIG, ["synthetic:drums?count=2"], tmp_path, runner="flink")
    assert "\n" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_this_program_stays_a_traceback(tmp_path, monkeypatch):
    def fails(*arguments):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(beam_run, "_pipeline", fails)
    with pytest.raises(ZeroDivisionError):
        prepare(CONFIG, ["synthetic:drums?count=2"], tmp_path, runner="direct")


def test_a_run_that_somebody_cancelled_is_no_success(tmp_path, monkeypatch):
    class Cancelled:
        def run(self):
            return self

        def wait_until_finish(self):
            return "CANCELLED"

    monkeypatch.setattr(beam_run, "_pipeline", lambda *arguments: Cancelled())
    with pytest.raises(BadInput, match=r"SparkRunner did not finish the run \(its state is CANCELLED\)"):
        prepare(CONFIG, ["synthetic:drums?count=2"], tmp_path, runner="spark")


def test_an_error_that_is_its_own_cause_ends():
    error = RuntimeError("round")
    error.__cause__ = error
    assert not is_disk_full(error)
    error.__cause__ = OSError(28, "No space left on device")
    assert is_disk_full(error)
