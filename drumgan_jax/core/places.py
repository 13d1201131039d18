"""Where files are: on this machine, or in a bucket of object storage (gs://, and s3:// for data sets).

A place is a path with the methods of pathlib that both kinds have: of this machine it is a pathlib.Path, of a bucket
etils.epath's. What differs is here: buckets have no folders, no renaming and no appending, an object is there whole or
not at all, and each request may fail and is tried again.
"""

import base64
import contextlib
import errno
import functools
import importlib.util
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from drumgan_jax.core.errors import BadInput, brief, first_line

# One library for all requests: without this, etils takes TensorFlow's where that is installed.
os.environ.setdefault("EPATH_USE_TF", "false")
# Whether a bucket is of a newer kind would be asked of another service, for up to a minute.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_LIBRARIES = {"gs": "gcsfs", "s3": "s3fs"}
_INSTALL = "pip install 'drumgan-jax[storage]'"
# A library of a storage tries some failures itself, for a minute.
_TRIES, _FIRST_WAIT = 4, 0.2
# What is known of an object may be another process's to change: nothing is remembered.
_UNREMEMBERED = {"use_listings_cache": False}
# Under which an object's note is kept in what the storage tells of it.
_NOTE = "drumgan"
_T = TypeVar("_T")


class NotReached(OSError):
    """A storage did not answer, after some tries: nothing is known of what was asked for, and it may answer later."""


def scheme_of(path: str | os.PathLike[str]) -> str:
    """The scheme of an address such as gs://bucket/run, in lower case; empty for a path on this machine."""
    found = _ADDRESS.match(os.fspath(path))
    return found[1].lower() if found else ""


def place(path: str | os.PathLike[str]) -> Path:
    """A path on this machine, or an address in a bucket, which is never made absolute or resolved.

    Raises:
        BadInput: the address is of another kind, names no bucket, or its library is not installed.
    """
    scheme = scheme_of(path)
    if not scheme:
        return Path(path)
    text = os.fspath(path)
    if scheme == "hf":
        raise BadInput(
            f"{brief(text)} cannot be used here: hf:// is for drumgan_jax.load, and for --run of generate, encode,"
            " interpolate and explore; get it with `hf download OWNER/NAME --local-dir=FOLDER`, and give the folder."
        )
    if scheme not in _LIBRARIES:
        raise BadInput(
            f"{brief(text)} cannot be used: {scheme}:// is not supported; give a folder of this machine, gs://BUCKET/...,"
            " or, for data sets alone, s3://BUCKET/..."
        )
    if not text.split("://", 1)[1].split("/")[0]:
        raise BadInput(f"{brief(text)} names no bucket; write it as {scheme}://BUCKET/FOLDER.")
    if importlib.util.find_spec(_LIBRARIES[scheme]) is None:
        raise BadInput(f"{brief(text)} is read by {_LIBRARIES[scheme]}, which is not installed; {_INSTALL}.")
    return _in_bucket(text)


def run_place(path: str | os.PathLike[str]) -> Path:
    """A run directory's place: absolute, or in a bucket; BadInput for s3, where Orbax writes no checkpoints."""
    if scheme_of(path) == "s3":
        raise BadInput(
            f"{brief(os.fspath(path))} cannot be a run directory, since Orbax writes no checkpoints to s3://; give gs://"
            " or a folder of this machine. Data sets can be in s3://."
        )
    return absolute(place(path))


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a place is in a bucket."""
    return bool(scheme_of(path))


def absolute(path: Path) -> Path:
    """A place on this machine from the root on; one in a bucket as it is."""
    return path if is_remote(path) else path.absolute()


def name_of(path: Path) -> str:
    """The last part of a place, of this machine's with links followed."""
    return path.name if is_remote(path) else path.resolve().name


def filesystem(path: Path) -> Any:
    """The fsspec file system of a place in a bucket."""
    import fsspec

    return fsspec.filesystem(scheme_of(path), **_settings(scheme_of(path)))


