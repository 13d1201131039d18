"""The exception for bad input."""

import contextlib
import os
import textwrap
from collections.abc import Iterator


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
