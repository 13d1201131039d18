"""The cache folder of published weights: finding, fetching and reading them."""

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import numpy as np
from tqdm import tqdm

from drumgan_jax.core.errors import BadInput
from drumgan_jax.weights.catalogue import CATALOGUE, WeightsFile
from drumgan_jax.weights.torch_files import read_state_dict

_BLOCK = 2**20
_TIMEOUT = 30.0
_RANGE_NOT_SATISFIABLE = 416
_PARTIAL_CONTENT = 206
_DIGITS = 64


def folder() -> Path:
    """`weights/` of $DRUMGAN_CACHE, or of ~/.cache/drumgan."""
    return Path(os.environ.get("DRUMGAN_CACHE") or Path.home() / ".cache" / "drumgan") / "weights"


def entry(name: str) -> WeightsFile:
    """The catalogue's entry of that name.

    Raises:
        BadInput: there is none.
    """
    if name not in CATALOGUE:
        raise BadInput(f"there are no weights named {name!r}; there are {', '.join(sorted(CATALOGUE))}.")
    return CATALOGUE[name]


def find(name: str) -> Path:
    """Where the weights of that name lie.

    Raises:
        BadInput: no such name, the file is not there, or the folder cannot be entered.
    """
    path = folder() / entry(name).file_name
    with _cache_told():
        there = path.is_file()
    if not there:
        raise BadInput(f"the weights of {name} are not at {path}; run `drumgan weights get {name}`.")
    return path


def load(name: str) -> tuple[dict[str, np.ndarray], str]:
    """Arrays by PyTorch's names, and the file's SHA-256 in hex, of weights that are there.

    Raises:
        BadInput: the file is not there, is not the published one, or cannot be read.
    """
    path = find(name)
    file = entry(name)
    with _cache_told():
        digest = _check(path, file)
    return _read(path, file), digest


def _check(path: Path, file: WeightsFile) -> str:
    """The SHA-256 of a file that is there, in hex; it must be the published one."""
    digest = file_hash(path)
    if not digest.startswith(file.sha256):
        raise BadInput(
            f"{path} has SHA-256 {digest}, not the published {file.sha256}; delete it and run"
            f" `drumgan weights get {file.name}`."
        )
    return digest


def _read(path: Path, file: WeightsFile) -> dict[str, np.ndarray]:
    """The arrays of a file that is there."""
    try:
        return read_state_dict(path)
    except BadInput as problem:
        # As long as the file is there, `get` fetches none.
        raise BadInput(
            f"{path} is no readable PyTorch state dict; delete it and run `drumgan weights get {file.name}`."
        ) from problem


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def get(name: str) -> Path:
    """Fetch weights into the cache folder, unless they are there; a fetch that broke off goes on where it stopped.

    The file takes its name only when it is whole and its digest is the published one. Where no whole digest is
    published, it must be a readable state dict.

    Raises:
        BadInput: no such name, the publisher cannot be reached, the fetch broke off, the cache folder cannot be
            written, or the digest is another, of what was fetched or of what was there, or it cannot be read.
    """
    file = entry(name)
    path = folder() / file.file_name
    with _cache_told():
        if path.is_file():
            _check(path, file)
            if len(file.sha256) < _DIGITS:
                _read(path, file)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        _download(file, path, partial)
        _check_fetched(file, path, partial)
        os.replace(partial, path)
    return path


def _check_fetched(file: WeightsFile, path: Path, partial: Path) -> None:
    """Remove what was fetched, and tell, unless it is what the catalogue says."""
    digest = file_hash(partial)
    if not digest.startswith(file.sha256):
        partial.unlink()
        raise BadInput(
            f"what {file.url} gave has SHA-256 {digest}, not the published {file.sha256}, and was removed; try"
            f" again, or put the file at {path}."
        )
    if len(file.sha256) == _DIGITS:
        return
    try:
        read_state_dict(partial)
    except BadInput as problem:
        partial.unlink()
        raise BadInput(
            f"what {file.url} gave is no readable PyTorch state dict, and was removed; try again, or put the file"
            f" at {path}."
        ) from problem


def _download(file: WeightsFile, path: Path, partial: Path) -> None:
    there = partial.stat().st_size if partial.is_file() else 0
    with _publisher_told(file, path):
        try:
            response = _open(file.url, there)
        except urllib.error.HTTPError as problem:
            if problem.code != _RANGE_NOT_SATISFIABLE or not there:
                raise
            if _is_whole(there, problem.headers, file):
                return
            response = _open(file.url, 0)
    with response:
        if response.status != _PARTIAL_CONTENT:
            there = 0
        left = response.headers["Content-Length"]
        total = there + int(left) if left else None
        with (
            open(partial, "ab" if there else "wb") as out,
            tqdm(desc=file.name, total=total, initial=there, unit="B", unit_scale=True) as progress,
        ):
            while block := _next_block(response, file, path):
                out.write(block)
                progress.update(len(block))
                # The bar's own count stands still where TQDM_DISABLE is set.
                there += len(block)
        if total is not None and there < total:
            with _publisher_told(file, path):
                raise http.client.IncompleteRead(b"", total - there)


def _next_block(response: http.client.HTTPResponse, file: WeightsFile, path: Path) -> bytes:
    with _publisher_told(file, path):
        return response.read(_BLOCK)


def _is_whole(there: int, headers: Message, file: WeightsFile) -> bool:
    """Whether the bytes that are there are all, after the publisher said that none follow them."""
    size = headers["Content-Range"]
    if size is None:
        # Whole, or of another and shorter file; only a whole digest will tell.
        return len(file.sha256) == _DIGITS
    return size.replace(" ", "") == f"bytes*/{there}"


def _open(url: str, there: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "drumgan"} | ({"Range": f"bytes={there}-"} if there else {})
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as problem:
        # A refusal is a response too, and holds its connection.
        problem.close()
        raise


@contextlib.contextmanager
def _publisher_told(file: WeightsFile, path: Path) -> Iterator[None]:
    """Around what is asked of the network alone: the disk's failures have another mend."""
    try:
        yield
    except (OSError, http.client.HTTPException) as problem:
        reason = getattr(problem, "reason", None) or problem
        raise BadInput(
            f"{file.url} could not be fetched ({reason}); run `drumgan weights get {file.name}` again when online, or"
            f" put the file at {path}."
        ) from problem


@contextlib.contextmanager
def _cache_told() -> Iterator[None]:
    """Around what is done in the cache folder."""
    try:
        yield
    except OSError as problem:
        raise BadInput(
            f"the cache folder {folder()} cannot be used ({problem.strerror}); mend its permissions, free space on its"
            " disk, or set DRUMGAN_CACHE to another folder."
        ) from problem