def size_of(path: Path) -> int:
    """Bytes of a file; OSError if there is none."""
    if not is_remote(path):
        return path.stat().st_size
    return int(patiently(lambda: filesystem(path).info(str(path)))["size"])


def is_folder(path: Path) -> bool:
    """Whether there is a folder, or an object within one of that name."""
    if is_remote(path):
        return path.is_dir()
    # False too for what can be no path.
    return os.path.isdir(path)


def make(folder: Path) -> None:
    """Make a folder and those above it; buckets need none."""
    if not is_remote(folder):
        folder.mkdir(parents=True, exist_ok=True)


def upload(folder: Path, target: Path) -> None:
    """Copy all files of a folder of this machine into one of a bucket."""
    for name in names_in(folder):
        write(target / name, (folder / name).read_bytes())


def names_in(folder: Path) -> list[str]:
    """Paths of all files within a folder, from there; none if there is no such folder."""
    if not is_remote(folder):
        return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    found = patiently(lambda: filesystem(folder).find(str(folder)))
    return [name.removeprefix(_key(folder)).lstrip("/") for name in found]


def known_crc32c(path: Path) -> tuple[int, str] | None:
    """Size and CRC-32C, in hex, that the storage itself tells of an object; None if it tells none."""
    known = patiently(lambda: filesystem(path).info(str(path)))
    told = known.get("crc32c")
    return (int(known["size"]), base64.b64decode(told).hex()) if told else None


def read(path: Path, start: int = 0, end: int | None = None) -> bytes:
    """The bytes of an object in a bucket, from `start` to before `end`; fewer if it is shorter.

    Raises:
        OSError: it cannot be read, also after some tries.
    """

    def once() -> bytes:
        files = filesystem(path)
        size = int(files.info(str(path))["size"]) if end is None else None
        stop = size if end is None else end
        assert stop is not None
        if stop <= start:
            return b""
        found: bytes = files.cat_file(str(path), start=start, end=stop)
        if len(found) != stop - start:
            size = int(files.info(str(path))["size"])
            if len(found) != max(0, min(stop, size) - start):
                raise _Short(f"{len(found)} bytes came of {stop - start}")
        return found

    return patiently(once)


def write(path: Path, content: bytes) -> None:
    """Write an object in a bucket, which is there whole or not at all."""
    patiently(lambda: filesystem(path).pipe_file(str(path), content))


def write_note(path: Path, text: str) -> None:
    """Write an empty object with a short text beside it, of ASCII characters, which a listing tells (`notes_in`)."""
    patiently(lambda: filesystem(path).pipe_file(str(path), b"", metadata={_NOTE: text}))


def notes_in(folder: Path) -> dict[str, str]:
    """The notes of all objects within a folder of a bucket, by their paths from there: one request for all of them."""
    found = patiently(lambda: filesystem(folder).find(str(folder), detail=True))
    notes = {name: (told.get("metadata") or {}).get(_NOTE) for name, told in found.items()}
    return {name.removeprefix(_key(folder)).lstrip("/"): note for name, note in notes.items() if note is not None}


def generation_of(path: Path) -> str | None:
    """The generation of an object of Google's storage, which each write changes; None if there is no object."""
    try:
        return str(patiently(lambda: filesystem(path).info(str(path)))["generation"])
    except FileNotFoundError:
        return None


def write_generation(path: Path, content: bytes, generation: str) -> str | None:
    """Write an object of Google's storage if it is of this generation still; the new one, None if it is not."""
    bucket, name = _key(path).split("/", 1)
    files = filesystem(path)
    address = f"{files._location}/upload/storage/v1/b/{bucket}/o"
    settings = {"uploadType": "media", "name": name, "ifGenerationMatch": generation, "data": content}
    try:
        return str(patiently(lambda: files.call("POST", address, json_out=True, **settings))["generation"])
    except (FileExistsError, FileNotFoundError):
        return None


