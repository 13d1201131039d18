"""A disk cache of a reference's embeddings, so that they are computed once."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from drumgan_jax.core.array_files import DAMAGES, read_arrays
from drumgan_jax.core.atomic import replacing
from drumgan_jax.evaluation.collecting import EMBEDDINGS, LOGITS, MOMENTS, Embeddings, Stream, embed
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.moments import Moments
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.weights import store

# Incremented when the contents of a cache file, or their computation, change.
_VERSION = 2
_PARTS = (MOMENTS, EMBEDDINGS, LOGITS)
_ARRAYS = ("embeddings", "logits", "sound_of_row")
_COUNTS = ("sounds", "rows", "silent_sounds", "silent_windows")


def reference_side(
    suite: Suite,
    identity: Mapping[str, Any],
    stream: Callable[[], Stream],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Embeddings]:
    """A reference's embeddings by embedder, read from the cache or computed and cached.

    Args:
        suite: metrics and embedders that they are for.
        identity: identifies the reference: data set, split, count, representation.
        stream: opens the stream of sounds; called only if embeddings are missing.
        progress: called with the number of sounds done.
    """
    cached = {one.name: _read(_path(identity, one)) for one in suite.embedders}
    parts = _in_all_processes({name: _parts_of(embeddings) for name, embeddings in cached.items()})
    result = {
        name: embeddings
        for name, embeddings in cached.items()
        if embeddings is not None and suite.needs[name] <= parts[name]
    }
    missing = [one for one in suite.embedders if one.name not in result]
    if missing:
        # Cached parts are computed again, so that the new file still serves the metrics that need them.
        needs = {one.name: suite.needs[one.name] | parts[one.name] for one in missing}
        result |= embed(stream(), missing, needs, suite.sharding, progress)
        for embedder in missing:
            _write(_path(identity, embedder), result[embedder.name])
    return result


def _parts_of(embeddings: Embeddings | None) -> frozenset[str]:
    return frozenset(part for part in _PARTS if embeddings is not None and getattr(embeddings, part) is not None)


def _in_all_processes(parts: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """The parts that every process has, because processes embed together but may have separate caches."""
    if jax.process_count() == 1:
        return dict(parts)
    from jax.experimental.multihost_utils import process_allgather

    flags = np.asarray([[part in cached for part in _PARTS] for cached in parts.values()])
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
    """The cached embeddings; None if the file is missing or damaged."""
    try:
        arrays = read_arrays(path, "delete it")
    except DAMAGES:
        return None
    moments = None
    if "counts" in arrays:
        parts = zip(arrays["counts"], arrays["means"], arrays["scatters"], strict=True)
        moments = tuple(Moments(int(count), mean, scatter) for count, mean, scatter in parts)
    sounds, rows, silent_sounds, silent_windows = (int(arrays[name]) for name in _COUNTS)
    embeddings, logits, sound_of_row = (arrays.get(name) for name in _ARRAYS)
    return Embeddings(sounds, rows, moments, embeddings, logits, sound_of_row, silent_sounds, silent_windows)


def _write(path: Path, embeddings: Embeddings) -> None:
    arrays: dict[str, Any] = {name: getattr(embeddings, name) for name in _COUNTS}
    if embeddings.moments is not None:
        total = embeddings.total
        # The jackknife leaves out groups of the measured side only, so the reference needs no groups.
        arrays |= {"counts": [total.count], "means": total.mean[None], "scatters": total.scatter[None]}
    arrays |= {name: getattr(embeddings, name) for name in _ARRAYS if getattr(embeddings, name) is not None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)
    except OSError:
        # A cache that cannot be written only costs time.
        return
