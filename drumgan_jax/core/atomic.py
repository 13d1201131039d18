"""Atomic writing of files."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from drumgan_jax.core import places


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path on this machine, and move it to `path`, or upload it there, if the block succeeds.

    The suffix is kept for writers that choose a format by suffix. A killed process leaves the old file, or none.
    """
    path = places.place(path)
    if places.is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / path.name
            yield temporary
            places.write(path, temporary.read_bytes())
        return
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
