"""Heartbeats of a run's processes: what each says of itself in a file, and the rule by which one is lost.

Each process has a file in RUN/heartbeats/ATTEMPT, which its supervising parent writes. The files are compared only with
what they were when last read, so the clocks of the hosts do not matter. A file keeps its length and is written in
place: a full disk stops no heartbeat. In a bucket, where each request costs and an object is written once a second at
most, heartbeats are slower, and stand in what one listing tells of all.

A process is lost

- if its heartbeat stands still for the timeout: the worker, its parent or the whole host has died or hangs;
- or if its main thread stands still in a place where it waits for nothing but its own host, such as the next batch,
  while another has come further, and so waits for it. Where a process compiles, computes or waits for the others
  (a step, an evaluation, a save) it may stand as long as it likes, since those cannot be told apart from outside.
"""

import dataclasses
import enum
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from drumgan_jax.core import places
from drumgan_jax.core.errors import BadInput

FOLDER = "heartbeats"
# Seconds that a timeout has at least if the run is in a bucket.
LEAST_IN_BUCKET = 120.0
# Heartbeats within a timeout. A process is lost before the timeout by as many as it takes to see that and to end.
BEATS, _TO_END = 30, 8
# Shares of the timeout. How long an error of one process waits for the others to report the same one: if all do, the
# sentence names none. And how long another host's first heartbeat may take: network file systems can hide a new file
# for a minute.
_TOLD, _FIRST = 1 / 3, 4.0
# What an interval counts for at most, in heartbeats: this process, or the storage, may itself have been halted.
_MOST = 2.0
_BYTES, _SENTENCE = 16384, 1000
# A bucket keeps 8 KiB of notes beside an object.
_IN_JSON = 6000

JOINING, OPENING, BUILDING = "joining the others", "opening the data set", "building and restoring"
FIRST_BATCH, BATCH, STEP = "reading the first batch", "reading a batch", "computing a step"
ACTIONS, ENDING = "logging, evaluating and saving", "ending"
# In timeouts, how long a process may stand in a place where it waits for its own host only; not listed is for ever.
_PATIENCE = {OPENING: 20.0, FIRST_BATCH: 20.0, BATCH: 1.0}


class Kind(enum.IntEnum):
    """How a process ended, the best explanation of an end first."""

    VERDICT = 0  # this sentence ends all
    TOLD = 1  # by an error of its own
    UNCLEAR = 2  # as it would if another had died
    CLEAN = 3


@dataclasses.dataclass(frozen=True)
class Ending:
    """The end of a process.

    Attributes:
        kind: of end.
        sentence: why.
        status: the exit status that goes with it.
    """

    kind: Kind
    sentence: str
    status: int

    @property
    def is_last(self) -> bool:
        """Whether its process asks for nothing more."""
        return self.kind in (Kind.VERDICT, Kind.CLEAN)


def lost(sentence: str) -> Ending:
    """The verdict that a process is lost, after which the same command goes on."""
    return Ending(Kind.VERDICT, sentence, os.EX_TEMPFAIL)


@dataclasses.dataclass(frozen=True)
class Heartbeat:
    """What a process says of itself.

    Attributes:
        process: its number.
        host: its name.
        pid: the worker's.
        beat: a number that grows while the worker answers.
        passed: how many places its main thread has come to; all processes come to the same ones.
        step: the training step it is at.
        place: where it is in it.
        ended: how the worker ended.
    """

    process: int
    host: str
    pid: int
    beat: int = 0
    passed: int = 0
    step: int = 0
    place: str = JOINING
    ended: Ending | None = None

    @property
    def name(self) -> str:
        """The process, for a sentence."""
        return f"process {self.process} on {self.host}"


