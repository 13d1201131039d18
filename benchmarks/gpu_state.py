"""A training state in a few small files, with which another machine goes on where this one stopped.

Parameters, averages and statistics are stored in float16, Adam's moments in bfloat16 (second moments are too small for
float16), equal arrays once, and first moments not at all where beta1 is 0.5 or less: they begin at 0 again, which a few
steps forget. The bytes of all arrays, low and high bytes apart because these compress better, are one stream, cut into
compressed .npz files.
"""

import dataclasses
import hashlib
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.runs.checkpoints import Checkpoints
from drumgan_jax.runs.config import CHECKPOINTS, complete_steps
from drumgan_jax.training import run
from drumgan_jax.training.tasks import build_task

FILE_BYTES, STATE_BYTES = 16 * 10**6, 50 * 10**6
_FORMAT = 1
# Bytes of the stream in a file: what does not compress stays below FILE_BYTES.
_PIECE = 15 * 10**6
# Attributes of optax's ScaleByAdamState in a path; a parameter of this name would stand in brackets.
_MOMENT = re.compile(r"^\.(\w+)_optimizer.*\.(mu|nu)\b")
# First moments of at most this beta1 are the last few gradients.
_FORGETFUL = 0.5
# Statistics of the same recordings differ by rounding between machines, at most by this part.
_STATISTICS = 1e-3


