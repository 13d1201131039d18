"""One writer a folder: a kernel lock, or a claim with a heartbeat in buckets and on file systems that have no locks."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drumgan_jax.core import places
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, brief, first_line

LOCK_NAME = ".writer.json"
CLAIM_NAME = ".writer-claim.json"
# Seconds between two heartbeats of a claim, and how many may fail to come before its writer is taken for dead. Nothing
# is compared with a clock: those of two hosts may differ, and either may jump.
_BEAT, _MISSED = 5.0, 6
# Seconds between tries to lock, and their number.
_MOMENT, _TRIES = 0.05, 4
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF)


class WriteLock:
    """The right to write a folder, while its context lasts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lost = threading.Event()

    def check(self) -> None:
        """Raise BadInput if another process has taken the folder, as one may if this one was halted for long."""
        if self._lost.is_set():
            raise BadInput(
                f"{self._folder} was taken over while this process stood still: {_who(self._folder / CLAIM_NAME)}"
                " writes it now; leave it to that one."
            )


@contextlib.contextmanager
def only_writer(folder: str | os.PathLike[str], command: str, remedy: str) -> Iterator[WriteLock]:
    """Hold a folder, made if absent, against all other writers; the process's end releases it, however it ends.

    A folder that was made and is empty at the end is removed.

    Args:
        folder: what is written.
        command: who writes, for the sentence that others end with ("drumgan train").
        remedy: what these can do besides waiting ("give another --workdir").

    Raises:
        BadInput: another process writes the folder, or it cannot be made or written.
    """
    folder = places.place(folder)
    here = {"command": command, "process": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}
    here["machine"] = _machine()
    if places.is_remote(folder):
        with _only_writer_in_bucket(folder, here, remedy) as lock:
            yield lock
        return
    made = not folder.exists()
    lock = WriteLock(folder)
    try:
        try:
            places.make(folder)
            descriptor = _locked(folder / LOCK_NAME, here)
            if descriptor is not None:
                _check_claims(folder, descriptor)
            claim = None if descriptor is not None else _claimed(folder, here, lock._lost)
        except _HeldByAnother as held:
            raise BadInput(f"{folder} is being written by {_who(held.path)}; wait for it, or {remedy}.") from None
        except _HeldOrNot as held:
            raise BadInput(
                f"{folder} is locked by {_who(held.path)}, and this host, whose mount of it has no locks, cannot tell"
                f" whether that still runs; if not, delete {held.path.name}, else {remedy}."
            ) from None
        except OSError as error:
            raise BadInput(f"{folder} cannot be written ({error.strerror}); {remedy}.") from error
        try:
            yield lock
        finally:
            if descriptor is not None:
                _release(folder, descriptor)
            elif claim is not None:
                claim.end()
    finally:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def _only_writer_in_bucket(folder: Path, here: dict[str, Any], remedy: str) -> Iterator[WriteLock]:
    lock = WriteLock(folder)
    try:
        claim = _ClaimInBucket(folder / CLAIM_NAME, here, lock._lost)
    except _HeldByAnother as held:
        raise BadInput(f"{folder} is being written by {_who(held.path)}; wait for it, or {remedy}.") from None
    except FileNotFoundError as error:
        raise BadInput(f"{folder} cannot be written: there is no such bucket; make it, or {remedy}.") from error
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be written ({error.strerror or first_line(error)}); check that the bucket is of your"
            f" project and that you may write there, or {remedy}."
        ) from error
    try:
        yield lock
    finally:
        claim.end()


def writer_of(folder: str | os.PathLike[str]) -> str | None:
    """Who holds a folder, as the sentence of `only_writer` names it; None for nobody.

    A claim that its writer left when it was killed counts for one that holds the folder: that takes long to tell.
    """
    claim = places.place(folder) / CLAIM_NAME
    if claim.is_file():
        return _who(claim)
    if places.is_remote(claim):
        return None
    try:
        # A pipe of that name would be waited for.
        descriptor = os.open(Path(folder) / LOCK_NAME, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return _who(Path(folder) / LOCK_NAME) if error.errno in _HELD else None
    finally:
        os.close(descriptor)
    return None


@dataclasses.dataclass
class _HeldByAnother(Exception):
    path: Path


@dataclasses.dataclass
class _HeldOrNot(Exception):
    path: Path


# One host may mount a file system with locks, and another the same without. So who has a lock looks for a claim, and
# who has a claim for a lock: of two that start at once, one at least sees the other.


def _check_claims(folder: Path, descriptor: int) -> None:
    """Release the lock of a folder, and raise _HeldByAnother, if there is a claim whose writer lives."""
    path = folder / CLAIM_NAME
    if path.exists() and _changes(path, _read(path)):
        _release(folder, descriptor)
        raise _HeldByAnother(path)
    path.unlink(missing_ok=True)


def _claimed(folder: Path, here: dict[str, Any], lost: threading.Event) -> "_Claim":
    """A claim of a folder; raise _HeldOrNot if there is a lock as well."""
    claim = _Claim(folder / CLAIM_NAME, here, lost)
    if _read(folder / LOCK_NAME):
        claim.end()
        raise _HeldOrNot(folder / LOCK_NAME)
    return claim


def _release(folder: Path, descriptor: int) -> None:
    # Removed while it is held: whoever has opened it meanwhile sees that it is another file now.
    (folder / LOCK_NAME).unlink(missing_ok=True)
    os.close(descriptor)


def _locked(path: Path, here: dict[str, Any]) -> int | None:
    """The descriptor of a file that is locked and names the writer; None where the file system has no locks.

    Raises:
        _HeldByAnother: another process has locked it.
        _HeldOrNot: it names a writer, but the file system has no locks, so nothing tells whether that still runs.
    """
    tries = _TRIES
    while True:
        made = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _HELD and tries:
                # Whoever only asks who writes holds it for a moment.
                tries -= 1
                time.sleep(_MOMENT)
                continue
            if error.errno in _HELD:
                raise _HeldByAnother(path) from None
            if error.errno not in _NO_LOCKS:
                raise
            # Without a name in it, it is that of another process that has just come to the same end.
            if _read(path):
                raise _HeldOrNot(path) from None
            if made:
                path.unlink(missing_ok=True)
            return None
        # A writer that has just ended may have removed the file between its opening and its locking.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                # For the sentences of others; a full disk does not matter.
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, json.dumps(here).encode(), 0)
                return descriptor
        os.close(descriptor)


