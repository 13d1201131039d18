"""What decoders print on their own: kept from the terminal, where a progress bar may be."""

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

# mpg123, which libsndfile decodes MPEG audio by, and which cannot be told to be quiet through it.
_MESSAGE = re.compile(rb"(?:\[[^\]\n]*mpg123[^\]\n]*\] |Note: |Warning: )[^\n]*\n?")
# Of them, what it says of a frame that it could not decode.
_ERROR = re.compile(rb"\[[^\]\n]*layer\d\.c[^\]\n]*\] error: ([^\n]*)")
_STDERR = 2
# A process has one standard error.
_LOCK = threading.Lock()


def _scratch() -> IO[bytes]:
    # In memory where the system can, which costs a tenth.
    return open(os.memfd_create("messages"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()


@contextlib.contextmanager
def kept_quiet() -> Iterator[list[str]]:
    """Keep decoders' messages off standard error; what other threads print there meanwhile follows at the end.

    Yields:
        A list that at the end holds what was said of frames that could not be decoded.
    """
    errors: list[str] = []
    with _LOCK, _scratch() as file:
        try:
            terminal = os.dup(_STDERR)
        except OSError:  # It is closed, and nothing can be printed.
            yield errors
            return
        os.dup2(file.fileno(), _STDERR)
        try:
            yield errors
        finally:
            os.dup2(terminal, _STDERR)
            os.close(terminal)
            file.seek(0)
            printed = file.read()
            errors += [error.decode(errors="replace") for error in _ERROR.findall(printed)]
            if others := _MESSAGE.sub(b"", printed):
                with contextlib.suppress(OSError):
                    os.write(_STDERR, others)