@dataclasses.dataclass(frozen=True)
class StoredState:
    """A state as it was read.

    Attributes:
        system: its config's name and variant.
        step: steps done.
        config: the run's frozen config.
        arrays: leaves by path; absent ones are 0.
    """

    system: str
    step: int
    config: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_state(folder: Path, name: str, system: str, state: Any, config: Mapping[str, Any]) -> int:
    """Write a state in place of the former one of this name, which stays if this is interrupted.

    Args:
        folder: created if absent.
        name: of the files.
        system: its config's name and variant.
        state: a task's state with a field `step`.
        config: the run's frozen config.

    Returns:
        Bytes of all files of the folder.

    Raises:
        BadInput: the folder would exceed STATE_BYTES.
    """
    folder.mkdir(parents=True, exist_ok=True)
    step = int(state.step)
    stream, leaves = _encoded(state, config)
    files = {}
    for number, start in enumerate(range(0, len(stream), _PIECE)):
        path = folder / f"{name}-{step:08d}-{number}.npz"
        piece = np.frombuffer(stream[start : start + _PIECE], np.uint8)
        with replacing(path) as temporary:
            np.savez_compressed(temporary, bytes=piece)
        files[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    former = [path for path in folder.glob(f"{name}-*.npz") if path.name not in files]
    index = {"format": _FORMAT, "system": system, "step": step, "config": dict(config), "leaves": leaves}
    with replacing(_index(folder, name)) as temporary:
        temporary.write_text(json.dumps({**index, "files": files}))
        rest = [path for path in folder.iterdir() if path not in (*former, _index(folder, name))]
        total = sum(path.stat().st_size for path in rest)
        if total > STATE_BYTES:
            for one in files:
                (folder / one).unlink()
            raise BadInput(
                f"the state of {system} makes {folder} {total / 1e6:.1f} MB large, and {STATE_BYTES / 1e6:.0f} MB are "
                "allowed; train a smaller variant."
            )
    for path in former:
        path.unlink()
    return total


def remove_state(folder: Path, name: str) -> None:
    """Remove a state's files, if there are any."""
    for path in (_index(folder, name), *folder.glob(f"{name}-*.npz")):
        path.unlink(missing_ok=True)


def read_state(folder: Path, name: str) -> StoredState | None:
    """Read a state; None if there is none.

    Raises:
        BadInput: a file is damaged or missing.
    """
    index = _index(folder, name)
    if not index.exists():
        return None
    remedy = f"copy {folder} once more, or delete {index} to train from the start"
    path = index
    try:
        described = json.loads(index.read_text())
        pieces = []
        for file, digest in described["files"].items():
            path = folder / file
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise BadInput(f"{path} is damaged; {remedy}.")
            with np.load(path) as stored:
                pieces.append(stored["bytes"])
        path = index
        stream = np.concatenate(pieces).tobytes()
        arrays = {key: _decoded(stream, *leaf) for key, leaf in described["leaves"].items()}
        return StoredState(described["system"], described["step"], described["config"], arrays)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as problem:
        if isinstance(problem, BadInput):
            raise
        raise BadInput(f"{path} is missing or damaged ({type(problem).__name__}); {remedy}.") from problem


def restore_run(
    folder: Path, name: str, system: str, config: Mapping[str, Any], dataset: Dataset, run_dir: Path
) -> int | None:
    """Make a run directory of a state, unless the directory is as far or there is no state.

    Args:
        folder: with the state.
        name: of its files.
        system: the expected config's name and variant.
        config: its values.
        dataset: the training data, prepared again.
        run_dir: replaced.

    Returns:
        The step at which training goes on; None if nothing was restored.

    Raises:
        BadInput: the state is damaged, or of another config or version.
    """
    stored = read_state(folder, name)
    if stored is None:
        return None
    index = _index(folder, name)
    if stored.system != system:
        raise BadInput(f"{index} is a state of {stored.system}, not of {system}; give another --state.")
    if max(complete_steps(run_dir / CHECKPOINTS), default=-1) >= stored.step:
        return None
    frozen = run.freeze(config, dataset)
    former = {**stored.config, "representation": _reconciled(stored.config, frozen)}
    state = _placed(stored.arrays, build_task(frozen, make_mesh()).shapes, index)
    shutil.rmtree(run_dir, ignore_errors=True)
    run.claim(run_dir, former)
    checkpoints = Checkpoints(run_dir, 1, frozen["evaluation"]["metric"])
    checkpoints.save(stored.step, state)
    checkpoints.close()
    try:
        run.check(run_dir, frozen)
    except BadInput as problem:
        shutil.rmtree(run_dir)
        raise BadInput(f"{index} is a state of another config ({problem}) Give another --state.") from problem
    return stored.step


def _index(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _encoded(state: Any, config: Mapping[str, Any]) -> tuple[bytes, dict[str, list[Any]]]:
    """The stream, and of each leaf its start there, the stored dtype and the shape, by path."""
    stream, leaves, starts = bytearray(), {}, {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        key, array = jax.tree_util.keystr(path), np.asarray(leaf)
        dtype = _stored_dtype(key, array, config)
        if dtype is None:
            continue
        stored = np.ascontiguousarray(array.astype(dtype))
        planes = stored.reshape(-1).view(np.uint8).reshape(-1, dtype.itemsize).T.tobytes()
        digest = (dtype.name, hashlib.sha256(planes).digest())
        if digest not in starts:
            starts[digest] = len(stream)
            stream += planes
        leaves[key] = [starts[digest], dtype.name, list(array.shape)]
    return bytes(stream), leaves


def _decoded(stream: bytes, start: int, name: str, shape: list[int]) -> np.ndarray:
    dtype, count = jnp.dtype(name), int(np.prod(shape))
    planes = np.frombuffer(stream, np.uint8, count * dtype.itemsize, start).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype).reshape(shape)


def _stored_dtype(key: str, array: np.ndarray, config: Mapping[str, Any]) -> np.dtype | None:
    """Dtype in which a leaf is stored; None for one that does not count."""
    if array.dtype != np.float32:
        return array.dtype
    if moment := _MOMENT.match(key):
        beta1 = config["optimizer"][moment[1]]["beta1"]
        # A schedule is no number; its first moments are stored.
        forgotten = moment[2] == "mu" and isinstance(beta1, (int, float)) and beta1 <= _FORGETFUL
        return None if forgotten else jnp.dtype(jnp.bfloat16)
    fits = np.abs(array).max(initial=0.0) <= np.finfo(np.float16).max
    return jnp.dtype(jnp.float16 if fits else jnp.bfloat16)


def _placed(arrays: Mapping[str, np.ndarray], shapes: Any, index: Path) -> Any:
    """The state on the devices."""

    def place(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        key = jax.tree_util.keystr(path)
        found = arrays.get(key)
        if found is None and _MOMENT.match(key):
            found = np.zeros(leaf.shape, leaf.dtype)
        if found is None or found.shape != leaf.shape:
            raise BadInput(f"{index} lacks {key} as this version has it; use the version that wrote it.")
        return jax.device_put(found.astype(leaf.dtype), leaf.sharding)

    return jax.tree_util.tree_map_with_path(place, shapes)


def _reconciled(stored: Mapping[str, Any], frozen: Mapping[str, Any]) -> dict[str, Any]:
    """The present data set's representation if it is the stored one's but for rounding, else the stored one."""
    before, now = stored["representation"], frozen["representation"]
    fitted = ("mean", "std")
    same = all(before.get(key) == now.get(key) for key in before.keys() | now.keys() if key not in fitted)
    close = all(np.allclose(before[key], now[key], rtol=_STATISTICS) for key in fitted if key in before and key in now)
    return dict(now if same and close else before)