class _Claim:
    """A file that names the writer, and a thread that changes it at intervals for as long as the process lives.

    Args:
        path: of the file.
        here: who writes.
        lost: set when another process has taken the file.

    Raises:
        _HeldByAnother: the file is another's, and changes.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, here: dict[str, Any], lost: threading.Event) -> None:
        self._path = path
        self._content = {**here, "token": uuid.uuid4().hex, "beat": 0}
        self._lost, self._ended = lost, threading.Event()
        while not self._made():
            found = _read(path)
            if _changes(path, found):
                raise _HeldByAnother(path)
            self._remove(found)
        self._thread = threading.Thread(target=self._beat, daemon=True, name="write claim")
        self._thread.start()

    def end(self) -> None:
        """Stop the heartbeat and remove the file."""
        self._ended.set()
        self._thread.join()
        # What cannot be removed is taken for a dead writer's.
        with contextlib.suppress(OSError):
            self._withdraw()

    def _withdraw(self) -> None:
        if self._is_own():
            self._path.unlink(missing_ok=True)

    def _made(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._content, file)
        return True

    def _remove(self, dead: dict[str, Any] | None) -> None:
        """Remove the claim of a dead writer, unless another process was quicker and has put its own there."""
        aside = self._path.with_name(f".writer-{self._content['token']}.json")
        try:
            self._path.rename(aside)
        except FileNotFoundError:
            return
        if _read(aside) != dead and not self._path.exists():
            aside.rename(self._path)
        aside.unlink(missing_ok=True)

    def _is_own(self) -> bool:
        return (_read(self._path) or {}).get("token") == self._content["token"]

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT):
            # Nobody but a writer that takes over removes it. One that cannot be read now may be next time.
            if not self._path.exists() or (_read(self._path) and not self._is_own()):
                self._lost.set()
                return
            self._content["beat"] += 1
            # What cannot be written now may be next time.
            with contextlib.suppress(OSError), replacing(self._path) as temporary:
                temporary.write_text(json.dumps(self._content))


class _ClaimInBucket(_Claim):
    """A claim that is an object: it is made and removed on conditions that the storage itself sees to."""

    def _made(self) -> bool:
        content = json.dumps(self._content).encode()
        try:
            places.patiently(lambda: places.filesystem(self._path).pipe_file(str(self._path), content, mode="create"))
        except FileExistsError:
            # By a try of this process whose answer was lost, it may be its own.
            return self._is_own()
        return True

    def _remove(self, dead: dict[str, Any] | None) -> None:
        generation = places.generation_of(self._path)
        if generation is not None and _read(self._path) == dead:
            places.delete_generation(self._path, generation)

    def _beat(self) -> None:
        generation, last = self._own_generation(), time.monotonic()
        while not self._ended.wait(_BEAT if generation else 0.0):
            if not generation:
                self._lost.set()
                return
            self._content["beat"] += 1
            try:
                written = places.write_generation(self._path, json.dumps(self._content).encode(), generation)
                # One that is of another generation is this writer's own if the answer to its last beat was lost.
                generation, last = written or self._own_generation(), time.monotonic()
            # A library of a storage may raise anything; whoever has not been heard for long is taken for dead.
            except Exception:
                if time.monotonic() - last > _MISSED * _BEAT:
                    generation = ""

    def _own_generation(self) -> str:
        """The generation of the claim; empty if it is not this writer's."""
        generation = places.generation_of(self._path)
        return generation if generation is not None and self._is_own() else ""

    def _withdraw(self) -> None:
        if generation := self._own_generation():
            places.delete_generation(self._path, generation)


def _machine() -> str:
    """What tells whether another process's number is one of this machine: of this start, and of this container."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _is_dead(found: dict[str, Any] | None) -> bool:
    """Whether a claim is of a process of this machine that has ended; what is of another cannot be told."""
    machine, process = (found or {}).get("machine"), (found or {}).get("process")
    if not machine or machine != _machine() or not isinstance(process, int):
        return False
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _changes(path: Path, found: dict[str, Any] | None) -> bool:
    """Whether a claim is changed by its writer; False too if it is removed meanwhile."""
    if _is_dead(found):
        return False
    for _ in range(_MISSED):
        time.sleep(_BEAT)
        now = _read(path)
        if now != found:
            return now is not None
    return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _who(path: Path) -> str:
    """The writer that a lock's or claim's file names."""
    holder = _read(path) or {}
    if not {"command", "process", "host", "since"} <= holder.keys():
        return "another process"
    command, process, host, since = (brief(str(holder[name])) for name in ("command", "process", "host", "since"))
    return f"`{command}` (process {process} on {host}, since {since})"
