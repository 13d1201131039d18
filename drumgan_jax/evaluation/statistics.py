"""Reference statistics: mean and covariance of a set's embeddings, as a file that other programs can load."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.core.array_files import DAMAGES, read_arrays
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, brief, listed, shown
from drumgan_jax.core.settings import numbers_of
from drumgan_jax.core.weight_file import weight_path
from drumgan_jax.evaluation.collecting import Embeddings
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.moments import Moments
from drumgan_jax.evaluation.suite import FROM_MOMENTS, Suite
from drumgan_jax.weights import store

VERSION = 1


def folder() -> Path:
    """Where statistics with a name are kept: the folder `statistics/` in $DRUMGAN_CACHE, or in ~/.cache/drumgan."""
    return store.folder().parent / "statistics"


def path_of(name: str) -> Path:
    """The file of statistics, given as a path that ends in .npz or as a name.

    Raises:
        BadInput: it is neither.
    """
    if name.endswith(".npz"):
        return Path(name)
    if os.sep in name or not name.strip("."):
        raise BadInput(
            f"{name} is neither a folder nor a file of statistics; give a folder, a path that ends in .npz, or a name "
            f"without {os.sep}."
        )
    return folder() / f"{name}.npz"


def find(name: str) -> Path:
    """The existing file of statistics, given as in `path_of`.

    Raises:
        BadInput: there is none.
    """
    path = path_of(name)
    if path.is_file():
        return path
    if name.endswith(".npz"):
        raise BadInput(f"{path} does not exist; {_WRITE} --save_statistics={name}`.")
    known = listed(sorted(file.stem for file in folder().glob("*.npz"))) or "none yet"
    raise BadInput(
        f"{name} is neither a folder nor the name of statistics (there are: {known}); {_WRITE} "
        f"--save_statistics={name}`."
    )


_WRITE = "write it with `drumgan evaluate --wavs=FOLDER"


def write_statistics(
    path: str | os.PathLike[str], embedders: Sequence[Embedder], sides: Mapping[str, Embeddings]
) -> None:
    """Write the moments of a side by embedder.

    The .npz holds `version`, and for each embedder NAME.mu [dimensions] and NAME.cov [dimensions, dimensions], both
    float64 and the covariance unbiased, NAME.sounds and NAME.rows (numbers of sounds and embeddings), NAME.weights
    (SHA-256 in hex, empty without weights) and NAME.sample_rate in Hz. fadtk has the same keys for mean and covariance.

    Raises:
        BadInput: the path does not end in .npz or cannot be written, or there are too few embeddings for a covariance.
    """
    path = weight_path(path)
    arrays: dict[str, Any] = {"version": VERSION}
    for embedder in embedders:
        side, name = sides[embedder.name], embedder.name
        if side.rows < 2:
            raise BadInput(f"statistics need 2 embeddings of {name} or more, not {side.rows}; give more sounds.")
        arrays |= {
            f"{name}.mu": side.total.mean,
            f"{name}.cov": side.total.covariance,
            f"{name}.sounds": side.sounds,
            f"{name}.rows": side.rows,
            f"{name}.weights": embedder.weights_hash,
            f"{name}.sample_rate": embedder.sample_rate,
        }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); check the folder and its free space.") from error


def read_statistics(path: str | os.PathLike[str], suite: Suite) -> dict[str, Embeddings]:
    """Read the moments that a suite's metrics need of their reference, by embedder.

    Raises:
        BadInput: a metric needs the reference's embeddings, or the file is damaged, or its statistics are of other
            embedders or other weights.
    """
    whole = list(dict.fromkeys(metric for metric, _ in suite.requests if metric not in FROM_MOMENTS))
    if whole:
        raise BadInput(
            f"{path} holds only mean and covariance, and {', '.join(whole)} need the reference's embeddings; give a "
            f"folder as the reference, or --metrics with {', '.join(sorted(FROM_MOMENTS))} only."
        )
    arrays = _arrays(path)
    names = sorted(key.removesuffix(".mu") for key in arrays if key.endswith(".mu"))
    return {one.name: _side(path, arrays, one, names) for one in suite.embedders}


def _arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    try:
        arrays = read_arrays(path, f"{_WRITE} --save_statistics={path}`")
        version = int(arrays["version"])
    except DAMAGES as problem:
        raise BadInput(
            f"{path} is damaged, or no file of reference statistics; {_WRITE} --save_statistics={path}`."
        ) from problem
    if version > VERSION:
        raise BadInput(f"{path} was written by a later version of drumgan (format {shown(version)}); update drumgan.")
    return arrays


def _side(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], embedder: Embedder, names: Sequence[str]
) -> Embeddings:
    """The statistics of one embedder, checked."""
    name = embedder.name
    if name not in names:
        raise BadInput(
            f"{path} has statistics of {listed(names) or 'no embedder'}, not of {name}; choose the embedder with "
            f"--metrics=METRIC:EMBEDDER, or write them with --metrics=fad:{name}."
        )
    try:
        sounds, rows = int(arrays[f"{name}.sounds"]), int(arrays[f"{name}.rows"])
        weights, rate = str(arrays[f"{name}.weights"]), int(arrays[f"{name}.sample_rate"])
        mean, covariance = (numbers_of(arrays[f"{name}.{part}"]) for part in ("mu", "cov"))
    except DAMAGES as problem:
        raise BadInput(f"{path} is damaged: its statistics of {name} are not complete; write it again.") from problem
    if (weights, rate) != (embedder.weights_hash, embedder.sample_rate):
        raise BadInput(
            f"the statistics of {name} in {path} are of the weights {brief(weights[:8]) or 'none'} at {shown(rate)}"
            f" Hz, not of {embedder.weights_hash[:8] or 'none'} at {embedder.sample_rate} Hz; write the file again."
        )
    size = embedder.dimensions
    fits = mean.shape == (size,) and covariance.shape == (size, size) and rows >= 2 and sounds >= 1
    finite = fits and np.isfinite(mean).all() and np.isfinite(covariance).all()
    if not finite or not np.allclose(covariance, covariance.T) or np.min(np.diagonal(covariance)) < 0.0:
        raise BadInput(f"{path} is damaged: its mean and covariance of {name} are none; write it again.")
    return Embeddings(sounds, rows, (Moments(rows, mean, covariance * (rows - 1)),))
