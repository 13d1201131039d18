"""Handlers of signals, for as long as something runs."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

# What asks a process to stop: a scheduler or a machine that is taken away, and Ctrl-C.
TO_STOP = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def handled(handler: Callable[[int, FrameType | None], None], *numbers: signal.Signals) -> Iterator[None]:
    """Let a function handle some signals; at the end, what handled them before does. For the main thread only."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
