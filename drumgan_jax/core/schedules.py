"""Values that change with the real examples seen: learning rates, betas, regulariser weights, EMA half-lives.

A config gives a number, or a section such as `{"kind": "cosine", "start": 2e-3, "end": 1e-4, "images": 1_000_000}`.
"""

import bisect
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp

__all__ = ["Schedule", "parse_schedule"]

Array = jax.Array


class Schedule(Protocol):
    """From real examples seen to a value; frozen and hashable."""

    def at(self, images: int) -> float:
        """The value after so many examples, on the host."""

    def traced(self, images: Array) -> Array:
        """The value [] float32 after examples [], inside a compiled function."""

    def values(self) -> tuple[float, ...]:
        """Numbers that bound all values of the schedule, for checks."""


@dataclasses.dataclass(frozen=True)
class Linear:
    """A straight line from `start` to `end` over `images` examples, then `end`."""

    start: float
    end: float
    images: int

    def at(self, images: int) -> float:
        """See Schedule."""
        return self.start + (self.end - self.start) * min(images / self.images, 1.0)

    def traced(self, images: Array) -> Array:
        """See Schedule."""
        return self.start + (self.end - self.start) * jnp.minimum(images.astype(jnp.float32) / self.images, 1.0)

    def values(self) -> tuple[float, ...]:
        """See Schedule."""
        return self.start, self.end


@dataclasses.dataclass(frozen=True)
class Cosine:
    """Half a cosine from `start` to `end` over `images` examples, then `end` (Loshchilov and Hutter 2017, eq. 5)."""

    start: float
    end: float
    images: int

    def at(self, images: int) -> float:
        """See Schedule."""
        return self.end + (self.start - self.end) * 0.5 * (1.0 + math.cos(math.pi * min(images / self.images, 1.0)))

    def traced(self, images: Array) -> Array:
        """See Schedule."""
        done = jnp.minimum(images.astype(jnp.float32) / self.images, 1.0)
        return self.end + (self.start - self.end) * 0.5 * (1.0 + jnp.cos(jnp.pi * done))

    def values(self) -> tuple[float, ...]:
        """See Schedule."""
        return self.start, self.end


@dataclasses.dataclass(frozen=True)
class Steps:
    """`levels[0]`, and from `images[i]` examples on `levels[i + 1]`."""

    levels: tuple[float, ...]
    images: tuple[int, ...]

    def at(self, images: int) -> float:
        """See Schedule."""
        return self.levels[bisect.bisect_right(self.images, images)]

    def traced(self, images: Array) -> Array:
        """See Schedule."""
        place = jnp.searchsorted(jnp.asarray(self.images, jnp.int32), images.astype(jnp.int32), side="right")
        return jnp.asarray(self.levels, jnp.float32)[place]

    def values(self) -> tuple[float, ...]:
        """See Schedule."""
        return self.levels


SCHEDULES: dict[str, type[Schedule]] = {"linear": Linear, "cosine": Cosine, "steps": Steps}
Scheduled = float | Schedule
# Examples are counted in int32 on devices.
_MOST_IMAGES = 2**31 - 1


def parse_schedule(value: Any) -> Any:
    """A schedule of its section of a config; a number, or anything else, as it is.

    "constant" has `value`, which is returned.

    Raises:
        ValueError: the section is not a schedule; the message completes "it must be".
    """
    if not isinstance(value, Mapping):
        return value
    settings = dict(value)
    kind = settings.pop("kind", None)
    if kind == "constant" and set(settings) == {"value"}:
        return settings["value"]
    if not isinstance(kind, str) or kind not in SCHEDULES:
        raise ValueError(f"a number, or a schedule of kind constant, {', '.join(SCHEDULES)}")
    part = SCHEDULES[kind]
    names = [f.name for f in dataclasses.fields(part)]  # type: ignore[arg-type]
    if set(settings) != set(names):
        raise ValueError(f"a {kind} schedule with {', '.join(names)}, no more and no less")
    return _checked(part(**{name: _tuple(settings[name]) for name in names}))


def value_at(scheduled: Scheduled, images: int) -> float:
    """The value after so many examples, on the host."""
    return scheduled if isinstance(scheduled, (int, float)) else scheduled.at(images)


def traced_value(scheduled: Scheduled, images: Array) -> float | Array:
    """The value after examples [], inside a compiled function; a constant stays a Python number."""
    return scheduled if isinstance(scheduled, (int, float)) else scheduled.traced(images)


def bounds(scheduled: Any) -> tuple[Any, ...]:
    """Numbers that bound all values that a config's value takes; itself, if it is no schedule."""
    return (scheduled,) if not hasattr(scheduled, "traced") else scheduled.values()


def is_zero(scheduled: Scheduled) -> bool:
    """Whether the value is 0 all the time."""
    return all(value == 0 for value in bounds(scheduled))


def _checked(schedule: Any) -> Schedule:
    if not isinstance(schedule, Steps):
        if not _is_count(schedule.images):
            raise ValueError(f"a schedule whose `images` is a whole number from 1 to {_MOST_IMAGES}")
        return schedule
    if not isinstance(schedule.images, tuple) or not isinstance(schedule.levels, tuple):
        raise ValueError("a schedule whose `levels` and `images` are lists")
    if not all(map(_is_count, schedule.images)) or list(schedule.images) != sorted(set(schedule.images)):
        raise ValueError(f"a schedule whose `images` are whole numbers from 1 to {_MOST_IMAGES}, ascending")
    if len(schedule.levels) != len(schedule.images) + 1:
        raise ValueError("a schedule whose `levels` are one more than its `images`")
    return schedule


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_IMAGES


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value
