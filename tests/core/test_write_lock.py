"""One writer a folder: who is refused, what the sentence says, and what a killed or halted writer leaves."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from drumgan_jax.core import write_lock
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.write_lock import CLAIM_NAME, LOCK_NAME, only_writer, writer_of

HOLDER = """
import sys, time
from drumgan_jax.core.write_lock import only_writer
with only_writer(sys.argv[1], "drumgan train", "go away"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "run"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.smoke
def test_the_second_ends_with_a_sentence_that_names_the_first(holder, tmp_path):
    expected = (
        rf"run is being written by `drumgan train` \(process {holder.pid} on .*, since .*\); wait for it, or leave\."
    )
    with pytest.raises(BadInput, match=expected), only_writer(tmp_path / "run", "drumgan pack", "leave"):
        pass
    # A halted process holds it as before; a killed one does not, and what its file says no longer matters.
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(BadInput, match=expected), only_writer(tmp_path / "run", "drumgan pack", "leave"):
        pass
    holder.kill()
    holder.wait()
    assert json.loads((tmp_path / "run" / LOCK_NAME).read_text())["process"] == holder.pid
    with only_writer(tmp_path / "run", "drumgan pack", "leave") as lock:
        assert json.loads((tmp_path / "run" / LOCK_NAME).read_text())["process"] == os.getpid()
        lock.check()
        with pytest.raises(BadInput, match="`drumgan pack`"), only_writer(tmp_path / "run", "drumgan fit", "leave"):
            pass
    assert os.listdir(tmp_path / "run") == []


def test_a_folder_that_came_to_nothing_is_gone(tmp_path):
    with only_writer(tmp_path / "a" / "run", "drumgan train", ""):
        pass
    assert os.listdir(tmp_path / "a") == []
    with only_writer(tmp_path / "a", "drumgan train", ""):
        (tmp_path / "a" / "config.json").write_text("{}")
    assert os.listdir(tmp_path / "a") == ["config.json"]


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(BadInput, match=r"run cannot be written \(File exists\); give another"):
        only_writer(tmp_path / "run", "drumgan train", "give another").__enter__()


@pytest.fixture
def others(tmp_path):
    """The claim of another host."""
    path = tmp_path / CLAIM_NAME
    claim = {"command": "drumgan train", "process": 7, "host": "other", "since": "then", "token": "x", "beat": 3}
    path.write_text(json.dumps(claim))
    return path, claim


def assert_respected(monkeypatch, tmp_path, path, claim):
    """A claim that beats keeps this process off."""

    def beats(seconds):
        claim["beat"] += 1
        path.write_text(json.dumps(claim))

    monkeypatch.setattr(write_lock.time, "sleep", beats)
    with pytest.raises(BadInput, match=r"written by `drumgan train` \(process 7 on other, since then\)"):
        only_writer(tmp_path, "drumgan pack", "").__enter__()
    assert os.listdir(tmp_path) == [CLAIM_NAME]


def test_a_claim_of_a_host_without_locks_is_respected_too(monkeypatch, tmp_path, others):
    assert_respected(monkeypatch, tmp_path, *others)
    # A dead one's is removed.
    monkeypatch.setattr(write_lock.time, "sleep", lambda seconds: None)
    with only_writer(tmp_path, "drumgan pack", ""):
        assert os.listdir(tmp_path) == [LOCK_NAME]
    assert os.listdir(tmp_path) == []


def test_who_only_asks_keeps_no_writer_off(tmp_path):
    asked, ended = [], threading.Event()

    def ask():
        while not ended.is_set():
            asked.append(writer_of(tmp_path))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(50):
            with only_writer(tmp_path, "drumgan pack", ""):
                (tmp_path / "a file").touch()
    finally:
        ended.set()
        thread.join()
    assert None in asked


def test_a_pipe_in_the_locks_place_is_nobody(tmp_path):
    os.mkfifo(tmp_path / LOCK_NAME)
    assert writer_of(tmp_path) is None


class TestWithoutLocks:
    """On a file system that has none, where time passes as the test says."""

    @pytest.fixture(autouse=True)
    def no_locks(self, monkeypatch):
        def flock(descriptor, operation):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(write_lock.fcntl, "flock", flock)

    def test_the_lock_of_a_host_that_has_locks_is_left_and_named(self, tmp_path):
        path = tmp_path / LOCK_NAME
        holder = {"command": "drumgan train", "process": 7, "host": "other", "since": "then"}
        path.write_text(json.dumps(holder))
        wanted = (
            r"is locked by `drumgan train` \(process 7 on other, since then\), and this host, whose mount of it has no"
            r" locks, cannot tell whether that still runs; if not, delete \.writer\.json, else leave\."
        )
        with pytest.raises(BadInput, match=wanted):
            only_writer(tmp_path, "drumgan pack", "leave").__enter__()
        assert json.loads(path.read_text()) == holder
        # One without a name is another process's that has just found that there are no locks.
        path.write_text("")
        with only_writer(tmp_path, "drumgan pack", ""):
            assert sorted(os.listdir(tmp_path)) == sorted([LOCK_NAME, CLAIM_NAME])

    def test_a_lock_that_comes_beside_a_claim_ends_the_claim(self, monkeypatch, tmp_path):
        made = write_lock._Claim._made

        def and_locked(self):
            done = made(self)
            (tmp_path / LOCK_NAME).write_text(json.dumps({"command": "drumgan fit"}))
            return done

        monkeypatch.setattr(write_lock._Claim, "_made", and_locked)
        with pytest.raises(BadInput, match="is locked by another process"):
            only_writer(tmp_path, "drumgan pack", "leave").__enter__()
        assert os.listdir(tmp_path) == [LOCK_NAME]

    def test_a_claim_that_is_gone_is_lost(self, monkeypatch, tmp_path):
        """Whoever took over by a lock has removed it."""
        monkeypatch.setattr(write_lock, "_BEAT", 0.001)
        with only_writer(tmp_path, "drumgan train", "") as lock:
            # Again where it was just being written.
            while not lock._lost.wait(0.01):
                (tmp_path / CLAIM_NAME).unlink(missing_ok=True)
            with pytest.raises(BadInput, match="was taken over while this process stood still"):
                lock.check()
        assert os.listdir(tmp_path) == []

    def test_a_claim_that_beats_is_respected(self, monkeypatch, tmp_path, others):
        assert_respected(monkeypatch, tmp_path, *others)

    def test_a_claim_that_is_still_is_taken_over_whatever_the_clocks_say(self, monkeypatch, tmp_path, others):
        waited = []
        monkeypatch.setattr(write_lock.time, "sleep", waited.append)
        monkeypatch.setattr(write_lock.time, "time", lambda: 0.0)
        with only_writer(tmp_path, "drumgan pack", "") as lock:
            lock.check()
            assert json.loads(others[0].read_text())["process"] == os.getpid()
        assert sum(waited) == 30.0
        assert os.listdir(tmp_path) == []

    def test_a_claim_that_ends_meanwhile_is_free(self, monkeypatch, tmp_path, others):
        monkeypatch.setattr(write_lock.time, "sleep", lambda seconds: others[0].unlink())
        with only_writer(tmp_path, "drumgan pack", ""):
            assert json.loads(others[0].read_text())["command"] == "drumgan pack"

    def test_a_writer_that_was_taken_for_dead_is_told(self, monkeypatch, tmp_path):
        monkeypatch.setattr(write_lock, "_BEAT", 0.001)
        with only_writer(tmp_path, "drumgan train", "") as lock:
            assert lock._lost.wait(0) is False
            taken = {"command": "drumgan fit", "process": 8, "host": "other", "since": "now", "token": "y"}
            while not lock._lost.is_set():
                (tmp_path / CLAIM_NAME).write_text(json.dumps(taken))
                lock._lost.wait(0.01)
            with pytest.raises(
                BadInput, match=r"was taken over while this process stood still: `drumgan fit` \(process 8"
            ):
                lock.check()
        # The other's claim stays.
        assert json.loads((tmp_path / CLAIM_NAME).read_text()) == taken

    def test_of_two_that_find_a_dead_claim_the_slower_gives_back_what_it_took(self, monkeypatch, tmp_path, others):
        path, claim = others
        alive = {**claim, "process": 9, "token": "z"}
        rename = write_lock.Path.rename

        def beats(seconds):
            if json.loads(path.read_text())["token"] == "z":
                alive["beat"] += 1
                path.write_text(json.dumps(alive))

        def quicker_one(self, target):
            # Between this process's judgement and its taking.
            if self == path and json.loads(path.read_text()) == claim:
                path.write_text(json.dumps(alive))
            return rename(self, target)

        monkeypatch.setattr(write_lock.time, "sleep", beats)
        monkeypatch.setattr(write_lock.Path, "rename", quicker_one)
        with pytest.raises(BadInput, match=r"`drumgan train` \(process 9 on other"):
            only_writer(tmp_path, "drumgan pack", "").__enter__()
        assert os.listdir(tmp_path) == [CLAIM_NAME]
