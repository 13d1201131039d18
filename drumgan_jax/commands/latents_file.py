"""`latents.json`, from which sounds can be made again: how it is written, and how it is read.

It has the file, seed, class weights, z and w of each sound, and the model and rendering settings of all sounds. Noise
found by inversion is stored beside it, in `noises.npz`.
"""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.core.array_files import DAMAGES, read_arrays
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, about, first_line, listed, shown
from drumgan_jax.core.json_files import read_json
from drumgan_jax.core.settings import is_number, is_whole
from drumgan_jax.latents.latents import Latents
from drumgan_jax.play.playable import Playable, condition_names

LATENTS_NAME = "latents.json"
# Written as `format`; files without it are of format 1.
LATENTS_FORMAT = 1
_NOISES_NAME = "noises.npz"
_NOT_HOW = ("format", "model", "step", "vocoder", "noises", "sounds")
_REMEDY = "give one that drumgan wrote"
_MOST = float(np.finfo(np.float32).max)


def write_latents(
    folder: Path, latents: Latents, instrument: Playable, how: Mapping[str, Any], files: Sequence[str]
) -> None:
    """Write `latents.json`, and `noises.npz` if noise is stored rather than drawn from seeds; see `write_sounds`."""
    rows, names = [], condition_names(instrument)
    for item, file in enumerate(files):
        ws = latents.ws[item]
        labels = None if latents.labels is None else latents.labels[item].tolist()
        rows.append(
            {
                "file": file,
                "seed": int(latents.seeds[item]),
                "labels": None if labels is None else dict(zip(names, labels, strict=True)),
                "z": None if latents.z is None else latents.z[item].tolist(),
                # If all layers are equal, one row stands for them.
                "ws": (ws[:1] if np.array_equal(ws, np.broadcast_to(ws[:1], ws.shape)) else ws).tolist(),
            }
        )
    noises = None
    if latents.noises is not None:
        noises = _NOISES_NAME
        content = io.BytesIO()
        layers = {f"layer_{number:02d}": noise for number, noise in enumerate(latents.noises)}
        np.savez_compressed(content, **layers)  # type: ignore[arg-type]
        with replacing(folder / noises) as path:
            path.write_bytes(content.getbuffer())
    made = {
        "format": LATENTS_FORMAT,
        "model": latents.model,
        "step": instrument.step,
        "vocoder": instrument.decoder_digest,
    }
    saved = {**made, **how, "noises": noises, "sounds": rows}
    with replacing(folder / LATENTS_NAME) as path:
        path.write_text(json.dumps(saved, indent=1))


def read_latents(path: str, instrument: Playable) -> tuple[Latents, dict[str, Any]]:
    """Read a latents.json: the latents, and the rendering settings: `noise`, and any others stored.

    Raises:
        BadInput: the file or its noise cannot be read, or belongs to another run or step; names the file and the key.
    """
    saved = read_json(path, _REMEDY)
    with about(path):
        version = saved.get("format", 1)
        if not is_whole(version, 1):
            raise _unfit("format", version, "a whole number of at least 1")
        if version > LATENTS_FORMAT:
            raise BadInput(
                f"it is of format {shown(version)}, and this version reads up to {LATENTS_FORMAT}; update it."
            )
        if "model" not in saved and "sounds" in saved:
            raise BadInput("it is of an earlier version, without w; make its sounds again from their seeds.")
        model, step = saved.get("model"), saved.get("step")
        if not isinstance(model, str):
            raise _unfit("model", model, "a text")
        if model != instrument.model:
            raise BadInput(
                f"it is of another run or step: its sounds were made at step {shown(step)}; give "
                f"that run and add --step={shown(step)}."
            )
        latents = _latents(saved, Path(path).parent, instrument)
        how = {name: value for name, value in saved.items() if name not in _NOT_HOW}
        how["noise"] = _noise(saved.get("noise"))
    if saved.get("vocoder") != instrument.decoder_digest:
        print(f"note: the sounds of {path} were made with another vocoder, or none; these will sound different.")
    return latents, how


