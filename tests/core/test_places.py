"""Places in buckets: what is written there, how requests are tried again, and what is refused."""

import dataclasses
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from bucket_cases import Faults, bucket

from drumgan_jax.core import places, write_lock
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.digests import CRC32C, DIGESTS_NAME, SHA256, Digests, has_digests, read_digests, write_digests
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.json_files import read_json
from drumgan_jax.core.write_lock import CLAIM_NAME, only_writer, writer_of
from drumgan_jax.training.heartbeats import Ending, Heartbeat, Kind, read_heartbeats, shortened, write_heartbeat


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    monkeypatch.setattr(places, "_FIRST_WAIT", 0.01)
    with bucket() as found:
        yield found


@pytest.mark.parametrize(
    ("address", "match"),
    [
        ("hdfs://there/run", r"hdfs:// is not supported; give a folder of this machine, gs://BUCKET/"),
        ("file:///run", r"file:// is not supported"),
        ("HTTPS://a/b", r"https:// is not supported"),
        ("gs://", r"names no bucket; write it as gs://BUCKET/FOLDER"),
        ("gs:///run", r"names no bucket"),
    ],
)
def test_addresses_that_cannot_be_used(address: str, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        places.place(address)


def test_runs_are_not_in_s3_and_libraries_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"s3://b/run cannot be a run directory, since Orbax"):
        places.run_place("s3://b/run")
    monkeypatch.setattr(places.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        BadInput, match=r"gs://b/run is read by gcsfs, which is not installed; pip install 'drumgan-jax\[sto"
    ):
        places.place("gs://b/run")


def test_a_path_of_this_machine_stays_one(tmp_path: Path) -> None:
    assert places.place(tmp_path) == tmp_path
    assert places.run_place("a/b") == Path("a/b").absolute()
    assert not places.is_remote(tmp_path)
    assert not places.is_remote("C:\\runs")


def test_an_object_is_there_whole_or_not_at_all(faults: Faults) -> None:
    path = places.place("GS://drums/folder/a.json")
    assert str(path) == "gs://drums/folder/a.json"
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text(f"half {1 / 0}")
    assert not path.exists()
    with replacing(path) as temporary:
        assert temporary.suffix == ".json"
        temporary.write_text('{"a": 1}')
    assert read_json(path, "") == {"a": 1}
    assert places.size_of(path) == 8
    assert places.read(path, 2, 5) == b'a":'
    assert places.read(path, 6, 100) == b"1}"
    assert places.names_in(path.parent) == ["a.json"]
    places.drop(path.parent)
    places.drop(path.parent)
    with pytest.raises(
        BadInput, match=r"^gs://drums/folder/a.json cannot be read \(there is no such object\); mend it\.$"
    ):
        read_json(path, "mend it")


def test_requests_that_fail_are_tried_again(faults: Faults) -> None:
    """Also if an answer is cut, or shorter than what was asked for."""
    content = os.urandom(10_000)
    path = places.place("gs://drums/sounds.bin")
    faults.share = 0.3
    for number in range(20):
        places.write(path, content)
        assert places.read(path, number, 9_000) == content[number:9_000]
    assert all(faults.happened.values()), faults.happened


