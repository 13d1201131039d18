"""Signals of any length, read in blocks, so that the memory they take depends on what is looked at."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import soxr

from drumgan_jax.audio.files import resample

# Samples that are read, resampled or looked at in one go: 4 MB.
BLOCK = 2**20
# Samples of an array that are resampled at once: 32 MB.
_LONG = 2**23


class Samples(Protocol):
    """Mono samples [samples] float32 in memory or behind it: an array, or a Signal."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> np.ndarray: ...


class Signal:
    """Mono samples that are read from their source when they are sliced.

    A slice is an array, as large as it is asked for; of the others, a block is kept. Slices are cheap from front to
    back. One that begins before the last one reads the source anew, from its start.

    Args:
        length: number of samples; behind the end of a shorter source there are zeros.
        blocks: function that yields all samples in blocks [samples] float32.
    """

    def __init__(self, length: int, blocks: Callable[[], Iterable[np.ndarray]]):
        self._length = length
        self._blocks = blocks
        self._rewind()

    def _rewind(self) -> None:
        self._source = iter(self._blocks())
        self._start, self._held = 0, np.zeros(0, np.float32)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice, /) -> np.ndarray:
        start, stop, step = part.indices(self._length)
        if step != 1:
            raise ValueError(f"a signal is read forwards, not by steps of {step}")
        stop = max(start, stop)
        if start < self._start:
            self._rewind()
        self._skip_to(start)
        parts, present = [self._held], self._start + len(self._held)
        while present < stop:
            block = next(self._source, None)
            block = np.zeros(stop - present, np.float32) if block is None else block
            # Only the end of the last block is beyond what was asked for.
            parts.append(block)
            present += len(block)
        self._held = np.concatenate(parts) if len(parts) > 1 else self._held
        return self._held[: stop - start]

    def _skip_to(self, start: int) -> None:
        """Drop what is before a sample."""
        while self._start + len(self._held) < start:
            self._start += len(self._held)
            block = next(self._source, None)
            self._held = np.zeros(start - self._start, np.float32) if block is None else block
        self._held = self._held[start - self._start :]
        self._start = start


def in_blocks(samples: Samples) -> Iterator[np.ndarray]:
    """Yield the samples in blocks of at most BLOCK."""
    for start in range(0, len(samples), BLOCK):
        yield samples[start : start + BLOCK]


def peak(samples: Samples) -> float:
    """The largest absolute value; 0 of no samples."""
    # Without the copy that np.abs makes.
    return max((max(float(block.max()), -float(block.min())) for block in in_blocks(samples)), default=0.0)


def first_at(samples: Samples, level: float) -> int | None:
    """Index of the first sample whose absolute value is at least `level`; None if there is none."""
    start = 0
    for block in in_blocks(samples):
        loud = np.abs(block) >= level
        if loud.any():
            return start + int(np.argmax(loud))
        start += len(block)
    return None


def last_at(samples: Samples, level: float) -> int | None:
    """Index of the last sample whose absolute value is at least `level`; None if there is none."""
    start, last = 0, None
    for block in in_blocks(samples):
        loud = np.abs(block) >= level
        if loud.any():
            last = start + len(block) - 1 - int(np.argmax(loud[::-1]))
        start += len(block)
    return last


def resampled(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """The samples at another rate, the same bit for bit for a signal as for an array (audio.files.resample).

    An array becomes a signal if it would be long.
    """
    if from_rate == to_rate:
        return samples
    # As many as soxr gives: halves are rounded up.
    length = max((2 * len(samples) * to_rate + from_rate) // (2 * from_rate), min(len(samples), 1))
    if isinstance(samples, np.ndarray) and length <= _LONG:
        return resample(samples, from_rate, to_rate)
    piece = max(1, BLOCK * from_rate // max(from_rate, to_rate))

    def blocks() -> Iterator[np.ndarray]:
        stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32")
        for start in range(0, len(samples), piece):
            yield stream.resample_chunk(samples[start : start + piece], last=start + piece >= len(samples))

    return Signal(length, blocks)
