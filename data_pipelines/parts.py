"""Parts of shards, as attempts at a chunk write them: an engine may start a chunk again, or twice at once.

Each attempt writes files of its own. Its summary names them, and they count from the moment when that is renamed to the
chunk's name. All attempts at a chunk write the same bytes, so it does not matter whose count.
"""

import contextlib
import json
import uuid
from pathlib import Path
from typing import Any

from drumgan_jax.data.records import frame_record

# Size at which a new part is started, so that one long mix does not make one huge shard.
_MAX_PART_BYTES = 2**28


def summary_path(directory: Path, index: int) -> Path:
    """Where the summary of a finished chunk is."""
    return directory / f"{index:06d}.json"


class Attempt:
    """Writes records to `NNNNNN-ATTEMPT-000.tfrecord`, `NNNNNN-ATTEMPT-001.tfrecord`, ...

    Files of an attempt that ends without `finish` are deleted; those of one that is killed are left, and named nowhere.

    Args:
        directory: folder of all parts.
        index: number of the chunk.
    """

    def __init__(self, directory: Path, index: int):
        self.parts: list[dict[str, Any]] = []
        self._directory = directory
        self._summary = summary_path(directory, index)
        self._name = f"{index:06d}-{uuid.uuid4().hex[:12]}"
        self._file: Any = None
        self._counts = False

    def __enter__(self) -> "Attempt":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._counts:
            return
        # Closing writes what is buffered, which fails on a full disk.
        with contextlib.suppress(OSError):
            self._close()
        for part in self.parts:
            with contextlib.suppress(OSError):
                (self._directory / part["name"]).unlink()

    def write(self, payload: bytes) -> None:
        """Add a record, in a new part if the last one is large."""
        if not self.parts or self.parts[-1]["bytes"] >= _MAX_PART_BYTES:
            self._close()
            name = f"{self._name}-{len(self.parts):03d}.tfrecord"
            self._file = open(self._directory / name, "xb")  # noqa: SIM115  closed on exit
            self.parts.append({"name": name, "records": 0, "bytes": 0})
        record = frame_record(payload)
        self._file.write(record)
        self.parts[-1]["records"] += 1
        self.parts[-1]["bytes"] += len(record)

    def finish(self, summary: dict[str, Any]) -> None:
        """Let this attempt's parts be the chunk's, unless another attempt's are by now."""
        self._close()
        if self._summary.exists():
            return
        temporary = self._directory / f"{self._name}.json.partial"
        temporary.write_text(json.dumps({**summary, "parts": self.parts}))
        # Of two that come here at once, the last to rename is the one whose parts count; both are whole.
        temporary.replace(self._summary)
        self._counts = True

    def _close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
