"""The rule by which a process is lost, on sequences of heartbeats and a clock that is made up."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.training.heartbeats import (
    ACTIONS,
    BATCH,
    BUILDING,
    FIRST_BATCH,
    JOINING,
    OPENING,
    STEP,
    Ending,
    Heartbeat,
    Kind,
    Watch,
    lost,
    read_heartbeats,
    shortened,
    write_heartbeat,
)

TIMEOUT = 30.0
# From a second to the heartbeats then.
Story = Callable[[int], dict[int, Heartbeat]]


def beat(process: int, second: int, **fields: object) -> Heartbeat:
    told = {"passed": second, "step": second, "place": STEP, **fields}
    return Heartbeat(process, f"host{process}", 100 + process, beat=second, **told)  # type: ignore[arg-type]


def all_well(second: int) -> dict[int, Heartbeat]:
    return {process: beat(process, second) for process in range(3)}


def verdict(story: Story, seconds: int, clock: Callable[[int], float] = float) -> tuple[int, Ending] | None:
    """When a watch of three processes ends a story that it sees every second, and how."""
    watch = Watch(3, TIMEOUT)
    for second in range(seconds):
        if ending := watch.observe(clock(second), story(second)):
            return second, ending
    return None


def standing(second: int, since: int, place: str, others_further: int = 2) -> dict[int, Heartbeat]:
    """All live, but the main thread of 1 stands in a place; the others come further by some places, and wait."""
    at = min(second, since)
    further = min(second, since + others_further)
    return {p: beat(p, second, passed=at if p == 1 else further, place=place if p == 1 else STEP) for p in range(3)}


@pytest.mark.smoke
def test_processes_that_beat_go_on() -> None:
    assert verdict(all_well, 1000) is None


@pytest.mark.smoke
def test_one_whose_heartbeat_stands_still_is_lost_before_the_timeout() -> None:
    when, ending = verdict(lambda second: {**all_well(second), 1: beat(1, min(second, 100))}, 1000) or (0, lost(""))
    assert 120 <= when < 100 + TIMEOUT
    assert (ending.kind, ending.status) == (Kind.VERDICT, 75)
    assert "process 1 on host1 has given no sign of life" in ending.sentence


def test_one_that_is_never_seen_is_given_longer() -> None:
    when, ending = verdict(lambda second: {p: beat(p, second) for p in (0, 2)}, 1000) or (0, lost(""))
    assert when == 4 * TIMEOUT
    assert "process 1 was never seen" in ending.sentence


def test_a_file_that_cannot_be_read_for_a_while_is_no_loss() -> None:
    def story(second: int) -> dict[int, Heartbeat]:
        return {p: one for p, one in all_well(second).items() if p != 1 or second % 20 < 5}

    assert verdict(story, 1000) is None


@pytest.mark.parametrize("halt", [3600.0, 40.0])
def test_a_watch_that_was_halted_does_not_take_others_for_dead(halt: float) -> None:
    """Nor if its clock jumped: the others' files were halted too when the storage was."""
    assert verdict(all_well, 1000, lambda second: second + halt * (second >= 500)) is None
    frozen = lambda second: all_well(min(second, 500) if second < 502 else second)  # noqa: E731
    assert verdict(frozen, 1000, lambda second: second + halt * (second >= 501)) is None


def test_one_that_reads_no_batch_while_others_wait_is_lost() -> None:
    when, ending = verdict(lambda second: standing(second, 100, BATCH), 1000) or (0, lost(""))
    assert 120 <= when < 100 + TIMEOUT
    assert "process 1 on host1 has stood still" in ending.sentence
    assert "reading a batch" in ending.sentence


@pytest.mark.parametrize("place", [STEP, ACTIONS, BUILDING, JOINING])
def test_one_that_compiles_evaluates_or_saves_while_others_wait_is_not_lost(place: str) -> None:
    assert verdict(lambda second: standing(second, 100, place), 5000) is None


