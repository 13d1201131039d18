"""What embedders saw of a reference, kept on disk so that it is computed once."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from drumgan_jax.atomic import replacing
from drumgan_jax.evaluation.collecting import Seen, Stream
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.moments import Moments
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.weights import store

# Raised when what is kept, or how it is computed, changes.
_VERSION = 1


def reference_side(
    suite: Suite,
    identity: Mapping[str, Any],
    stream: Callable[[], Stream],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Seen]:
    """What the suite's embedders saw of a reference, read from the cache where it is there.

    Args:
        suite: what it is for.
        identity: what tells this reference from all others: data set, split, count, representation.
        stream: gives the sounds; called only if something is missing.
        progress: told the number of sounds done.
    """
    kept = {one.name: _read(_path(identity, one), suite.needs[one.name]) for one in suite.embedders}
    there = _agreed([seen is not None for seen in kept.values()])
    found = {name: seen for (name, seen), is_there in zip(kept.items(), there, strict=True) if seen and is_there}
    missing = [one for one in suite.embedders if one.name not in found]
    if missing:
        found |= suite.look(stream(), progress, missing)
        for embedder in missing:
            _write(_path(identity, embedder), found[embedder.name])
    return found


def _agreed(there: Sequence[bool]) -> list[bool]:
    """What all processes have: they embed together, and may have caches of their own."""
    if jax.process_count() == 1:
        return list(there)
    from jax.experimental.multihost_utils import process_allgather

    return process_allgather(np.asarray(there)).reshape(jax.process_count(), -1).all(axis=0).tolist()


def _path(identity: Mapping[str, Any], embedder: Embedder) -> Path:
    key = {**identity, "embedder": embedder.name, "weights": embedder.weights_hash, "version": _VERSION}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return store.folder().parent / "references" / f"{embedder.name}-{digest[:24]}.npz"


def _read(path: Path, needs: Sequence[str] | frozenset[str]) -> Seen | None:
    """What is kept, if it is there, whole, and has all that is needed."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as kept:
            arrays = dict(kept)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError):
        return None
    moments = None
    if "counts" in arrays:
        parts = zip(arrays["counts"], arrays["means"], arrays["scatters"], strict=True)
        moments = tuple(Moments(int(count), mean, scatter) for count, mean, scatter in parts)
    seen = Seen(int(arrays["sounds"]), int(arrays["rows"]), moments, arrays.get("embeddings"), arrays.get("logits"))
    return seen if all(getattr(seen, need) is not None for need in needs) else None


def _write(path: Path, seen: Seen) -> None:
    arrays: dict[str, Any] = {"sounds": seen.sounds, "rows": seen.rows}
    if seen.moments is not None:
        total = seen.total
        # Only the measured side is left out part by part, so of a reference the whole is enough.
        arrays |= {"counts": [total.count], "means": total.mean[None], "scatters": total.scatter[None]}
    arrays |= {name: getattr(seen, name) for name in ("embeddings", "logits") if getattr(seen, name) is not None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)
    except OSError:
        # A cache that cannot be written only costs time.
        return
