"""Digests of a folder's files: what says that all of them are there, and that they are what was written.

`digests.json` holds, by the file's path within the folder, its size and the digest of its bytes, under the name of the
kind of digest. It is written when all files are in place under their names, and durable, as they are.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google_crc32c

from drumgan_jax.core import places
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.json_files import read_json
from drumgan_jax.core.regular_files import open_regular

DIGESTS_NAME = "digests.json"
# The first costs little beside reading, and finds damage; the second is collision-resistant.
CRC32C, SHA256 = "crc32c", "sha256"
_KINDS: Mapping[str, Callable[[], Any]] = {CRC32C: google_crc32c.Checksum, SHA256: hashlib.sha256}
_FORMAT = 1
# Small enough for a core's cache, where the digest then finds what was read.
_BLOCK = 2**18
_THREADS = 4


@dataclasses.dataclass(frozen=True)
class Digests:
    """What a folder's files were when their digests were written.

    Attributes:
        folder: of the files.
        kind: of the digests.
        files: size and digest of each file, by its path within the folder, in order of the paths.
    """

    folder: Path
    kind: str
    files: Mapping[str, Any]

    def altered(self, names: Collection[str] | None = None) -> list[str]:
        """Those of the named files, or of all, that are missing, unreadable, or not as they were.

        Raises:
            NotReached: a bucket does not answer, which says nothing of the files.
        """
        names = list(self.files if names is None else names)
        now = _each(lambda path: _digest_or_none(path, self.kind), self.folder, names)
        return [name for name, digest in zip(names, now, strict=True) if digest is None or digest != self.files[name]]

    def of_other_size(self, names: Collection[str]) -> list[str]:
        """Those of the named files that are missing or have another size; only that is looked at."""
        sizes = ((name, _size(self.folder / name)) for name in names)
        return [name for name, size in sizes if size is None or not _is_of(size, self.files[name])]

    def size(self, name: str) -> int:
        """Bytes of a file when its digest was written; 0 if its entry is damaged."""
        entry = self.files[name]
        return entry[0] if isinstance(entry, list) and entry and type(entry[0]) is int else 0

    def unlisted(self) -> list[str]:
        """Files in the folder that have no digest."""
        return [name for name in _files(self.folder) if name not in self.files]


def has_digests(folder: Path) -> bool:
    """Whether a folder's files can be verified."""
    return (folder / DIGESTS_NAME).is_file()


def write_digests(folder: Path, kind: str, left_out: Collection[str] = ()) -> None:
    """Write the digests of all files of a folder, after these and their folders are on the disk, or in the bucket.

    Args:
        folder: of the files.
        kind: of the digests, CRC32C or SHA256.
        left_out: names of files that get none.

    Raises:
        OSError: a file cannot be read or written.
    """
    names = [name for name in _files(folder) if name not in left_out]
    remote = places.is_remote(folder)
    digest = _digest_in_bucket if remote else _digest_on_disk
    found = dict(zip(names, _each(lambda path: digest(path, kind), folder, names), strict=True))
    written = set() if remote else {folder, folder.parent, *((folder / name).parent for name in names)}
    for inner in written:
        _synchronize(inner)
    save_digests(Digests(folder, kind, found))
    if not remote:
        _synchronize(folder)


def save_digests(digests: Digests) -> None:
    """Write digests that are known into their folder; see `write_digests`, which finds them."""
    with replacing(digests.folder / DIGESTS_NAME) as temporary:
        temporary.write_text(json.dumps({"format": _FORMAT, digests.kind: digests.files}, indent=0) + "\n")


def read_digests(folder: Path, remedy: str) -> Digests:
    """The digests of a folder's files.

    Args:
        folder: of the files.
        remedy: what to do if they cannot be used, the end of a sentence.

    Raises:
        BadInput: the file cannot be read, is damaged, or of a later version.
    """
    path = folder / DIGESTS_NAME
    content = read_json(path, remedy)
    # True would be equal to 1.
    if type(content.get("format")) is not int or content["format"] != _FORMAT:
        raise BadInput(f"{path}: format is {shown(content.get('format'))}; it must be {_FORMAT}: {remedy}.")
    kind = next((kind for kind in _KINDS if kind in content), CRC32C)
    files = content.get(kind)
    if not isinstance(files, dict) or not files:
        raise BadInput(f"{path}: {kind} lists no files; {remedy}.")
    return Digests(folder, kind, dict(sorted(files.items())))


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob(path: str | os.PathLike[str]) -> str:
    """The name, in hex, that Git gives to the content of a file."""
    with open(path, "rb") as file:
        digest = hashlib.sha1(f"blob {os.fstat(file.fileno()).st_size}\0".encode(), usedforsecurity=False)
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _files(folder: Path) -> list[str]:
    return sorted(name for name in places.names_in(folder) if name != DIGESTS_NAME)


def _each(digest: Callable[[Path], Any], folder: Path, names: Collection[str]) -> list[Any]:
    """A digest of each file; several files at once."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(digest, (folder / name for name in names)))


def _digest(descriptor: int, kind: str) -> list[Any]:
    size, digest = 0, _KINDS[kind]()
    while block := os.read(descriptor, _BLOCK):
        size += len(block)
        digest.update(block)
    return [size, digest.digest().hex()]


def _digest_or_none(path: Path, kind: str) -> list[Any] | None:
    try:
        if places.is_remote(path):
            return _digest_in_bucket(path, kind)
        with open_regular(path) as file:
            return _digest(file.fileno(), kind)
    except places.NotReached:
        raise
    except (BadInput, OSError):
        return None


def _digest_in_bucket(path: Path, kind: str) -> list[Any]:
    """What Google's storage has computed of an object itself; else it is read."""
    if kind == CRC32C and (known := places.known_crc32c(path)):
        return list(known)
    content = places.read(path)
    digest = _KINDS[kind]()
    digest.update(content)
    return [len(content), digest.digest().hex()]


def _digest_on_disk(path: Path, kind: str) -> list[Any]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        return _digest(descriptor, kind)
    finally:
        os.close(descriptor)


def _size(path: Path) -> int | None:
    try:
        return places.size_of(path)
    except places.NotReached:
        raise
    except OSError:
        return None


def _is_of(size: int, entry: Any) -> bool:
    return isinstance(entry, list) and entry[:1] == [size]


def _synchronize(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
