"""What a command prints, kept in a folder that all hosts share, such as that of a run, besides where it goes."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from drumgan_jax.core import places
from drumgan_jax.core.errors import brief
from drumgan_jax.core.signals import TO_STOP, handled

# Where `drumgan` keeps what it prints; `drumgan launch` sets it.
VARIABLE = "DRUMGAN_LOGS"
# Of a run directory.
FOLDER = "logs"
# Nothing can be appended to an object: it is written anew from time to time, and a long log goes on in another one.
_UPLOAD_EVERY, _MOST_BYTES = 60.0, 2**23


def run_logged(command: Sequence[str], folder: Path) -> int:
    """Run a command, and keep its output in a file of its own: TIME-HOST-PROCESS.log.

    SIGTERM and SIGINT are passed on. If the command was ended by a signal, so is this process. A log that cannot be
    written is told of once, and stops nothing.

    Returns:
        The command's exit status.
    """
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{socket.gethostname()}-{os.getpid()}"
    log = _Log(folder, name)
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    # In a session of its own, so that Ctrl-C reaches it only once.
    with (
        _signals_for() as hand_over,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        ) as process,
    ):
        hand_over(process)
        _copy(process, log)
        status = process.wait()
    log.close()
    if status < 0:
        # SIGKILL and SIGSTOP have no handlers.
        with contextlib.suppress(OSError):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _copy(process: "subprocess.Popen[bytes]", log: "_Log") -> None:
    """Hand on what a process prints until it has closed both streams."""
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as streams:
        streams.register(process.stdout, selectors.EVENT_READ, sys.stdout.fileno())
        streams.register(process.stderr, selectors.EVENT_READ, sys.stderr.fileno())
        while streams.get_map():
            for key, _ in streams.select(_UPLOAD_EVERY):
                content = os.read(key.fd, 65536)
                if not content:
                    streams.unregister(key.fileobj)
                    continue
                # Whoever reads this process may have gone; the training has not.
                with contextlib.suppress(OSError):
                    os.write(key.data, content)
                log.add(content)
            log.upload_if_due()


class _Log:
    """One file of a folder, which may be in a bucket."""

    def __init__(self, folder: Path, name: str):
        self._folder, self._name, self._part = folder, name, 1
        self._held, self._fresh, self._uploaded = b"", False, time.monotonic()
        self._failed = False

    @property
    def _path(self) -> Path:
        return self._folder / (f"{self._name}.log" if self._part == 1 else f"{self._name}.{self._part}.log")

    def add(self, content: bytes) -> None:
        """Add to the end."""
        if places.is_remote(self._folder):
            self._held, self._fresh = self._held + content, True
            return
        with self._told():
            places.make(self._folder)
            with open(self._path, "ab") as file:
                file.write(content)

    def upload_if_due(self) -> None:
        """Write what is fresh to the bucket, if the last time is long ago."""
        if self._fresh and time.monotonic() - self._uploaded > _UPLOAD_EVERY:
            self._upload()

    def close(self) -> None:
        """Write what is left."""
        if self._fresh:
            self._upload()

    def _upload(self) -> None:
        self._uploaded, self._fresh = time.monotonic(), False
        with self._told():
            places.write(self._path, self._held)
        if len(self._held) > _MOST_BYTES:
            self._held, self._part = b"", self._part + 1

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._failed:
                print(f"drumgan: no log is kept in {self._folder} ({brief(str(error))}).", file=sys.stderr, flush=True)
            self._failed = True


@contextlib.contextmanager
def _signals_for() -> Iterator[Callable[["subprocess.Popen[bytes]"], None]]:
    """Hold SIGTERM and SIGINT for a process, which is told by calling what this yields, and pass them on from then."""
    processes: list[subprocess.Popen[bytes]] = []
    held: list[int] = []

    def tell(number: int, _: object) -> None:
        held.append(number)
        for process in processes:
            process.send_signal(number)

    def hand_over(process: "subprocess.Popen[bytes]") -> None:
        processes.append(process)
        for number in held:
            process.send_signal(number)

    with handled(tell, *TO_STOP):
        yield hand_over
