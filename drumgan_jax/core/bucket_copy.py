"""Copies of a bucket's files in the cache folder: what is read again is not downloaded again.

Each address has a folder there, with files and a `digests.json` of what the bucket told of them, by which they are
known without a network too.
"""

import base64
import contextlib
import dataclasses
import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from drumgan_jax.core import copies, places
from drumgan_jax.core.cache_folder import cache_folder, is_offline
from drumgan_jax.core.digests import CRC32C, Digests, has_digests, read_digests, save_digests
from drumgan_jax.core.disks import is_disk_full
from drumgan_jax.core.errors import BadInput, brief, first_line

_FOLDER, _KEY = "buckets", 24


@dataclasses.dataclass(frozen=True)
class BucketCopy:
    """A folder in a bucket, whose files are copied to this machine as they are needed.

    Attributes:
        source: the folder in the bucket.
        copy: the folder of this machine, and what the bucket tells of its files.
    """

    source: Path
    copy: Digests

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of all files in the bucket, by their paths in the folder."""
        return {name: self.copy.size(name) for name in self.copy.files}

    def fetch(self, names: Collection[str]) -> Path:
        """The folder of this machine with the named files, each what the bucket says that it is.

        Raises:
            BadInput: a file cannot be fetched or kept, or comes otherwise than the bucket says twice.
        """
        if is_offline():
            if odd := self.copy.altered(names):
                raise _not_here(self.source / odd[0])
            return self.copy.folder
        with _errors(self.source):
            odd = copies.complete(self.source, self.copy, names)
            if not odd:
                self._forget()
                save_digests(self.copy)
        if odd:
            raise BadInput(f"{brief(self.source / odd[0])} came damaged twice; try again later.")
        return self.copy.folder

    def _forget(self) -> None:
        """Delete what is in the bucket no more; at the top there may be files of this machine alone."""
        for name in places.names_in(self.copy.folder):
            if "/" in name and name not in self.copy.files:
                (self.copy.folder / name).unlink(missing_ok=True)


def open_copy(source: Path, name: str = "") -> BucketCopy:
    """The copy of a folder in a bucket of Google's storage; if DRUMGAN_OFFLINE is set, as it was last seen.

    Args:
        source: the folder.
        name: the one file of it that matters; empty for all.

    Raises:
        BadInput: it cannot be read, or there is no copy and DRUMGAN_OFFLINE is set.
    """
    address = source / name if name else source
    folder = cache_folder() / _FOLDER / hashlib.sha256(str(address).encode()).hexdigest()[:_KEY]
    if is_offline():
        if not has_digests(folder):
            raise _not_here(address)
        return BucketCopy(source, read_digests(folder, "delete its folder, and load it once with a network"))
    with _errors(address):
        files = places.filesystem(source)
        if name:
            told = {name: places.patiently(lambda: files.info(str(address)))}
        else:
            found = places.patiently(lambda: files.find(str(source), detail=True))
            start = str(source).split("://", 1)[1].rstrip("/") + "/"
            told = {key.removeprefix(start): info for key, info in found.items()}
        return BucketCopy(source, Digests(folder, CRC32C, {one: _digest(info) for one, info in told.items()}))


def _digest(info: Mapping[str, Any]) -> list[Any]:
    if not info.get("crc32c"):
        raise OSError(f"the storage tells no CRC-32C of {info['name']}")
    return [int(info["size"]), base64.b64decode(info["crc32c"]).hex()]


def _not_here(address: Path) -> BadInput:
    return BadInput(
        f"{brief(address)} is not in the cache {cache_folder() / _FOLDER}, or not as it was, and DRUMGAN_OFFLINE is"
        " set; unset it, or load it once with a network."
    )


@contextlib.contextmanager
def _errors(address: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput(f"{brief(address)} cannot be read (there is no such object); check the address.") from error
    except OSError as error:
        reason = error.strerror or first_line(error)
        # Files of this machine have names.
        if error.filename is not None or is_disk_full(error):
            raise BadInput(
                f"the cache folder {cache_folder()} cannot hold {brief(address)} ({reason}); make room, or set"
                " DRUMGAN_CACHE to another folder."
            ) from error
        raise BadInput(
            f"{brief(address)} cannot be read ({reason}); try again, or set DRUMGAN_OFFLINE=1 to use the copy of an"
            " earlier time."
        ) from error
