"""The largest batch that fits: tried between one that fits and one that does not, until they are neighbours."""

import dataclasses
from collections.abc import Callable

# Rows a chip beyond which no larger batch is tried: no run of these systems has as many.
MOST = 1024
_STEPS_IN_AN_OCTAVE = 8


@dataclasses.dataclass(frozen=True)
class Largest:
    """What was found; all of it was tried.

    Attributes:
        rows: of a chip that fit; 0 if not even one does.
        too_many: rows of a chip that do not fit; None if MOST fit.
    """

    rows: int
    too_many: int | None


def largest(peak_of: Callable[[int], int | None], memory: int, first: int) -> Largest:
    """The most rows a chip that fit, of round numbers: eight from one power of two to the next.

    Args:
        peak_of: bytes that so many rows need; None if a compiler says no more than that it is too much.
        memory: bytes that there are.
        first: rows to begin with.
    """
    peaks: dict[int, int] = {}
    fits, too_many = 0, MOST + 1
    rows = min(_rounded(first), MOST)
    while True:
        peak = peak_of(rows)
        if peak is None or peak > memory:
            too_many = rows
        else:
            fits, peaks[rows] = rows, peak
        if fits == MOST or _next(fits) >= too_many:
            return Largest(fits, too_many if too_many <= MOST else None)
        wanted = _extrapolated(peaks, memory) or (2 * rows if fits == rows else rows // 2)
        highest = MOST if too_many > MOST else _rounded(too_many - 1)
        if wanted > highest and too_many <= MOST:
            # The line leads astray where tiles fill up first.
            wanted = (fits + too_many) // 2
        rows = min(max(_rounded(wanted), _next(fits)), highest)


def _extrapolated(peaks: dict[int, int], memory: int) -> int | None:
    """Rows that would fill the memory, by the line through the two largest numbers that fit."""
    if len(peaks) < 2:
        return None
    less, more = sorted(peaks)[-2:]
    a_row = (peaks[more] - peaks[less]) / (more - less)
    return int(more + (memory - peaks[more]) / a_row) if a_row > 0 else MOST


def _step(rows: int) -> int:
    return int(max(1, 2 ** (rows.bit_length() - 1) // _STEPS_IN_AN_OCTAVE))


def _rounded(rows: int) -> int:
    return int(max(1, rows - rows % _step(max(1, rows))))


def _next(rows: int) -> int:
    return rows + _step(max(1, rows))
