"""Digests of a checkpoint's files: what says that it is complete, and that it is what was saved.

`digests.json` holds, by the file's path within the checkpoint, its size and the CRC-32C of its bytes. It is written
when all files are in place under their names, and durable, as they are, before the checkpoint counts.
"""

import json
import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google_crc32c

from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.json_files import read_json
from drumgan_jax.core.regular_files import open_regular
from drumgan_jax.core.settings import is_whole

# In a run directory.
CHECKPOINTS = "checkpoints"
DIGESTS_NAME = "digests.json"
# Written by Orbax last of all.
METADATA_NAME = "_CHECKPOINT_METADATA"
# Given to Orbax for that file: tells a checkpoint whose digests are still to be written from one of an earlier version.
EXPECTED = {"digests": DIGESTS_NAME}
_FORMAT = 1
_ANOTHER = "give another step, or delete this one"
# Small enough for a core's cache, where the digest then finds what was read.
_BLOCK = 2**18
_THREADS = 4


def is_complete(checkpoint: Path) -> bool:
    """Whether a folder is a checkpoint that has its digests, or is of a version that wrote none."""
    if (checkpoint / DIGESTS_NAME).is_file():
        return True
    if not (checkpoint / METADATA_NAME).exists():
        return False
    try:
        told = read_json(checkpoint / METADATA_NAME, _ANOTHER).get("custom_metadata")
    except BadInput:
        return True  # Damaged, which is told when it is read.
    return not (isinstance(told, Mapping) and told.get("digests"))


def complete_steps(directory: Path) -> list[int]:
    """Steps of the complete checkpoints in a folder, ascending; those without all they should have are left out."""
    if not directory.is_dir():
        return []
    return sorted(int(one.name) for one in directory.iterdir() if one.name.isdecimal() and is_complete(one))


def has_digests(checkpoint: Path) -> bool:
    """Whether a complete checkpoint can be verified."""
    return (checkpoint / DIGESTS_NAME).is_file()


def write_digests(checkpoint: Path) -> None:
    """Write the digests of all files of a checkpoint, after these and their folders are on the disk.

    Raises:
        OSError: a file cannot be read or written.
    """
    names = _files(checkpoint)
    found = dict(zip(names, _each(_digest_on_disk, checkpoint, names), strict=True))
    for folder in {(checkpoint / name).parent for name in names} | {checkpoint, checkpoint.parent}:
        _synchronize(folder)
    with replacing(checkpoint / DIGESTS_NAME) as temporary:
        temporary.write_text(json.dumps({"format": _FORMAT, "crc32c": found}, indent=0) + "\n")
    _synchronize(checkpoint)


def read_digests(checkpoint: Path) -> dict[str, Any]:
    """The digests of a checkpoint's files by path, in order of the paths.

    Raises:
        BadInput: the file cannot be read, is damaged, or of a later version.
    """
    path = checkpoint / DIGESTS_NAME
    content = read_json(path, _ANOTHER)
    if not is_whole(content.get("format"), _FORMAT) or content["format"] > _FORMAT:
        raise BadInput(f"{path}: format is {shown(content.get('format'))}; it must be {_FORMAT}: {_ANOTHER}.")
    if not isinstance(content.get("crc32c"), dict) or not content["crc32c"]:
        raise BadInput(f"{path}: crc32c lists no files; {_ANOTHER}.")
    return dict(sorted(content["crc32c"].items()))


def altered(checkpoint: Path, digests: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """Those of the named files that are missing, unreadable, or not as they were when their digests were written."""
    now = _each(_digest_or_none, checkpoint, names)
    return [name for name, digest in zip(names, now, strict=True) if digest is None or digest != digests[name]]


def first_altered(checkpoint: Path, items: Collection[str] | None = None) -> str | None:
    """The first file of a checkpoint that is not what was saved; None if all are, or if it has no digests.

    Args:
        checkpoint: its folder.
        items: the items that are looked at, besides what belongs to all; None for all.
    """
    if not has_digests(checkpoint):
        return None
    try:
        digests = read_digests(checkpoint)
    except BadInput:
        return DIGESTS_NAME
    names = [name for name in digests if items is None or "/" not in name or name.split("/")[0] in items]
    return next(iter(altered(checkpoint, digests, names)), None)


def unlisted(checkpoint: Path, digests: Mapping[str, Any]) -> list[str]:
    """Files in a checkpoint's folder that have no digest."""
    return [name for name in _files(checkpoint) if name not in digests]


def _files(checkpoint: Path) -> list[str]:
    found = (path.relative_to(checkpoint).as_posix() for path in checkpoint.rglob("*") if path.is_file())
    return sorted(name for name in found if name != DIGESTS_NAME)


def _each(digest: Any, checkpoint: Path, names: Collection[str]) -> list[Any]:
    """A digest of each file; several files at once."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(digest, (checkpoint / name for name in names)))


def _digest(descriptor: int) -> list[Any]:
    size, crc = 0, 0
    while block := os.read(descriptor, _BLOCK):
        size, crc = size + len(block), google_crc32c.extend(crc, block)
    return [size, f"{crc:08x}"]


def _digest_or_none(path: Path) -> list[Any] | None:
    try:
        with open_regular(path) as file:
            return _digest(file.fileno())
    except (BadInput, OSError):
        return None


def _digest_on_disk(path: Path) -> list[Any]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        return _digest(descriptor)
    finally:
        os.close(descriptor)


def _synchronize(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
