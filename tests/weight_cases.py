"""What the tests of weight files share: a file with other contents."""

import json
from pathlib import Path
from typing import Any

import numpy as np


def changed(path: Path, out: Path, header: dict[str, Any] | None = None, **arrays: np.ndarray | None) -> Path:
    """The file at `path` with another header or other arrays, as a program without digests wrote it.

    In the names of arrays, __ is a slash; None takes one away.
    """
    with np.load(path) as file:
        everything = {name: file[name] for name in file.files} | {k.replace("__", "/"): v for k, v in arrays.items()}
    old = json.loads(everything["header"].tobytes())
    old.pop("digest", None)
    everything["header"] = np.frombuffer(json.dumps(old | (header or {})).encode(), np.uint8)
    np.savez(out, **{name: value for name, value in everything.items() if value is not None})
    return out
