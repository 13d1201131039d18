"""A bucket on this machine: an emulator of Google's object storage, with faults between it and who asks.

The emulator (gcp-storage-emulator) takes one connection at a time, and no conditions. What is put before it takes many,
and `ifGenerationMatch`, as the service does.
"""

import contextlib
import io
import json
import os
import random
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus, server
from typing import Any

import pytest

pytest.importorskip("gcp_storage_emulator", reason="gcp-storage-emulator is not installed (extra dev)")
from gcp_storage_emulator import server as emulator
from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.storage import Storage

BUCKET = "drums"
_OBJECT = re.compile(r"(?:/download|/upload)?/storage/v1/b/([^/]+)/o(?:/(.+))?")


class Faults:
    """What goes wrong between a client and its bucket, drawn anew for each request.

    Attributes:
        share: of the requests that something happens to.
        kinds: of what may happen.
        happened: how often each did.
        refused: statuses by the beginning of an object's name: what the bucket answers whoever writes there.
    """

    def __init__(self) -> None:
        self.share, self.kinds = 0.0, ("late", "unavailable", "cut", "short")
        self.happened = dict.fromkeys(self.kinds, 0)
        self.read_only = False
        self._random = random.Random(0)

    def next(self) -> str:
        """What happens to the next request; empty for nothing."""
        if self._random.random() >= self.share:
            return ""
        kind = self._random.choice(self.kinds)
        self.happened[kind] += 1
        return kind


class _Handler(emulator.RequestHandler):
    """One connection; the emulator answers into a buffer, and what goes out is made of that."""

    protocol_version = "HTTP/1.1"

    def __init__(self, storage: Storage, faults: Faults, lock: threading.RLock, *arguments: Any) -> None:
        self._faults, self._lock = faults, lock
        super().__init__(storage, *arguments)

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""

    def _answer(self, method: str) -> None:
        fault = self._faults.next()
        if fault == "late":
            time.sleep(0.05)
        body = self._body()
        self.rfile, connection = io.BytesIO(body), self.rfile
        self.headers.replace_header("Content-Length", str(len(body))) if "Content-Length" in self.headers else None
        outgoing, self.wfile = self.wfile, io.BytesIO()
        try:
            with self._lock:
                status = HTTPStatus.SERVICE_UNAVAILABLE if fault == "unavailable" else self._refused(method, body)
                if status is None:
                    emulator.Router(self).handle(method)
                else:
                    self.send_response(status)
                    content = json.dumps({"error": {"code": status.value, "message": status.phrase}}).encode()
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
            answer = self.wfile.getvalue()
        finally:
            self.rfile, self.wfile = connection, outgoing
        head, _, content = answer.partition(b"\r\n\r\n")
        self._send(head, content, fault if method == "GET" else "")

    def _send(self, head: bytes, content: bytes, fault: str) -> None:
        is_whole = head.split()[1].startswith(b"2")
        if fault == "short" and self.path.startswith("/download/") and len(content) > 1 and is_whole:
            # An answer that is whole by its own words, and not all of what was asked.
            content = content[: len(content) // 2]
            head = re.sub(rb"(?i)content-length: \d+", b"Content-Length: %d" % len(content), head)
        sent = content[: len(content) // 2] if fault == "cut" else content
        with contextlib.suppress(ConnectionError):
            self.wfile.write(head + b"\r\n\r\n" + sent)
        self.close_connection = fault == "cut" or self.close_connection

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().strip(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            del self.headers["Transfer-Encoding"]
            self.headers["Content-Length"] = "0"
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _refused(self, method: str, body: bytes) -> HTTPStatus | None:
        """The status of a request that the service would refuse and the emulator would not."""
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        found = _OBJECT.fullmatch(url.path)
        if found is None:
            return None
        if self._faults.read_only and method in ("POST", "PUT", "DELETE", "PATCH"):
            return HTTPStatus.FORBIDDEN
        name = urllib.parse.unquote(found[2] or "") or query.get("name", "")
        if not name and query.get("uploadType") == "multipart":
            name = json.loads(re.search(rb"\{.*?\}\s*\r?\n--", body, re.DOTALL)[0].rpartition(b"\n--")[0])["name"]
        wanted = query.get("ifGenerationMatch")
        if wanted is None:
            return None
        there = self.storage.buckets.get(found[1]) is not None and self.storage.objects.get(found[1], {}).get(name)
        return None if str((there or {}).get("generation", 0)) == wanted else HTTPStatus.PRECONDITION_FAILED


@contextlib.contextmanager
def bucket() -> Iterator[Faults]:
    """A bucket `drums`, empty; libraries in this process and in those that it starts use it as gs://drums."""
    storage, faults, lock = Storage(use_memory_fs=True), Faults(), threading.RLock()
    buckets.create_bucket(BUCKET, storage)
    listening = server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, storage, faults, lock))
    listening.daemon_threads = True
    # Clients that end reset their connections.
    listening.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{listening.server_address[1]}"
    told = {"STORAGE_EMULATOR_HOST": address, "TENSORSTORE_GCS_HTTP_URL": address}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield faults
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        listening.shutdown()
        listening.server_close()
