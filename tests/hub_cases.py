"""A hub of models on this machine: what huggingface_hub asks of one, with faults between it and who asks."""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from functools import partial
from http import server
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (extra dev)")
from huggingface_hub import constants

# From here on a file is stored apart, and the hub leads to there.
_LARGE = 10_000
_API = re.compile(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub:
    """Repositories, and what is asked of them.

    Attributes:
        revisions: commits by name and revision of a repository.
        commits: files by commit's hash.
        refused: for a repository, the code of the error that everyone gets.
        faults: what happens to the next requests for content: cut, short, changed; or, to any, unavailable.
        asked: method and path of each request.
        fetched: paths of files whose content was asked for.
        address: of the hub, and of the storage that it leads to.
    """

    def __init__(self) -> None:
        self.revisions: dict[str, dict[str, str]] = {}
        self.commits: dict[str, dict[str, bytes]] = {}
        self.refused: dict[str, str] = {}
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.fetched: list[str] = []
        self.address = self.storage = ""

    def push(self, repository: str, files: dict[str, bytes]) -> str:
        """A commit with these files on the branch main; its hash."""
        said = json.dumps([repository, sorted((name, hashlib.sha1(body).hexdigest()) for name, body in files.items())])
        commit = hashlib.sha1(said.encode()).hexdigest()
        self.commits[commit] = files
        self.revisions.setdefault(repository, {}).update({"main": commit, commit: commit})
        return commit

    def push_folder(self, repository: str, folder: Path) -> str:
        """A commit of a folder's files; its hash."""
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return self.push(repository, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths})


def digest_of(content: bytes) -> str:
    """What the hub calls a file: SHA-256 of a large one, and Git's name of the content of a small one."""
    if len(content) >= _LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *arguments: object) -> None:
        self._hub = hub
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        self._hub.asked.append(f"{self.command} {url.path}")
        if self._hub.faults[:1] == ["unavailable"]:
            self._hub.faults.pop(0)
            self._send(503)
        elif found := _API.fullmatch(url.path):
            self._tell(found[1], found[2] or "", unquote(found[3] or "main"))
        elif found := _FILE.fullmatch(url.path):
            self._lead(found[1], unquote(found[2]), unquote(found[3]))
        elif url.path == "/stored":
            where = parse_qs(url.query)
            self._give(self._hub.commits[where["commit"][0]], where["name"][0])
        else:
            self._send(404)

    def _commit(self, repository: str, revision: str) -> str | None:
        """The commit that is asked for, unless the answer is an error."""
        code = self._hub.refused.get(repository, "")
        if not code and repository not in self._hub.revisions:
            code = "RepoNotFound"
        if code:
            self._send(403 if code == "GatedRepo" else 401, error=code)
            return None
        commit = self._hub.revisions[repository].get(revision)
        if commit is None:
            self._send(404, error="RevisionNotFound")
        return commit

    def _tell(self, repository: str, kind: str, revision: str) -> None:
        if repository in self._hub.revisions and self._hub.refused.get(repository) == "GatedRepo":
            # What is gated is the content.
            commit: str | None = self._hub.revisions[repository][revision]
        else:
            commit = self._commit(repository, revision)
        if commit is None:
            return
        files = self._hub.commits[commit]
        if kind != "tree":
            self._send(200, json.dumps({"id": repository, "sha": commit, "siblings": []}).encode())
            return
        entries = []
        for name, body in files.items():
            large = (
                {"lfs": {"oid": digest_of(body), "size": len(body), "pointerSize": 130}} if len(body) >= _LARGE else {}
            )
            entries.append({"type": "file", "path": name, "size": len(body), "oid": digest_of(body)[:40], **large})
        self._send(200, json.dumps(entries).encode())

    def _lead(self, repository: str, revision: str, name: str) -> None:
        commit = self._commit(repository, revision)
        if commit is None:
            return
        files = self._hub.commits[commit]
        if name not in files:
            self._send(404, error="EntryNotFound")
            return
        body = files[name]
        told = {"X-Repo-Commit": commit, "ETag": f'"{digest_of(body)}"'}
        if len(body) >= _LARGE:
            told |= {"X-Linked-Etag": told["ETag"], "X-Linked-Size": str(len(body))}
            self._send(302, told={**told, "Location": f"{self._hub.storage}/stored?commit={commit}&name={name}"})
        elif self.command == "HEAD":
            self._send(200, told={**told, "Content-Length": str(len(body))})
        else:
            self._give(files, name)

    def _give(self, files: dict[str, bytes], name: str) -> None:
        body, status = files[name], 200
        self._hub.fetched.append(name)
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            body, status = body[int(asked[1]) :], 206
        fault = self._hub.faults.pop(0) if self._hub.faults else ""
        if fault == "changed":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault == "short":
            body = body[: len(body) // 2]
        self._send(status, body, sent=body[: len(body) // 2] if fault == "cut" else body)

    def _send(
        self,
        status: int,
        body: bytes = b"",
        told: dict[str, str] | None = None,
        error: str = "",
        sent: bytes | None = None,
    ) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), **(told or {}), **({"X-Error-Code": error} if error else {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body if sent is None else sent)
            self.close_connection = sent is not None and len(sent) < len(body)


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    """A hub without repositories, at its `address`."""
    hub = Hub()
    listening = server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, hub))
    listening.daemon_threads = True
    listening.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    port = listening.server_address[1]
    # To another host the library does not send what it sends to the hub.
    hub.address, hub.storage = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    try:
        yield hub
    finally:
        listening.shutdown()
        listening.server_close()


def lead_to(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library, which reads its environment when it is imported, use a hub and a cache."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
