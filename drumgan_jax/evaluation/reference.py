"""What embedders saw of a reference, kept on disk so that it is computed once."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from drumgan_jax.core.atomic import replacing
from drumgan_jax.evaluation.collecting import EMBEDDINGS, LOGITS, MOMENTS, Embeddings, Stream, embed
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.moments import Moments
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.weights import store

# Raised when what is kept, or how it is computed, changes.
_VERSION = 1
_PARTS = (MOMENTS, EMBEDDINGS, LOGITS)
_ARRAYS = ("embeddings", "logits", "sound_of_row")


def reference_side(
    suite: Suite,
    identity: Mapping[str, Any],
    stream: Callable[[], Stream],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Embeddings]:
    """What the suite's embedders saw of a reference, read from the cache where it is there.

    Args:
        suite: what it is for.
        identity: what tells this reference from all others: data set, split, count, representation.
        stream: gives the sounds; called only if something is missing.
        progress: told the number of sounds done.
    """
    kept = {one.name: _read(_path(identity, one)) for one in suite.embedders}
    has = _agreed({name: _parts_of(seen) for name, seen in kept.items()})
    found = {name: seen for name, seen in kept.items() if seen is not None and suite.needs[name] <= has[name]}
    missing = [one for one in suite.embedders if one.name not in found]
    if missing:
        # With what is kept already, so that other metrics find theirs the next time too.
        needs = {one.name: suite.needs[one.name] | has[one.name] for one in missing}
        found |= embed(stream(), missing, needs, suite.sharding, progress)
        for embedder in missing:
            _write(_path(identity, embedder), found[embedder.name])
    return found


def _parts_of(seen: Embeddings | None) -> frozenset[str]:
    return frozenset(part for part in _PARTS if seen is not None and getattr(seen, part) is not None)


def _agreed(parts: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """What all processes have: they embed together, and may have caches of their own."""
    if jax.process_count() == 1:
        return dict(parts)
    from jax.experimental.multihost_utils import process_allgather

    flags = np.asarray([[part in having for part in _PARTS] for having in parts.values()])
    everywhere = process_allgather(flags).reshape(-1, *flags.shape).all(axis=0)
    return {
        name: frozenset(part for part, is_there in zip(_PARTS, row, strict=True) if is_there)
        for name, row in zip(parts, everywhere, strict=True)
    }


def _path(identity: Mapping[str, Any], embedder: Embedder) -> Path:
    key = {**identity, "embedder": embedder.name, "weights": embedder.weights_hash, "version": _VERSION}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return store.folder().parent / "references" / f"{embedder.name}-{digest[:24]}.npz"


def _read(path: Path) -> Embeddings | None:
    """What is kept, if it is there and whole."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as kept:
            arrays = dict(kept)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError):
        return None
    moments = None
    if "counts" in arrays:
        parts = zip(arrays["counts"], arrays["means"], arrays["scatters"], strict=True)
        moments = tuple(Moments(int(count), mean, scatter) for count, mean, scatter in parts)
    return Embeddings(int(arrays["sounds"]), int(arrays["rows"]), moments, *(arrays.get(name) for name in _ARRAYS))


def _write(path: Path, seen: Embeddings) -> None:
    arrays: dict[str, Any] = {"sounds": seen.sounds, "rows": seen.rows}
    if seen.moments is not None:
        total = seen.total
        # Only the measured side is left out part by part, so of a reference the whole is enough.
        arrays |= {"counts": [total.count], "means": total.mean[None], "scatters": total.scatter[None]}
    arrays |= {name: getattr(seen, name) for name in _ARRAYS if getattr(seen, name) is not None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)
    except OSError:
        # A cache that cannot be written only costs time.
        return
