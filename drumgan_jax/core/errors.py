"""The exception for bad input, and what its messages are made of."""

import contextlib
import os
import reprlib
import textwrap
from collections.abc import Iterator
from typing import Any

from drumgan_jax.core.printable import printable

# Of a text that a message quotes.
_MOST_LETTERS = 300


class BadInput(ValueError):
    """A file or value given by the user cannot be used.

    The message is one sentence that names the file or value and the remedy; the command line prints it without a
    traceback.
    """


@contextlib.contextmanager
def about(path: str | os.PathLike[str]) -> Iterator[None]:
    """Begin the message of a BadInput with the file that it is about."""
    try:
        yield
    except BadInput as problem:
        raise BadInput(f"{path}: {problem}") from problem


def first_line(error: BaseException) -> str:
    """What an exception says, on one line that is not endless, for a message of ours."""
    return textwrap.shorten((str(error).strip().splitlines() or [type(error).__name__])[0], 200, placeholder=" ...")


def quoted(text: str | os.PathLike[str]) -> str:
    """A path or text that was given, for a message, which is one line and not endless."""
    line = printable(os.fspath(text))
    return line if len(line) <= _MOST_LETTERS else f"{line[:_MOST_LETTERS]}..."


def shown(value: Any) -> str:
    """A value for a message, which is one line and not endless."""
    return textwrap.shorten(reprlib.repr(value), 120, placeholder=" ...")
