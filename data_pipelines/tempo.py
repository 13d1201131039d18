"""What is told of a recording's tempo, in order of trust: manifest, the file's own chunks, name, folders.

Where nothing tells it, the slicing rules that need it measure it (data_pipelines.beats).
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath, PurePosixPath
from typing import Any

from drumgan_jax.audio.loop_chunks import LoopChunk
from drumgan_jax.data.patterns import MAX_TEMPO, MIN_TEMPO
from drumgan_jax.data_pipelines.beats import loop_grid
from drumgan_jax.data_pipelines.sources import Item, is_file

MEASURED = "measured"
_DISAGREEMENT = 0.02
# A bare number is a tempo if the file is whole bars long at it. Long files are nearly so at any number, and nobody
# names a mix by its tempo alone.
_BARE_TOLERANCE, _BARE_OF_A_BAR, _BARE_MOST_BARS = 0.01, 0.1, 32

_NUMBER = r"(?<!\d)(?<!\d[.,])(\d{2,3}(?:[.,]\d{1,3})?)(?!\d)"
# In this order, because in "90 bpm=140" only the sign tells to which number the word belongs.
_WITH_UNIT = (
    re.compile(rf"bpm\s*[=:]\s*{_NUMBER}", re.IGNORECASE),
    re.compile(rf"{_NUMBER}[ _-]*bpm(?!\s*[=:])", re.IGNORECASE),
    re.compile(rf"bpm[ _-]*{_NUMBER}", re.IGNORECASE),
)
_RANGE = re.compile(rf"{_NUMBER}\s*(?:-|\u2013|to)\s*{_NUMBER}[ _-]*bpm", re.IGNORECASE)
# Not beside a letter: MPC60 and 16A are no tempi.
_BARE = re.compile(rf"(?<![^\W_]){_NUMBER}(?![^\W_])")


@dataclasses.dataclass(frozen=True)
class Tempo:
    """A tempo and where it comes from.

    Attributes:
        bpm: quarter notes per minute.
        origin: "manifest", "sequencer", "acid chunk", "acid chunk's beats", "apple loop's beats", "name", "folder" or
            "measured".
    """

    bpm: float
    origin: str


def told_tempi(item: Item, seconds: float, chunk: LoopChunk | None = None, meter: int = 4) -> list[Tempo]:
    """The tempi from 30 to 300 BPM that are told of a recording, the most trusted first, nearer folders before others.

    Args:
        item: the recording.
        seconds: its length.
        chunk: what the file's own chunks say.
        meter: beats per bar, by which a bare number in the name is checked.
    """
    return [tempo for tempo in _told(item, seconds, chunk, meter) if MIN_TEMPO <= tempo.bpm <= MAX_TEMPO]


def tempo_row(tempi: Sequence[Tempo]) -> dict[str, Any]:
    """The tempo in a file's row of the report: the first, where it comes from, and others more than 2 % from it."""
    row = _as_json(tempi[0])
    others = [other for other in tempi[1:] if abs(other.bpm / tempi[0].bpm - 1) > _DISAGREEMENT]
    return {**row, "others": [_as_json(other) for other in others]} if others else row


def _as_json(tempo: Tempo) -> dict[str, Any]:
    return {"bpm": round(tempo.bpm, 2), "from": tempo.origin}


def _told(item: Item, seconds: float, chunk: LoopChunk | None, meter: int) -> Iterator[Tempo]:
    if item.bpm:
        yield Tempo(item.bpm, "manifest" if is_file(item) else "sequencer")
    if not is_file(item):
        return
    if chunk:
        yield Tempo(chunk.tempo, chunk.origin)
        yield Tempo(60 * chunk.beats / seconds, f"{chunk.origin}'s beats")
    # The source's own folder tells as well, which is in the address only.
    *folders, name = PurePath(item.uri).parts[-len(PurePosixPath(item.path).parts) - 1 :]
    stem = PurePath(name).stem
    named = _with_unit(stem)
    for bpm in named or _bare(stem, seconds, meter):
        yield Tempo(bpm, "name")
    for folder in reversed(folders):
        for bpm in _with_unit(folder):
            yield Tempo(bpm, "folder")


def _with_unit(words: str) -> list[float]:
    """The tempo in words such as 127bpm, bpm=140 or BPM-93, if there is one; none for a range of tempi."""
    if (between := _RANGE.search(words)) and MIN_TEMPO <= _value(between[1]) < _value(between[2]):
        return []
    values = [_value(match[1]) for pattern in _WITH_UNIT for match in pattern.finditer(words)]
    return [value for value in values if MIN_TEMPO <= value <= MAX_TEMPO][:1]


def _bare(words: str, seconds: float, meter: int) -> list[float]:
    """The number at which the recording is whole bars long, the nearest one if there are several."""
    misses = {}
    for match in _BARE.finditer(words):
        value = _value(match[1])
        bars = seconds * value / 60 / meter
        if MIN_TEMPO <= value <= MAX_TEMPO and bars < _BARE_MOST_BARS + 1:
            tolerance = min(_BARE_TOLERANCE, _BARE_OF_A_BAR / max(bars, 1.0))
            if grid := loop_grid(seconds, value, meter, tolerance):
                misses[value] = abs(grid.tempo / value - 1)
    return [min(misses, key=misses.__getitem__)] if misses else []


def _value(number: str) -> float:
    return float(number.replace(",", "."))
