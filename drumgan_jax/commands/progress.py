"""A progress bar for commands that run in a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(name: str, total: int | None) -> Iterator[Callable[[int], None] | None]:
    """Show a bar on stderr and yield a callback that takes the number of sounds done; None without a terminal.

    Args:
        name: label of the bar.
        total: number of sounds; None to show only a count.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=name, unit="sound", dynamic_ncols=True) as bar:
        yield lambda done: bar.update(done - bar.n) and None
