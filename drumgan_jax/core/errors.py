"""The exception for bad input, and what its messages are made of."""

import contextlib
import itertools
import os
import reprlib
from collections.abc import Iterable, Iterator
from typing import Any

from drumgan_jax.core.printable import printable

# Characters in a message of ours: of another's message or a name, of a value, of a text in it, and of a list of names.
_MOST, _MOST_OF_VALUE, _MOST_OF_TEXT, _MOST_OF_NAMES = 200, 120, 100, 400
_CUT = " ..."
_VALUES = reprlib.Repr()
_VALUES.maxstring = _VALUES.maxother = _MOST_OF_TEXT


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
    """What an exception says, on one line that is not endless and has no full stop, for a message of ours."""
    return brief((str(error).strip().splitlines() or [type(error).__name__])[0].rstrip("."))


def shown(value: Any) -> str:
    """A value for a message, which is one line and not endless."""
    return brief(_VALUES.repr(value), _MOST_OF_VALUE)


def listed(names: Iterable[Any]) -> str:
    """Names for a message, with commas: as many as a line holds, and the number of the others."""
    texts = [brief(str(name)) for name in names]
    ends = itertools.accumulate(len(text) for text in texts)
    count = max(1, sum(end <= _MOST_OF_NAMES for end in ends))
    others = f" and {len(texts) - count} others" if len(texts) > count else ""
    return ", ".join(texts[:count]) + others


def brief(text: str | os.PathLike[str], most: int = _MOST) -> str:
    """A text or path for a message, on one line, without odd characters and not endless."""
    whole = os.fspath(text)
    # A text of spaces alone would not be seen.
    line = printable(" ".join(whole.split()) or repr(whole))
    return line if len(line) <= most else f"{line[: most - len(_CUT)].rstrip()}{_CUT}"