def delete_generation(path: Path, generation: str) -> None:
    """Delete an object of Google's storage if it is of this generation still."""
    bucket, name = _key(path).split("/", 1)
    settings = {"ifGenerationMatch": generation}
    # Changed or deleted meanwhile, it is another's.
    with contextlib.suppress(OSError):
        patiently(lambda: filesystem(path).call("DELETE", "b/{}/o/{}", bucket, name, **settings))


def drop(path: Path) -> None:
    """Delete all objects of a folder in a bucket; none there is no error."""

    def once() -> None:
        files = filesystem(path)
        if names := files.find(str(path)):
            files.rm(names)

    patiently(once)


def patiently(request: Callable[[], _T]) -> _T:
    """What a request gives, tried again after a wait that doubles, of a random length so that hosts do not meet.

    Raises:
        NotReached: it failed at each try.
        OSError: it failed in a way that another try does not mend.
    """
    for tries in range(_TRIES):
        try:
            return request()
        except (FileNotFoundError, FileExistsError, PermissionError, NotImplementedError):
            raise
        except Exception as error:
            if tries == _TRIES - 1 or _is_final(error):
                kind = OSError if _is_final(error) else NotReached
                raise kind(errno.EIO, first_line(error)) from error
            time.sleep(_FIRST_WAIT * 2**tries * random.uniform(0.5, 1.5))
    raise AssertionError


def _key(path: Path) -> str:
    """Bucket and name of an object, as fsspec has them."""
    return str(path).split("://", 1)[1]


def _is_final(error: Exception) -> bool:
    """Whether another try would end alike: the storage refused it."""
    code = getattr(error, "code", None)
    refused = code is not None and str(code).startswith("4") and str(code) not in ("408", "429")
    return refused or (isinstance(error, OSError) and str(error).startswith(("Forbidden", "Bad Request")))


class _Short(Exception):
    """Fewer bytes came than were asked for."""


def _in_bucket(text: str) -> Path:
    import fsspec

    scheme = scheme_of(text)
    # So is it written by etils alone.
    text = scheme + text[len(scheme) :]
    for name in {"gs": ("gs", "gcs"), "s3": ("s3",)}[scheme]:
        # For all who ask fsspec for such a file system, as etils and Orbax do.
        fsspec.config.conf.setdefault(name, {}).update(_settings(scheme))
    return cast(Path, _bucket_path()(text))


@functools.cache
def _bucket_path() -> type:
    """The class of places in buckets: etils's, but for what takes a request that failed for "there is none"."""
    from etils.epath.gpath import PosixGPath

    class BucketPath(PosixGPath):
        """A place in a bucket."""

        def _kind(self) -> str:
            try:
                return str(patiently(lambda: filesystem(self).info(str(self)))["type"])
            except FileNotFoundError:
                return ""

        def exists(self) -> bool:
            return bool(self._kind())

        def is_file(self) -> bool:
            return self._kind() == "file"

        def is_dir(self) -> bool:
            return self._kind() == "directory"

        def iterdir(self) -> Iterator[Any]:
            names = patiently(lambda: filesystem(self).ls(str(self), detail=False))
            own = _key(self).rstrip("/")
            return iter([self / name.rstrip("/").rpartition("/")[2] for name in names if name.rstrip("/") != own])

        def glob(self, pattern: str) -> Iterator[Any]:
            found = patiently(lambda: filesystem(self).glob(f"{self}/{pattern}"))
            return iter([self._new(f"{scheme_of(self)}://{name}") for name in found])

        def unlink(self, missing_ok: bool = False) -> None:
            try:
                patiently(lambda: filesystem(self).rm_file(str(self)))
            except FileNotFoundError:
                if not missing_ok:
                    raise

        def read_bytes(self) -> bytes:
            return read(self)

        def read_text(self, encoding: str | None = None) -> str:
            return read(self).decode(encoding or "utf-8")

    return BucketPath


def _settings(scheme: str) -> dict[str, Any]:
    # An emulator takes no credentials.
    anonymous = {"token": "anon"} if scheme == "gs" and os.environ.get("STORAGE_EMULATOR_HOST") else {}
    return {**_UNREMEMBERED, **anonymous}
