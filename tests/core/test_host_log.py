"""What a command prints is kept, passed on, and ends as the command does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drumgan_jax.core import host_log, places

RUN = "import sys; from pathlib import Path; from drumgan_jax.core.host_log import run_logged"
RUN += "; sys.exit(run_logged([sys.executable, '-c', *sys.argv[2:]], Path(sys.argv[1])))"


def start(folder: Path, code: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RUN, str(folder), code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_both_streams_are_kept_and_passed_on(tmp_path: Path) -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    for _ in range(2):
        process = start(tmp_path / "logs", code)
        assert process.communicate(timeout=60) == ("out\n", "err\n")
        assert process.returncode == 3
    # One file for each process.
    logs = sorted((tmp_path / "logs").iterdir())
    assert len(logs) == 2
    assert {tuple(sorted(log.read_text().split())) for log in logs} == {("err", "out")}


def test_signals_reach_the_command_and_its_end_is_this_process_s(tmp_path: Path) -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); print('up', flush=True)"
    process = start(tmp_path, f"{code}; time.sleep(60)")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 75
    process = start(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = start(tmp_path / "file" / "logs", "print('out', flush=True); print('more')")
    out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == ("out\nmore\n", 0)
    assert err.count("no log is kept in") == 1


def test_a_log_in_a_bucket_is_written_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, bytes] = {}
    monkeypatch.setattr(places, "write", lambda path, content: written.update({str(path): content}))
    monkeypatch.setattr(host_log, "_MOST_BYTES", 4)
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    log = host_log._Log(places.place("gs://drums/run/logs"), "a")
    log.add(b"one")
    log.upload_if_due()
    assert not written
    now[0] = 100.0
    log.upload_if_due()
    log.add(b"two")
    log.close()
    log.add(b"three")
    log.close()
    assert written == {"gs://drums/run/logs/a.log": b"onetwo", "gs://drums/run/logs/a.2.log": b"three"}


def test_the_command_line_keeps_its_output_where_it_is_told(tmp_path: Path) -> None:
    told = {**os.environ, host_log.VARIABLE: str(tmp_path)}
    command = [sys.executable, "-m", "drumgan_jax.cli", "--help"]
    ended = subprocess.run(command, env=told, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("usage: drumgan VERB")
    (log,) = tmp_path.iterdir()
    assert log.read_text() == ended.stdout