def test_what_is_never_answered_ends_in_a_sentence(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    faults.share, faults.kinds = 1.0, ("unavailable",)
    monkeypatch.setattr(places, "_TRIES", 2)
    asked: list[int] = []

    def request() -> None:
        asked.append(1)
        raise ConnectionError("nobody answers")

    with pytest.raises(OSError, match="nobody answers"):
        places.patiently(request)
    assert len(asked) == 2


def test_a_request_that_fails_is_not_taken_for_an_absent_object(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a checkpoint whose digests were asked for in vain would be deleted as incomplete."""
    path = places.place("gs://drums/checkpoints/3/digests.json")
    places.write(path, b"{}")
    assert path.exists()
    assert path.is_file()
    assert path.parent.is_dir()
    assert not (path.parent / "a").exists()
    assert list(path.parent.parent.iterdir()) == [path.parent]
    assert list(path.parent.parent.glob("*/digests.json")) == [path]

    class Failing:
        def info(self, *_: object) -> None:
            raise ConnectionError("nobody answers")

    monkeypatch.setattr(places, "filesystem", lambda _: Failing())
    kept = Digests(path.parent, CRC32C, {"a": [1, "00"]})
    asks = (path.exists, path.is_file, path.is_dir, lambda: has_digests(path.parent), kept.altered)
    for ask in (*asks, lambda: kept.of_other_size(["a"])):
        with pytest.raises(places.NotReached, match="nobody answers"):
            ask()


def test_a_claim_outlives_requests_that_fail(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """But not when none has succeeded for so long that another process may have taken it over."""
    monkeypatch.setattr(write_lock, "_BEAT", 0.05)
    write, failing = places.write_generation, threading.Event()

    def sometimes(*arguments: str) -> str | None:
        if failing.is_set():
            raise RuntimeError("an error of a library")
        return write(*arguments)

    monkeypatch.setattr(places, "write_generation", sometimes)
    with only_writer("gs://drums/run", "drumgan train", "") as lock:
        failing.set()
        time.sleep(0.15)
        failing.clear()
        time.sleep(0.2)
        lock.check()
        failing.set()
        time.sleep(1.0)
        with pytest.raises(BadInput, match="was taken over"):
            lock.check()


def test_a_claim_that_another_writer_has_taken_is_not_written_any_more(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_lock, "_BEAT", 0.05)
    path = places.place("gs://drums/run") / CLAIM_NAME
    with only_writer("gs://drums/run", "drumgan train", "") as lock:
        places.write(path, b'{"token": "another"}')
        time.sleep(0.5)
        with pytest.raises(BadInput, match="was taken over"):
            lock.check()
    assert places.read(path) == b'{"token": "another"}'


@pytest.mark.parametrize("kind", [CRC32C, SHA256])
def test_digests_of_objects(faults: Faults, kind: str) -> None:
    folder = places.place("gs://drums/checkpoint")
    for name in ("a", "inner/b"):
        places.write(folder / name, name.encode())
    write_digests(folder, kind)
    found = read_digests(folder, "")
    assert list(found.files) == ["a", "inner/b"]
    assert found.altered() == found.unlisted() == []
    places.write(folder / "a", b"x")
    places.write(folder / "c", b"x")
    (folder / "inner/b").unlink()
    assert found.altered() == ["a", "inner/b"]
    assert found.unlisted() == ["c"]
    assert found.of_other_size(["a", "inner/b"]) == ["inner/b"]
    assert (folder / DIGESTS_NAME).is_file()


def test_heartbeats_of_a_bucket_come_in_one_listing(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = places.place("gs://drums/run/heartbeats/a")
    assert read_heartbeats(folder, 3) == {}
    ending = Ending(Kind.TOLD, shortened('the disk of "x" is full \u2013 ' * 99), 2)
    beats = {number: Heartbeat(number, "host", 7, beat=number, ended=ending if number else None) for number in (0, 2)}
    for beat in beats.values():
        write_heartbeat(folder, dataclasses.replace(beat, beat=9))
        write_heartbeat(folder, beat)
    asked: list[str] = []
    filesystem = places.filesystem

    class Counting:
        def find(self, *arguments: object, **more: object) -> object:
            asked.append("find")
            return filesystem(folder).find(*arguments, **more)

    monkeypatch.setattr(places, "filesystem", lambda _: Counting())
    assert read_heartbeats(folder, 3) == beats
    assert asked == ["find"]


def test_one_writer_a_folder_of_a_bucket(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_lock, "_BEAT", 0.1)
    folder = "gs://drums/run"
    with only_writer(folder, "drumgan train", "give another --workdir") as lock:
        assert "drumgan train" in (writer_of(folder) or "")
        with (
            pytest.raises(
                BadInput, match=r"gs://drums/run is being written by `drumgan train` \(process .*give another"
            ),
            only_writer(folder, "drumgan train", "give another --workdir"),
        ):
            raise AssertionError
        lock.check()
    assert writer_of(folder) is None


@pytest.mark.parametrize("ended", [True, False])
def test_a_claim_of_a_dead_writer_is_taken_over(faults: Faults, monkeypatch: pytest.MonkeyPatch, ended: bool) -> None:
    """At once if it was of this machine; else when its heartbeat has not come for long."""
    monkeypatch.setattr(write_lock, "_BEAT", 0.05 if not ended else 100.0)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    claim = {
        "command": "drumgan train",
        "process": process.pid,
        "host": "here",
        "since": "then",
        "token": "a",
        "beat": 3,
    }
    folder = places.place("gs://drums/run")
    with replacing(folder / CLAIM_NAME) as temporary:
        temporary.write_text(write_lock.json.dumps({**claim, "machine": write_lock._machine() if ended else "another"}))
    with only_writer(folder, "drumgan train", ""):
        assert str(os.getpid()) in (writer_of(folder) or "")


def test_only_one_of_many_takes_a_claim_over(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_lock, "_BEAT", 0.1)
    folder = places.place("gs://drums/run")
    dead = {"command": "a", "process": 1, "host": "b", "since": "c", "token": "d", "beat": 0, "machine": "another"}
    with replacing(folder / CLAIM_NAME) as temporary:
        temporary.write_text(write_lock.json.dumps(dead))
    held, refused, leave = [], [], threading.Event()

    def take() -> None:
        try:
            with only_writer(folder, "drumgan train", ""):
                held.append(1)
                leave.wait(20)
        except BadInput:
            refused.append(1)
            leave.set()

    threads = [threading.Thread(target=take) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(held), len(refused)) == (1, 1)


@pytest.mark.parametrize(
    ("address", "read_only", "match"),
    [
        (
            "gs://nowhere/run",
            False,
            r"gs://nowhere/run cannot be written: there is no such bucket; make it, or give another",
        ),
        (
            "gs://drums/run",
            True,
            r"cannot be written \(Forbidden.*your project and that you may write there, or give another",
        ),
    ],
)
def test_buckets_that_cannot_be_written(faults: Faults, address: str, read_only: bool, match: str) -> None:
    faults.read_only = read_only
    with pytest.raises(BadInput, match=match), only_writer(address, "drumgan train", "give another --workdir"):
        raise AssertionError