def _latents(saved: Mapping[str, Any], folder: Path, instrument: Playable) -> Latents:
    rows, names, shape = saved.get("sounds"), condition_names(instrument), instrument.latent_shape
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise _unfit("sounds", rows, "a list of sounds")
    for number, row in enumerate(rows):
        if not is_whole(row.get("seed"), 0) or row["seed"] >= 2**32:
            raise _unfit(f"sounds.{number}.seed", row.get("seed"), f"a whole number from 0 to {2**32 - 1}")
    labels = _of_all(rows, "labels", lambda value, key: _labels(value, key, names))
    z = _of_all(rows, "z", _row)
    if z is not None and len({len(one) for one in z}) > 1:
        raise BadInput("the z of its sounds are of different lengths; make the sounds again.")
    _require("noises", saved, "")
    return Latents(
        seeds=np.asarray([row["seed"] for row in rows], np.uint32),
        ws=np.stack([_ws(row.get("ws"), f"sounds.{number}.ws", shape) for number, row in enumerate(rows)]),
        z=None if z is None else np.asarray(z, np.float32),
        labels=None if labels is None else np.asarray(labels, np.float32).reshape(len(rows), -1),
        noises=_noises(saved["noises"], folder, [(len(rows), *size, 1) for size in instrument.noise_sizes]),
        model=saved["model"],
    )


def _of_all(
    rows: Sequence[Mapping[str, Any]], name: str, read: Callable[[Any, str], list[float]]
) -> list[list[float]] | None:
    """A value of every sound, each as `read` returns it of the value and its key; None if it is null in all."""
    for number, row in enumerate(rows):
        _require(name, row, f"sounds.{number}.")
    if len({row[name] is None for row in rows}) > 1:
        raise BadInput(f"{name} is null in some of its sounds and not in others: {_REMEDY}.")
    if rows[0][name] is None:
        return None
    return [read(row[name], f"sounds.{number}.{name}") for number, row in enumerate(rows)]


def _require(name: str, given: Mapping[str, Any], place: str) -> None:
    # A key that is always written, with null for none.
    if name not in given:
        raise BadInput(f"{place}{name} is missing: {_REMEDY}.")


def _noises(name: Any, folder: Path, sizes: Sequence[tuple[int, ...]]) -> tuple[np.ndarray, ...] | None:
    if name is None:
        return None
    if name != _NOISES_NAME:
        raise _unfit("noises", name, f"{_NOISES_NAME} or null")
    path, again = folder / name, "make the sounds again"
    try:
        arrays = read_arrays(path, again)
    except BadInput:
        raise
    except DAMAGES as problem:
        raise BadInput(f"{path} is damaged ({first_line(problem)}); {again}.") from problem
    noises = tuple(arrays[one] for one in sorted(arrays))
    if [noise.shape for noise in noises] != list(sizes):
        raise BadInput(f"{path} does not fit this run's layers or the sounds; {again}.")
    if not all(noise.dtype == np.float32 and np.isfinite(noise).all() for noise in noises):
        raise BadInput(f"{path} holds something else than finite numbers; {again}.")
    return noises


def _labels(value: Any, key: str, names: Sequence[str]) -> list[float]:
    if not isinstance(value, dict) or value.keys() != set(names) or not all(map(_is_float32, value.values())):
        raise _unfit(key, value, f"a number for each of {listed(names) or 'nothing'}")
    return [value[name] for name in names]


def _ws(value: Any, key: str, shape: tuple[int, int]) -> np.ndarray:
    wanted = f"1 or {shape[0]} lists of {shape[1]} numbers"
    if not isinstance(value, list) or len(value) not in (1, shape[0]):
        raise _unfit(key, value, wanted)
    rows = [_row(row, f"{key}.{number}") for number, row in enumerate(value)]
    if any(len(row) != shape[1] for row in rows):
        raise _unfit(key, value, wanted)
    return np.broadcast_to(np.asarray(rows, np.float32), shape)


def _row(value: Any, key: str) -> list[float]:
    if not isinstance(value, list) or not all(map(_is_float32, value)):
        raise _unfit(key, value, "a list of numbers")
    return value


def _noise(value: Any) -> Any:
    numbers = value if isinstance(value, list) else [value]
    if isinstance(value, bool) or all(map(_is_float32, numbers)):
        return value
    raise _unfit("noise", value, "true, false, a number, or a list of numbers")


def _is_float32(value: Any) -> bool:
    return is_number(value) and abs(value) <= _MOST


def _unfit(key: str, value: Any, wanted: str) -> BadInput:
    return BadInput(f"{key} is {shown(value)}; it must be {wanted}: {_REMEDY}.")
