"""An engine starts chunks again, or twice at once: the data set is that of an undisturbed run, byte for byte."""

import contextlib
import dataclasses
import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines import beam_run, builder, chunks, parts, progress, report
from drumgan_jax.data_pipelines.prepare import prepare

CONFIG = {
    "name": "small",
    "representation": {"kind": "waveform", "sample_rate": 8000, "num_samples": 2000},
    "slicing": {"kind": "one_shot"},
    "preparation": {"test_fraction": 0.25},
}
SOURCE = ["synthetic:drums?count=24"]


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The files of a data set that one process made."""
    return contents(prepare(ConfigDict(CONFIG), SOURCE, tmp_path_factory.mktemp("undisturbed"), workers=1).directory)


@pytest.fixture
def prepared_by(tmp_path, monkeypatch):
    """Prepares with an engine of the test's own, a function from the job and its chunks; the files of the data set."""

    def run_with(engine):
        monkeypatch.setattr(beam_run, "run", lambda job, chunks, *how: engine(job, chunks))
        return contents(prepare(ConfigDict(CONFIG), SOURCE, tmp_path, runner="direct").directory)

    return run_with


# Ends as by a kill, with a record of which only a part is on the disk.
DIES = """
import os, pathlib, sys
from drumgan_jax.data_pipelines.parts import Attempt
attempt = Attempt(pathlib.Path(sys.argv[1]), 0)
attempt.write(b"a record" * 100)
attempt._file.flush()
os.write(attempt._file.fileno(), b"a part of a record")
os._exit(9)
"""


def test_an_attempt_that_dies_half_way_is_made_again(undisturbed, prepared_by):
    def engine(job, chunks_):
        directory = Path(job.directory)
        assert subprocess.run([sys.executable, "-c", DIES, directory], check=False).returncode == 9
        (left,) = directory.glob("*.tfrecord")
        assert left.name.startswith("000000-")
        assert left.stat().st_size > 800
        for chunk in chunks_:
            chunks.process_chunk(job, chunk)
        assert len(list(directory.glob("000000-*.tfrecord"))) == 2

    assert prepared_by(engine) == undisturbed


@pytest.mark.parametrize("late", [False, True], ids=["together", "late"])
def test_two_attempts_at_once(undisturbed, prepared_by, monkeypatch, late):
    """Both have written all records before one of them counts; the other ends with it, or `late`, once that counts."""
    wait = threading.Barrier(2)
    finish = parts.Attempt.finish

    def together(attempt, summary):
        number = wait.wait(timeout=60)
        if late and number:
            ended[attempt._summary].wait(timeout=60)
        finish(attempt, summary)
        if late and not number:
            ended[attempt._summary].set()

    ended = {}

    def engine(job, chunks_):
        with ThreadPoolExecutor(2) as pool:
            for chunk in chunks_:
                ended[parts.summary_path(Path(job.directory), chunk.index)] = threading.Event()
                list(pool.map(chunks.process_chunk, [job, job], [chunk, chunk]))
        if late:
            named = {part["name"] for all_ in report.parts_by_split(Path(job.directory)).values() for part in all_}
            assert {path.name for path in Path(job.directory).glob("*.tfrecord")} == named

    monkeypatch.setattr(parts.Attempt, "finish", together)
    assert prepared_by(engine) == undisturbed


# All chunks, those that this process takes last first.
BACKWARDS = """
import pickle, sys
from drumgan_jax.data_pipelines import chunks
job, chunks_ = pickle.loads(sys.stdin.buffer.read())
for chunk in reversed(chunks_):
    chunks.process_chunk(job, chunk)
"""


@pytest.mark.slow
def test_two_processes_at_all_chunks_at_once(undisturbed, prepared_by):
    def engine(job, chunks_):
        two = [subprocess.Popen([sys.executable, "-c", BACKWARDS], stdin=subprocess.PIPE) for _ in range(2)]
        for process, order in zip(two, (chunks_, chunks_[::-1]), strict=True):
            process.stdin.write(pickle.dumps((job, order)))
            process.stdin.close()
        assert [process.wait(timeout=120) for process in two] == [0, 0]

    assert prepared_by(engine) == undisturbed


