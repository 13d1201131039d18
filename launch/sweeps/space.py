"""What a sweep varies: axes of values, and the points of a grid, of random draws, or of a Latin hypercube."""

import ast
import dataclasses
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drumgan_jax.core.errors import BadInput, shown

DRAWS = ("grid", "random", "latin")
_RANGE = re.compile(r"(log:)?([^:]+?)\.\.([^:]+?)")


@dataclasses.dataclass(frozen=True)
class Axis:
    """The values of one key of a config: some, or a range.

    Attributes:
        keys: dotted keys that all get the value.
        values: to choose from; empty for a range.
        low: lower end of the range.
        high: upper end, included.
        is_log: whether factors, not differences, are drawn alike.
        is_whole: whether values are whole numbers.
    """

    keys: tuple[str, ...]
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_whole: bool = False

    @classmethod
    def parse(cls, text: str) -> "Axis":
        """An axis of KEY=VALUE,VALUE or KEY=LOW..HIGH or KEY=log:LOW..HIGH; KEY+KEY gives several keys one value.

        Raises:
            BadInput: the text is none of these.
        """
        keys, found, told = text.partition("=")
        names = tuple(key.strip().removeprefix("config.") for key in keys.split("+"))
        if not found or not told.strip() or not all(names):
            raise BadInput(
                f"--vary={shown(text)} is no axis; write KEY=1,5,10 or KEY=0.1..1 or KEY=log:0.0001..0.01, such as"
                " objective.r1_gamma=1,5,10."
            )
        if span := _RANGE.fullmatch(told.strip()):
            return _range(names, text, *span.groups())
        if told.startswith("log:"):
            raise BadInput(f"--vary={shown(text)} is no range; write KEY=log:0.0001..0.01.")
        return cls(names, _values(told))

    def at(self, place: float) -> Any:
        """The value at a place of [0, 1): all values, or all parts of the range, have the same share of it."""
        if self.values:
            return self.values[int(place * len(self.values))]
        low, high = (self.low, self.high + 1.0) if self.is_whole else (self.low, self.high)
        value = low * (high / low) ** place if self.is_log else low + (high - low) * place
        # Four digits tell runs apart, and are read.
        return min(math.floor(value), int(self.high)) if self.is_whole else float(f"{value:.4g}")


def points(axes: Sequence[Axis], draw: str, count: int, seed: int) -> list[dict[str, Any]]:
    """The overrides of each run, by dotted key.

    Args:
        axes: what is varied.
        draw: one of DRAWS. "grid" has every combination; "random" draws each value by itself, and more of the same
            seed begin with fewer; "latin" divides each axis into as many parts as there are runs, and each part
            occurs once (McKay et al. 1979).
        count: of the runs; not for a grid.
        seed: of the draws.

    Raises:
        BadInput: there is no axis, a key occurs twice, a grid has a range, or the count does not suit the draw.
    """
    keys = [key for axis in axes for key in axis.keys]
    if not axes:
        raise BadInput("nothing is varied; give --vary=KEY=1,5,10, or a --grid.")
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise BadInput(f"--vary has {twice[0]} twice; give it once.")
    if draw == "grid":
        if ranges := [axis.keys[0] for axis in axes if not axis.values]:
            raise BadInput(
                f"a grid needs the values of {ranges[0]}, not a range; list them, or give --draw=random or latin."
            )
        if count:
            raise BadInput("a grid has as many runs as there are combinations; leave --runs out, or give --draw.")
        chosen = list(itertools.product(*(axis.values for axis in axes)))
    elif count < 1:
        raise BadInput(f"--draw={draw} needs to know how many runs there are; give --runs=20.")
    else:
        places = _places(draw, count, len(axes), seed)
        chosen = [tuple(axis.at(at) for axis, at in zip(axes, row, strict=True)) for row in places]
    return [{key: value for axis, value in zip(axes, row, strict=True) for key in axis.keys} for row in chosen]


def name_of(overrides: Mapping[str, Any]) -> str:
    """A folder's name that says what a run overrides, such as learning_rate0.001_r1_gamma5."""
    said: dict[str, str] = {}
    for key, value in overrides.items():
        short = key.rpartition(".")[2]
        text = re.sub(r"[^A-Za-z0-9.+-]+", "-", str(value)).rstrip("-")
        text = text if isinstance(value, (int, float)) else text.lstrip("-")
        # Both players' learning rates, if they are the same, are said once.
        said[short if said.get(short, text) == text else key] = text
    return "_".join(f"{key}{text}" for key, text in said.items())[:80].rstrip("_-.") or "run"


def _places(draw: str, count: int, axes: int, seed: int) -> np.ndarray:
    """Places [count, axes] in [0, 1)."""
    if draw == "random":
        # One generator a run, so that more runs begin with fewer.
        return np.stack([np.random.default_rng([seed, run]).random(axes) for run in range(count)])
    random = np.random.default_rng(seed)
    parts = np.stack([random.permutation(count) for _ in range(axes)], axis=1)
    return (parts + random.random((count, axes))) / count


def _range(names: tuple[str, ...], text: str, log: str | None, low: str, high: str) -> Axis:
    ends = (low.strip(), high.strip())
    try:
        bottom, top = map(float, ends)
    except ValueError:
        bottom, top = math.nan, math.nan
    if not (math.isfinite(bottom) and math.isfinite(top) and bottom < top) or (log and bottom <= 0.0):
        above = " above 0" if log else ""
        raise BadInput(f"--vary={shown(text)} is no range; give two numbers{above}, the lower one first.")
    is_whole = all(re.fullmatch(r"[+-]?\d+", end) for end in ends)
    return Axis(names, low=bottom, high=top, is_log=bool(log), is_whole=is_whole)


def _values(told: str) -> tuple[Any, ...]:
    """Values between commas, as Python writes them; what is none is a text. Tuples and texts may hold commas."""
    try:
        whole = ast.literal_eval(f"[{told}]")
    except (ValueError, SyntaxError):
        return tuple(value_of(part.strip()) for part in told.split(","))
    return tuple(whole)


def value_of(text: str) -> Any:
    """A value as Python writes it, or a text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False}.get(text.lower(), text)
