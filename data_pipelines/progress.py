"""The progress of a run: a file to which the workers of all machines append, and the bar that follows it."""

import contextlib
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

PROGRESS_NAME = "progress"
# Chunk, and number of its files that are done. An engine may start a chunk again, so that files alone would be counted
# twice. Records of one length stay in step where two machines' appends fall on the same place.
_RECORD = struct.Struct("<II")


def tell(directory: Path, chunk: int, done: int) -> None:
    """Append how many files of a chunk are done; OSError if the run has no progress file there."""
    descriptor = os.open(directory / PROGRESS_NAME, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, _RECORD.pack(chunk, done))
    finally:
        os.close(descriptor)


class Tally:
    """Counts the files that are done, each once however often its chunk was started; reads only what is new."""

    def __init__(self, path: Path):
        self._path = path
        self._position = 0
        self._done: dict[int, int] = {}

    def count(self) -> int:
        """The number of files that are done by now."""
        with open(self._path, "rb") as file:
            file.seek(self._position)
            new = file.read()
        new = new[: len(new) - len(new) % _RECORD.size]
        self._position += len(new)
        for chunk, done in _RECORD.iter_unpack(new):
            self._done[chunk] = max(done, self._done.get(chunk, 0))
        return sum(self._done.values())


@contextlib.contextmanager
def followed(directory: Path, total: int, show: bool) -> Iterator[None]:
    """Make the progress file, and let a bar on stderr follow it.

    Args:
        directory: folder of the parts.
        total: number of files of the run.
        show: whether to draw the bar.
    """
    (directory / PROGRESS_NAME).touch()
    tally, ended = Tally(directory / PROGRESS_NAME), threading.Event()

    def follow(bar: tqdm) -> None:
        while not ended.wait(0.5):
            bar.update(tally.count() - bar.n)
        bar.update(tally.count() - bar.n)

    with tqdm(total=total, unit="file", desc="prepare", disable=not show) as bar:
        thread = threading.Thread(target=follow, args=(bar,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