def test_a_chunk_that_is_done_is_not_made_again(undisturbed, prepared_by):
    """Not even by an engine that lost the worker which had made it."""

    def engine(job, chunks_):
        for chunk in chunks_:
            chunks.process_chunk(job, chunk)
        before = contents(Path(job.directory))
        for chunk in chunks_:
            assert chunks.process_chunk(job, chunk) is None, "something would go through the engine"
        assert contents(Path(job.directory)) == before

    assert prepared_by(engine) == undisturbed


def test_an_attempt_that_fails_deletes_its_files_and_no_others(tmp_path):
    with parts.Attempt(tmp_path, 7) as other:
        other.write(b"of the other")
        with contextlib.suppress(KeyError), parts.Attempt(tmp_path, 7) as attempt:
            attempt.write(b"of this one")
            raise KeyError
        other.finish({})
    (summary,) = report._summaries(tmp_path)
    assert [part["name"] for part in summary["parts"]] == [path.name for path in tmp_path.glob("*.tfrecord")]
    assert len(list(tmp_path.iterdir())) == 2


def test_parts_of_large_splits_are_renamed_to_shards(undisturbed, prepared_by, monkeypatch):
    seen = {}

    def engine(job, chunks_):
        for chunk in chunks_:
            chunks.process_chunk(job, chunk)
        seen.update({path.stat().st_ino: path.read_bytes() for path in Path(job.directory).glob("*.tfrecord")})

    def no_copy(*arguments):
        raise AssertionError("records are copied by the driver")

    monkeypatch.setattr(builder, "_SHARD_BYTES", 1000)
    monkeypatch.setattr(shutil, "copyfileobj", no_copy)
    shards = {name: content for name, content in prepared_by(engine).items() if "tfrecord" in name}
    assert len(shards) == len(seen) > 5
    assert sorted(shards.values()) == sorted(seen.values())
    for split in ("train", "test"):
        whole = b"".join(shards[name] for name in sorted(shards) if f"-{split}." in name)
        assert whole == undisturbed[f"small-{split}.tfrecord-00000-of-00001"]


def test_files_of_a_chunk_that_is_made_twice_are_counted_once(tmp_path):
    with progress.followed(tmp_path, 10, show=False):
        tally = progress.Tally(tmp_path / progress.PROGRESS_NAME)
        assert tally.count() == 0
        for chunk, done in ((0, 1), (1, 1), (0, 2), (0, 1), (0, 2), (0, 3)):
            progress.tell(tmp_path, chunk, done)
        assert tally.count() == 4
        with open(tmp_path / progress.PROGRESS_NAME, "ab") as file:
            file.write(b"\1\0\0")
        assert tally.count() == 4
        with open(tmp_path / progress.PROGRESS_NAME, "ab") as file:
            file.write(b"\0\2\0\0\0")
        assert tally.count() == 5


def test_a_worker_that_does_not_see_the_folders_says_so(prepared_by, tmp_path):
    (tmp_path / "elsewhere").mkdir()

    def without_staging(job, chunks_):
        chunks.process_chunk(dataclasses.replace(job, directory=str(tmp_path / "elsewhere")), chunks_[0])

    def without_recordings(job, chunks_):
        chunks.process_chunk(dataclasses.replace(job, sources=(str(tmp_path / "recordings"),)), chunks_[0])

    def says_that_all_is_done(job, chunks_):
        for chunk in chunks_[:-2]:
            chunks.process_chunk(job, chunk)

    with pytest.raises(BadInput, match=r"a worker on \S+ does not see .*elsewhere; put --data_dir and the recordings"):
        prepared_by(without_staging)
    with pytest.raises(BadInput, match=r"a worker on \S+ does not see .*recordings; put"):
        prepared_by(without_recordings)
    with pytest.raises(BadInput, match=r"the workers finished, and 2 of 24 chunks are not in .*; put --data_dir where"):
        prepared_by(says_that_all_is_done)
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
