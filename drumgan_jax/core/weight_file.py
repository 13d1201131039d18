"""Weight files: an .npz with weights and a JSON header, written atomically and checked when read."""

import functools
import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from flax.traverse_util import flatten_dict, unflatten_dict

from drumgan_jax.core.array_files import DAMAGES, arrays_of
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, brief, listed, shown
from drumgan_jax.core.places import place
from drumgan_jax.core.regular_files import read_regular

# As `sha256sum` writes it, of files in the same folder.
SUMS_NAME = "SHA256SUMS"
_HEADER = "header"
# In the header, of it and of the arrays; files of earlier versions have none.
_DIGEST = "digest"


class FileFormat(NamedTuple):
    """A kind of file and its version, written as "drumgan vocoder 2".

    Attributes:
        name: name of the kind.
        version: the version written; this and all earlier versions can be read.
        written_by: the command that writes it, for messages.
    """

    name: str
    version: int
    written_by: str = "drumgan pack"


class WeightFile(NamedTuple):
    """Contents of a weight file.

    Attributes:
        version: version of its format.
        header: the JSON header.
        arrays: arrays by name.
        sha256: hash of the file, in hex.
    """

    version: int
    header: dict[str, Any]
    arrays: dict[str, np.ndarray]
    sha256: str


def weight_path(path: str | os.PathLike[str]) -> Path:
    """Return the path; raise BadInput unless it ends in .npz."""
    if place(path).suffix != ".npz":
        raise BadInput(f"{path} must end in .npz; rename it.")
    return place(path)