def write_heartbeat(folder: Path, heartbeat: Heartbeat) -> None:
    """Write a process's heartbeat.

    Raises:
        BadInput: it cannot be written.
    """
    text = json.dumps(dataclasses.asdict(heartbeat))
    content = f"{zlib.crc32(text.encode()):08x}{text}".ljust(_BYTES).encode()
    try:
        if places.is_remote(folder):
            places.write_note(_path(folder, heartbeat.process), text)
            return
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(_path(folder, heartbeat.process), os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.pwrite(descriptor, content, 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be written ({error.strerror}); make room or give another --workdir."
        ) from error


def read_heartbeats(folder: Path, count: int) -> dict[int, Heartbeat]:
    """The heartbeats of the processes that have one; a file that is just being written is left out."""
    found = {}
    notes = _notes(folder) if places.is_remote(folder) else None
    for process in range(count):
        path = _path(folder, process)
        try:
            text = notes[path.name] if notes is not None else _text(path)
            fields = json.loads(text)
            if (ended := fields["ended"]) is not None:
                fields["ended"] = Ending(Kind(ended["kind"]), ended["sentence"], ended["status"])
            found[process] = Heartbeat(**fields)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _notes(folder: Path) -> dict[str, str]:
    try:
        return places.notes_in(folder)
    except OSError:
        return {}


def _text(path: Path) -> str:
    content = path.read_text()
    if zlib.crc32(content[8:].rstrip().encode()) != int(content[:8], 16):
        raise ValueError
    return content[8:]


def shortened(sentence: str) -> str:
    """A sentence that fits into a heartbeat, whatever characters it has."""
    plain = sentence.encode(errors="backslashreplace").decode()
    # In JSON, a character may take twelve.
    plain = plain if len(json.dumps(plain)) <= _IN_JSON else plain.encode("ascii", "replace").decode()
    return plain if len(plain) <= _SENTENCE else f"{plain[: _SENTENCE - 4]} ..."


class Watch:
    """Decides from heartbeats whether a process is lost or has ended all, and with which sentence.

    Args:
        count: number of processes.
        timeout: seconds within which all have ended after one is lost.
    """

    def __init__(self, count: int, timeout: float):
        self._count, self._timeout = count, timeout
        self._interval = timeout / BEATS
        self._before: float | None = None
        self._last: dict[int, Heartbeat] = {}
        self._silent = dict.fromkeys(range(count), 0.0)
        self._stood = dict.fromkeys(range(count), 0.0)
        self._since: dict[Kind, float] = {}

    def observe(self, now: float, seen: Mapping[int, Heartbeat]) -> Ending | None:
        """The verdict that ends all, if there is one by now; call this at least once in an interval.

        Args:
            now: seconds of a clock that never jumps.
            seen: the heartbeats as they are now.
        """
        passed = 0.0 if self._before is None else min(now - self._before, _MOST * self._interval)
        self._before = now
        for process in range(self._count):
            before, this = self._last.get(process), seen.get(process)
            same = this is None or (before is not None and before.beat == this.beat)
            self._silent[process] = self._silent[process] + passed if same else 0.0
            still = this is None or (before is not None and before.passed == this.passed)
            self._stood[process] = self._stood[process] + passed if still else 0.0
        self._last.update(seen)
        return self._ended(passed) or self._still()

    def _ended(self, passed: float) -> Ending | None:
        """The verdict about processes that say how they ended."""
        ended = {one.process: one for one in self._last.values() if one.ended is not None}
        by_kind = {kind: [ended[p] for p in sorted(ended) if _kind(ended[p]) == kind] for kind in Kind}
        if verdicts := by_kind[Kind.VERDICT]:
            return verdicts[0].ended
        for kind in (Kind.TOLD, Kind.UNCLEAR):
            if by_kind[kind]:
                self._since[kind] = self._since.get(kind, -passed) + passed
        # All may say the same, such as that a setting is invalid: then it is no one's in particular.
        told, unclear = by_kind[Kind.TOLD], by_kind[Kind.UNCLEAR]
        if told and (unclear or len(ended) == self._count or self._since[Kind.TOLD] >= _TOLD * self._timeout):
            first = told[0].ended
            assert first is not None
            alike = len(told) == self._count and len({one.ended for one in told}) == 1
            sentence = first.sentence if alike else f"{told[0].name}: {first.sentence}"
            return dataclasses.replace(first, kind=Kind.VERDICT, sentence=sentence)
        # What another's end does to a process is seen before that end is, by up to the timeout.
        if unclear and not told and self._since[Kind.UNCLEAR] >= self._timeout:
            each = "; ".join(f"{one.name} {one.ended.sentence}" for one in unclear if one.ended is not None)
            return lost(each)
        return None

    def _still(self) -> Ending | None:
        """The verdict about processes that stand still."""
        limit = self._timeout - _TO_END * self._interval
        going = [p for p in range(self._count) if p not in self._last or self._last[p].ended is None]
        for process in going:
            if process not in self._last:
                if self._silent[process] >= _FIRST * self._timeout:
                    return lost(f"process {process} was never seen; --workdir must be one folder that all hosts share")
            elif self._silent[process] >= limit:
                return lost(f"{self._last[process].name} has given no sign of life for {limit:.3g} s")
        furthest = max((one.passed for one in self._last.values()), default=0)
        for one in (self._last[p] for p in going if p in self._last):
            patience = _PATIENCE.get(one.place)
            if patience is None or one.passed == furthest:
                continue
            allowed = patience * self._timeout - _TO_END * self._interval
            if self._stood[one.process] >= allowed:
                where = f"{one.place} for step {one.step}" if one.step else one.place
                return lost(f"{one.name} has stood still for {allowed:.3g} s ({where}) while others wait")
        return None


def _kind(heartbeat: Heartbeat) -> Kind | None:
    return None if heartbeat.ended is None else heartbeat.ended.kind


def _path(folder: Path, process: int) -> Path:
    return folder / f"process_{process:05d}.json"
