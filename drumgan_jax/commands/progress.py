"""How far a command is, where someone looks on."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None] | None]:
    """A bar of sounds on stderr that is told how many are done, where that is a terminal; else None.

    Args:
        what: to call it.
        total: how many there are; None for a count alone.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit="sound", dynamic_ncols=True) as bar:
        yield lambda done: bar.update(done - bar.n) and None