def write_weights(
    path: str | os.PathLike[str], form: FileFormat, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write a header and arrays by name; equal contents give identical bytes.

    Raises:
        BadInput: the path does not end in .npz or cannot be written.
    """
    path = weight_path(path)
    told = json.loads(json.dumps({"format": f"{form.name} {form.version}", **header}))
    text = json.dumps({**told, _DIGEST: content_digest(told, arrays)}, indent=1)
    everything = {_HEADER: np.frombuffer(text.encode(), np.uint8), **arrays}
    content = io.BytesIO()
    np.savez_compressed(content, **everything)  # type: ignore[arg-type]
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(content.getbuffer())
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); check folder and free space.") from error


def read_weights(path: str | os.PathLike[str], form: FileFormat, owner: str) -> WeightFile:
    """Read a file written by `write_weights` in this or an earlier version; no code in it is executed.

    Args:
        path: the file.
        form: the expected kind of file, and the newest version that can be read.
        owner: owner of the file, for messages ("a classifier").

    Raises:
        BadInput: the file cannot be read, is damaged, or is of another kind or format.
    """
    content = read_regular(path, f"give {owner}'s .npz")
    sha256 = hashlib.sha256(content).hexdigest()
    listed = _check_listed(place(path), sha256)
    try:
        arrays = arrays_of(content)
        header = header_of(arrays.pop(_HEADER))
        found, told = header["format"], _DIGEST in header
        stored = header.pop(_DIGEST, None)
        whole = not told or stored == content_digest(header, arrays)
    except DAMAGES as error:
        raise not_one(path, owner, error, form.written_by) from error
    kind, _, number = str(found).rpartition(" ")
    if kind != form.name:
        raise BadInput(f"{path} is the file of a {brief(kind or found)}; give that of a {form.name}.")
    if not number.isdecimal() or not 1 <= int(number) <= form.version:
        raise BadInput(
            f"{path} is of format {shown(found)}, which this version cannot read (it reads up to {form.version});"
            f" update drumgan_jax, or write the file again with `{form.written_by}`."
        )
    if not whole:
        raise BadInput(
            f"{path} is damaged: its header and arrays are not those that were written; write it again with"
            f" `{form.written_by}`."
        )
    if not (told or listed):
        _tell_of_none(str(path))
    return WeightFile(int(number), header, arrays, sha256)


@functools.cache
def _tell_of_none(path: str) -> None:
    logging.warning("%s was written by a version that wrote no digest, so changes in it are not noticed.", path)


def _check_listed(path: Path, sha256: str) -> bool:
    """Whether a list in its folder, such as the package has, names a file; BadInput if that says it is another."""
    sums = path.parent / SUMS_NAME
    if not sums.is_file():
        return False
    pairs = (line.split(maxsplit=1) for line in sums.read_text(errors="replace").splitlines())
    # A star is of files that were read as binary, as `sha256sum -b` reads them.
    sum_of = {pair[1].strip().removeprefix("*").removeprefix("./"): pair[0] for pair in pairs if len(pair) == 2}
    if sum_of.get(path.name, sha256).lower() != sha256:
        raise BadInput(f"{path} is damaged: its SHA-256 is {sha256}, not that in {sums}; install or copy it again.")
    return path.name in sum_of


def header_of(array: np.ndarray) -> dict[str, Any]:
    """The header in its array.

    Raises:
        ValueError: it is no JSON object.
    """
    header = json.loads(array.tobytes())
    if not isinstance(header, dict) or not isinstance(header["format"], str):
        raise ValueError("its header is no object with a format")
    return header


def content_digest(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256, in hex, of a header and of the names, shapes, dtypes and values of arrays."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def not_one(
    path: str | os.PathLike[str], owner: str, error: Exception, written_by: str = FileFormat("", 1).written_by
) -> BadInput:
    """The error for a file that is damaged, or whose content does not belong to its owner."""
    kind = type(error).__name__
    return BadInput(f"{path} is not {owner}'s file, or is damaged ({kind}); write it with `{written_by}`.")


def flat(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A tree of variables as NumPy arrays by path, sorted."""
    return {name: np.asarray(leaf) for name, leaf in sorted(flatten_dict(dict(variables), sep="/").items())}


_MOST_IN_HALF = float(np.finfo(np.float16).max)
# Elements of an array that is large.
_LARGE = 2**12
# Elements of an array that is worth a scale of its own, and what is appended to its path for the scale's.
_MANY, _SCALE = 2**15, "#scale"


def halved(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by path, with those of "params" and all large ones in half precision unless they exceed its range."""
    halves = {}
    for name, array in arrays.items():
        fits = (name.startswith("params/") or array.size >= _LARGE) and np.abs(array).max(initial=0.0) < _MOST_IN_HALF
        halves[name] = array.astype(np.float16) if fits else array
    return halves


def in_bytes(arrays: Mapping[str, np.ndarray], bits: int = 8) -> dict[str, np.ndarray]:
    """Arrays by path, with large floating-point ones of two axes or more as bytes, a scale for each last index.

    With 8 bits the rounding error is at most 1/254 of the largest value of the same last index, such as a kernel's
    output channel; each bit less doubles it, and makes the file, which is compressed, smaller by an eighth.
    """
    most = 2 ** (bits - 1) - 1
    packed = {}
    for name, array in arrays.items():
        if array.ndim < 2 or array.size < _MANY or not np.issubdtype(array.dtype, np.floating):
            packed[name] = array
            continue
        whole = array.astype(np.float32)
        scale = np.abs(whole).max(axis=tuple(range(array.ndim - 1))) / most
        packed[name] = np.round(whole / np.where(scale > 0, scale, 1)).astype(np.int8)
        packed[name + _SCALE] = scale
    return packed


def out_of_bytes(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `in_bytes`: those arrays as float32."""
    whole = {}
    for name, array in arrays.items():
        scale = arrays.get(name + _SCALE)
        if not name.endswith(_SCALE):
            whole[name] = array if scale is None else array.astype(np.float32) * scale
    return whole


def restored(arrays: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Variables in the network's own precision from arrays that were `halved`; see `fitted`."""
    dtypes = {name: leaf.dtype for name, leaf in flatten_dict(dict(expected), sep="/").items()}
    whole = {
        name: array.astype(dtypes[name]) if array.dtype == np.float16 and name in dtypes else array
        for name, array in arrays.items()
    }
    return fitted(whole, expected)


def fitted(arrays: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Check arrays against a network and return them as a tree of variables.

    Args:
        arrays: arrays by path.
        expected: a tree of leaves with a shape and a dtype.

    Raises:
        BadInput: a name, shape or dtype differs, or a value is not finite; names the array.
    """
    if misfit := misfit_of(arrays, expected):
        raise BadInput(f"{misfit}; write the file again.")
    for name, have in arrays.items():
        if not np.isfinite(have).all():
            raise BadInput(f"{name} holds NaN or infinite values; pack another checkpoint.")
    return unflatten_dict(dict(arrays), sep="/")


def misfit_of(arrays: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> str:
    """In what arrays by path differ from a network's tree of leaves with a shape and a dtype; empty if in nothing."""
    wanted = flatten_dict(dict(expected), sep="/")
    if arrays.keys() != wanted.keys():
        odd = sorted(arrays.keys() ^ wanted.keys())
        return f"its arrays and the network's differ in {listed(odd[:3])}"
    for name, leaf in wanted.items():
        have = arrays[name]
        if have.shape != leaf.shape or have.dtype != leaf.dtype:
            return f"{name} is {have.dtype}{list(have.shape)}, but the network has {leaf.dtype}{list(leaf.shape)}"
    return ""


def variables_digest(variables: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the names, shapes, dtypes and values of a trained network, which it identifies.

    Of "params" and, where components are in them, "statistics"; not of the running mean of w alone.
    """
    digest = hashlib.sha256()
    statistics = {name: value for name, value in variables.get("statistics", {}).items() if name != "w_average"}
    leaves = {**flatten_dict(dict(variables["params"]), sep="/"), **flatten_dict({"statistics": statistics}, sep="/")}
    for name, leaf in sorted(leaves.items()):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(array.data)
    return digest.hexdigest()
