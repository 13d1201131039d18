"""The cache folder of published weights: finding, fetching and reading them."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from tqdm import tqdm

from drumgan_jax.errors import BadInput
from drumgan_jax.weights.catalogue import CATALOGUE, WeightsFile
from drumgan_jax.weights.torch_files import read_state_dict

_BLOCK = 2**20
_TIMEOUT = 30.0
_RANGE_NOT_SATISFIABLE = 416
_PARTIAL_CONTENT = 206


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
        BadInput: no such name, or the file is not there.
    """
    path = folder() / entry(name).file_name
    if not path.is_file():
        raise BadInput(f"the weights of {name} are not at {path}; run `drumgan weights get {name}`.")
    return path


def load(name: str) -> tuple[dict[str, np.ndarray], str]:
    """Arrays by PyTorch's names, and the file's SHA-256 in hex, of weights that are there.

    Raises:
        BadInput: the file is not there, is not the published one, or cannot be read.
    """
    path = find(name)
    digest = _check(path, entry(name))
    return read_state_dict(path), digest


def _check(path: Path, file: WeightsFile) -> str:
    """The SHA-256 of a file that is there, in hex; it must be the published one."""
    digest = file_hash(path)
    if not digest.startswith(file.sha256):
        raise BadInput(
            f"{path} has SHA-256 {digest}, not the published {file.sha256}; delete it and run"
            f" `drumgan weights get {file.name}`."
        )
    return digest


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def get(name: str) -> Path:
    """Fetch weights into the cache folder, unless they are there; a fetch that broke off goes on where it stopped.

    The file takes its name only when it is whole and its digest is the published one.

    Raises:
        BadInput: no such name, the publisher cannot be reached, the fetch broke off, or the digest is another, of what
            was fetched or of what was there.
    """
    file = entry(name)
    path = folder() / file.file_name
    if path.is_file():
        _check(path, file)
        return path
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(file, partial)
        digest = file_hash(partial)
        if not digest.startswith(file.sha256):
            partial.unlink()
            raise BadInput(
                f"what {file.url} gave has SHA-256 {digest}, not the published {file.sha256}, and was removed; try"
                " again, or get the file elsewhere."
            )
        os.replace(partial, path)
    except (OSError, http.client.HTTPException) as problem:
        reason = getattr(problem, "reason", None) or problem
        raise BadInput(
            f"{file.url} could not be fetched ({reason}); run `drumgan weights get {name}` again when online, or put"
            f" the file at {path}."
        ) from problem
    return path


def _download(file: WeightsFile, partial: Path) -> None:
    there = partial.stat().st_size if partial.is_file() else 0
    try:
        response = _open(file.url, there)
    except urllib.error.HTTPError as problem:
        problem.close()
        if problem.code != _RANGE_NOT_SATISFIABLE:
            raise
        # Nothing follows what is there: it is whole already, or of another file; the digest will tell.
        return
    with response:
        if response.status != _PARTIAL_CONTENT:
            there = 0
        left = response.headers["Content-Length"]
        total = there + int(left) if left else None
        with (
            open(partial, "ab" if there else "wb") as out,
            tqdm(desc=file.name, total=total, initial=there, unit="B", unit_scale=True) as progress,
        ):
            while block := response.read(_BLOCK):
                out.write(block)
                progress.update(len(block))
            if total is not None and progress.n < total:
                raise http.client.IncompleteRead(b"", total - int(progress.n))


def _open(url: str, there: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "drumgan"} | ({"Range": f"bytes={there}-"} if there else {})
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