@pytest.mark.parametrize("place", [OPENING, FIRST_BATCH])
def test_data_that_is_slow_at_the_start_is_waited_for_longer(place: str) -> None:
    assert verdict(lambda second: standing(second, 100, place), 100 + 500) is None
    assert verdict(lambda second: standing(second, 100, place), 100 + 700) is not None


def test_all_standing_in_one_place_is_no_ones_fault() -> None:
    """As while all compile, or wait for one storage."""
    for place in (STEP, BATCH):
        story = lambda second, place=place: {p: beat(p, second, passed=7, place=place) for p in range(3)}  # noqa: E731
        assert verdict(story, 5000) is None


def ended(kind: Kind, sentence: str, status: int = 2) -> Ending:
    return Ending(kind, sentence, status)


def test_an_error_of_one_ends_all_by_its_name() -> None:
    told = ended(Kind.TOLD, "the disk is full.")
    _, ending = verdict(lambda second: {**all_well(second), 1: beat(1, 0, ended=told)}, 100) or (0, lost(""))
    assert (ending.sentence, ending.status) == ("process 1 on host1: the disk is full.", 2)


def test_an_error_of_all_is_no_ones_in_particular() -> None:
    told = ended(Kind.TOLD, "config.x is invalid.")
    when, ending = verdict(lambda second: {p: beat(p, 0, ended=told) for p in range(3)}, 100) or (9, lost(""))
    assert (when, ending.sentence, ending.status) == (0, "config.x is invalid.", 2)


def test_what_anothers_end_does_to_a_process_waits_for_that_end() -> None:
    reset, told = ended(Kind.UNCLEAR, "ended with UNKNOWN", 75), ended(Kind.TOLD, "the disk is full.")

    def story(second: int) -> dict[int, Heartbeat]:
        return {0: beat(0, 5, ended=reset), 1: beat(1, second, ended=told if second > 20 else None), 2: beat(2, second)}

    when, ending = verdict(story, 100) or (0, lost(""))
    assert 20 < when < 30
    assert ending.sentence == "process 1 on host1: the disk is full."
    # A host that went with its parent is told by its heartbeat.
    when, ending = verdict(lambda second: {**story(0), 1: beat(1, 0), 2: beat(2, second)}, 100) or (0, lost(""))
    assert "process 1 on host1 has given no sign of life" in ending.sentence
    # With no better explanation it is told itself.
    when, ending = verdict(lambda second: {**all_well(second), 0: beat(0, 5, ended=reset)}, 100) or (0, lost(""))
    assert (when, ending.sentence, ending.status) == (30, "process 0 on host0 ended with UNKNOWN", 75)


def test_a_verdict_is_taken_over_as_it_is() -> None:
    said = lost("process 2 on host2 was ended by SIGKILL")
    when, ending = verdict(lambda second: {**all_well(second), 1: beat(1, 0, ended=said)}, 100) or (9, lost(""))
    assert (when, ending) == (0, said)


def test_one_that_has_ended_well_is_not_lost() -> None:
    well = ended(Kind.CLEAN, "", 0)
    assert verdict(lambda second: {**all_well(second), 1: beat(1, 0, ended=well)}, 1000) is None


def test_files_hold_what_was_written_and_keep_their_length(tmp_path: Path) -> None:
    one = beat(1, 3, ended=lost(shortened("x" * 5000 + "\udcff")))
    write_heartbeat(tmp_path / "a" / "b", one)
    (path,) = (tmp_path / "a" / "b").iterdir()
    size = path.stat().st_size
    assert read_heartbeats(path.parent, 3) == {1: one}
    other = dataclasses.replace(one, ended=lost(shortened("é\udcff" * 9000)))
    write_heartbeat(path.parent, other)
    assert read_heartbeats(path.parent, 3) == {1: other}
    assert path.stat().st_size == size
    content = path.read_bytes()
    for damaged in (content[:50], content.replace(b"host1", b"host9"), b"", b"null", os.urandom(500)):
        path.write_bytes(damaged)
        assert read_heartbeats(path.parent, 3) == {}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/a cannot be written \(Not a directory\)"):
        write_heartbeat(tmp_path / "file" / "a", beat(0, 0))
