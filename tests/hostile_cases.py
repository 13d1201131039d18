"""Mutations of files, from seeds, and what must come of each: accepted and right, or one sentence."""

import contextlib
import copy
import json
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from drumgan_jax.core.errors import BadInput

# What no input may take longer than.
SECONDS = 10
# Seconds of the processor in so long, of a process that waits.
_IDLE = 0.01
# How many of each suite's inputs `make test` runs: one in so many.
ONE_IN = 12
SHARES = [pytest.param(ONE_IN, id="sample"), pytest.param(1, id="all", marks=pytest.mark.slow)]
VALUES: dict[str, Any] = {
    "null": None,
    "empty": "",
    "minus one": -1,
    "zero": 0,
    "half": 0.5,
    "huge": 1e308,
    "huge whole": 10**30,
    "true": True,
    "list": [],
    "nested": {"kind": {"kind": [1]}},
    "long": "x" * 50_000,
}
MISSING = object()


class Hung(BaseException):
    """An input took too long; no `except Exception` may swallow that."""


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Raise Hung if the block computes for longer than SECONDS, or waits so long for something.

    Not by the clock alone: on a busy machine a process may get little of the processor.
    """
    begun = last = time.process_time()

    def ring(*_: Any) -> None:
        nonlocal last
        now = time.process_time()
        if now - begun > SECONDS or now - last < _IDLE:
            raise Hung(f"still at it after {SECONDS} s")
        last = now

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def faults(
    inputs: Iterable[tuple[str, Any]],
    share: int,
    seed: int,
    read: Callable[[Any], Any],
    wrong: Callable[[Any, Any], str],
) -> tuple[list[str], int]:
    """What is wrong with the outcomes of a share of inputs, and how many were read.

    Args:
        inputs: names and what `read` takes.
        share: one in so many, drawn by the seed.
        seed: of the draw.
        read: returns what it accepts, or raises BadInput.
        wrong: from an input and what was made of it to what is wrong with that; empty if it is right.
    """
    rng = random.Random(seed)
    chosen = [one for one in inputs if share == 1 or rng.randrange(share) == 0]
    found = []
    for name, given in chosen:
        try:
            with in_time():
                fault = wrong(given, read(given))
        except BadInput as problem:
            fault = no_sentence(str(problem))
        except (Exception, Hung):
            fault = traceback.format_exc(limit=-4)
        if fault:
            found.append(f"{name}: {fault}")
    return found, len(chosen)


def no_sentence(message: str) -> str:
    """What keeps a message from being one sentence on one line; empty if it is one."""
    fits = message.strip() == message and message.endswith(".") and "\n" not in message and len(message) < 2000
    return "" if fits else f"no sentence: {message[:300]!r}"


def assert_none(found: list[str]) -> None:
    """Fail with the first faults."""
    assert not found, f"{len(found)} faults:\n" + "\n".join(found[:8])


def mutated_bytes(content: bytes, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Bytes with flipped bits, cut, with zeros, parts moved, doubled or taken out, and with more behind."""
    rng = random.Random(seed)
    for number in range(count if content else 0):
        damaged, size = bytearray(content), len(content)
        place = rng.randrange(size) if number % 2 else rng.randrange(min(size, 100))
        length = rng.choice((1, 4, 64, size // 4))
        kind = ("flip", "cut", "zeros", "double", "out", "swap", "random", "more")[number % 8]
        if kind == "flip":
            damaged[place] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            del damaged[place:]
        elif kind == "zeros":
            damaged[place : place + length] = bytes(len(damaged[place : place + length]))
        elif kind == "double":
            damaged[place:place] = damaged[place : place + length]
        elif kind == "out":
            del damaged[place : place + length]
        elif kind == "swap":
            part = damaged[place : place + length]
            del damaged[place : place + length]
            damaged += part
        elif kind == "random":
            damaged[place : place + length] = rng.randbytes(len(damaged[place : place + length]))
        else:
            damaged += rng.randbytes(length)
        yield f"{number} {kind} {place} {length}", bytes(damaged)


def keys_of(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values in a JSON value, of lists only the first two."""
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, dict):
        parts = tree.items()
    elif isinstance(tree, list):
        parts = list(enumerate(tree))[:2]
    for name, part in parts:
        yield (*path, name)
        yield from keys_of(part, (*path, name))


def value_at(tree: Any, path: Iterable[Any]) -> Any:
    """The value at a path; MISSING if there is none."""
    for name in path:
        try:
            tree = tree[name]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return tree


def changed(tree: Any, path: tuple[Any, ...], value: Any, rename: str = "") -> Any:
    """A copy with another value at a path, without it if that is MISSING, or with another name of it."""
    copied = copy.deepcopy(tree)
    *outer, last = path
    part = value_at(copied, outer)
    if rename:
        part[rename] = part.pop(last)
    elif value is MISSING:
        del part[last]
    else:
        part[last] = value
    return copied


def mutated_values(tree: Any) -> Iterator[tuple[str, tuple[Any, ...], Any, str]]:
    """For each value of a JSON file: what is done, its path, the new content as text, and the new value's name."""
    for path in keys_of(tree):
        where = ".".join(map(str, path))
        for name, value in VALUES.items():
            yield f"{where} {name}", path, json.dumps(changed(tree, path, value)), name
        yield f"{where} nan", path, json.dumps(changed(tree, path, float("nan"))), "nan"
        yield f"{where} deleted", path, json.dumps(changed(tree, path, MISSING)), "deleted"
        if isinstance(path[-1], str) and path[-1].swapcase() != path[-1]:
            yield f"{where} renamed", path, json.dumps(changed(tree, path, None, path[-1].swapcase())), "renamed"


def mutated_text(tree: Any) -> Iterator[tuple[str, bytes]]:
    """A JSON file as a whole: cut, empty, in other encodings, of other versions, nested, with a key twice."""
    content = json.dumps(tree).encode()
    for share in (0.0, 0.02, 0.3, 0.6, 0.9, 0.99):
        yield f"cut at {share}", content[: int(share * len(content))]
    yield "bytes", b"\xff\xfe\x00" + content
    yield "latin", content[:-1] + b', "\xe9": 1}'
    yield "utf-16", content.decode().encode("utf-16")
    yield "nested", b"[" * 100_000 + b"]" * 100_000
    yield "nested in it", content[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    yield "a list", b"[" + content + b"]"
    yield "a number", b"1"
    yield "null", b"null"
    yield "digits", b'{"format": ' + b"9" * 6000 + b"}"
    yield "twice", content[:-1] + b", " + json.dumps(next(iter(tree))).encode() + b": 1}"
    for version in (0, -1, 99, 1.5, "2", None, True, [], 10**40):
        yield f"format {version}", json.dumps({**tree, "format": version}).encode()
    yield "behind it", content + b"{}"
    yield "zeros behind it", content + bytes(100)


def sound_text(tree: Any) -> Iterator[tuple[str, bytes]]:
    """A JSON file written otherwise, which says the same."""
    yield "a byte order mark", b"\xef\xbb\xbf" + json.dumps(tree).encode()
    yield "in lines", json.dumps(tree, indent=3).encode()
    yield "in another order", json.dumps(dict(reversed(tree.items()))).encode()


def alike(value: Any, other: Any) -> bool:
    """Whether two values of JSON are of one type; whole numbers are numbers."""
    kinds = [
        float if isinstance(one, (int, float)) and not isinstance(one, bool) else type(one) for one in (value, other)
    ]
    return kinds[0] is kinds[1]
