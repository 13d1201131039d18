"""Three supervising parents, each of a stand-in for a worker: they end together, with one sentence and one status."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.places import NotReached
from drumgan_jax.training.heartbeats import Kind
from drumgan_jax.training.supervised import explained

CASE = Path(__file__).with_name("supervised_case.py")
PARENT = """
import sys
from pathlib import Path
from drumgan_jax.training.supervisor import supervise
assert not {"jax", "tensorflow", "numpy"} & sys.modules.keys()
sys.exit(supervise([sys.executable, *sys.argv[1:]], Path(sys.argv[2]), float(sys.argv[4])))
"""
TIMEOUT = 6.0
STILL = f"{TIMEOUT * 22 / 30:g} s"


def start(run: Path, event: str) -> list[subprocess.Popen[str]]:
    """Three parents of a run that was saved at step 3."""
    (run / "checkpoints" / "3").mkdir(parents=True)
    (run / "checkpoints" / "3" / "digests.json").write_text("{}")
    told = [[str(CASE), str(run), str(process), event] for process in range(3)]
    return [
        subprocess.Popen(
            [sys.executable, "-c", PARENT.replace("sys.argv[4]", str(TIMEOUT)), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for arguments in told
    ]


def workers(run: Path) -> list[int]:
    return [json.loads(path.read_text())[1] for path in run.glob("at_*.json")]


def ends(parents: list[subprocess.Popen[str]], run: Path) -> list[tuple[int, list[str]]]:
    """The status of each parent, and the lines it said; all workers have gone then."""
    said = [parent.communicate(timeout=120)[1].splitlines() for parent in parents]
    assert not any(gone_not(pid) for pid in workers(run))
    return [(parent.returncode, lines) for parent, lines in zip(parents, said, strict=True)]


def gone_not(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


RESET = ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer")


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (RESET, Kind.UNCLEAR, 75),
        (caused(BadInput("checkpoints/4 cannot be read; delete it."), RESET), Kind.UNCLEAR, 75),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), Kind.TOLD, 1),
        (BadInput("the disk is full."), Kind.TOLD, 2),
        (OSError(errno.ENOSPC, "No space left on device", "metrics.jsonl"), Kind.TOLD, 2),
        (NotReached(errno.EIO, "nobody answers"), Kind.TOLD, 75),
        (OSError("of no number"), Kind.TOLD, 1),
        (KeyError("x"), Kind.TOLD, 1),
    ],
)
def test_an_error_is_of_ones_own_or_may_be_what_anothers_end_did(error: Exception, kind: Kind, status: int) -> None:
    told, sentence, code = explained(error)
    assert (told, code) == (kind, status)
    assert str(error.args[-1]).rstrip(".") in sentence


GOES_ON = "; the run goes on from step 3: give the same command again on all hosts."


@pytest.mark.parametrize(
    ("event", "told", "status"),
    [
        ("killed", f"was ended by SIGKILL{GOES_ON}", 75),
        ("stopped", f"has given no sign of life for {STILL}{GOES_ON}", 75),
        ("hangs", f"has stood still for {STILL} (reading a batch for step 5) while others wait{GOES_ON}", 75),
        ("full", ": the disk of RUN is too full for a checkpoint: make room and run the same command again.", 2),
        pytest.param(
            "unreadable",
            ": data/shard-0 cannot be read or written (Input/output error); mend that, and run the same command again.",
            2,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_one_that_is_lost_ends_all(tmp_path: Path, event: str, told: str, status: int) -> None:
    ended = ends(start(tmp_path, event), tmp_path)
    sentence = f"drumgan train: process 1 on {os.uname().nodename}{'' if told[0] in ':' else ' '}{told}"
    assert ended == [(status, [sentence])] * 3


@pytest.mark.slow
def test_a_fault_of_one_ends_all_and_leaves_its_traceback(tmp_path: Path) -> None:
    ended = ends(start(tmp_path, "fault"), tmp_path)
    assert [status for status, _ in ended] == [1] * 3
    (sentence,) = {lines[-1] for _, lines in ended}
    assert "ended with ZeroDivisionError: of its own; its output has the traceback." in sentence
    assert ["Traceback (most recent call last):" in lines for _, lines in ended] == [False, True, False]


@pytest.mark.slow
@pytest.mark.parametrize("event", ["parent killed", "parent stopped"])
def test_one_whose_parent_is_lost_ends_all(tmp_path: Path, event: str) -> None:
    """So a host goes with all it has, and a worker never stays behind."""
    parents = start(tmp_path, event)
    said = [parents[process].communicate(timeout=120)[1] for process in (0, 2)]
    end = time.monotonic() + 60
    while any(gone_not(pid) for pid in workers(tmp_path)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(gone_not(pid) for pid in workers(tmp_path))
    parents[1].kill()
    parents[1].communicate()
    sentence = f"process 1 on {os.uname().nodename} has given no sign of life for {STILL}{GOES_ON}"
    assert said == [f"drumgan train: {sentence}\n"] * 2
    assert [parents[process].returncode for process in (0, 2)] == [75, 75]


def test_an_error_of_all_is_said_as_it_is(tmp_path: Path) -> None:
    assert ends(start(tmp_path, "all"), tmp_path) == [(2, ["drumgan train: config.x is invalid."])] * 3


def test_a_run_that_ends_well_leaves_no_heartbeats(tmp_path: Path) -> None:
    assert ends(start(tmp_path, "well"), tmp_path) == [(0, [])] * 3
    assert not (tmp_path / "heartbeats").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_to_one_stops_all_at_one_step(tmp_path: Path, number: signal.Signals) -> None:
    parents = start(tmp_path, "long")
    end = time.monotonic() + 60
    while len(workers(tmp_path)) < 3:
        assert time.monotonic() < end
        time.sleep(0.05)
    parents[2].send_signal(number)
    ended = ends(parents, tmp_path)
    assert [status for status, _ in ended] == [75] * 3
    said = ["drumgan train: saving and stopping; Ctrl-C again ends at once."]
    assert [lines for _, lines in ended] == [[], [], said if number == signal.SIGINT else []]
    assert len({json.loads(path.read_text())[0] for path in tmp_path.glob("at_*.json")}) == 1
