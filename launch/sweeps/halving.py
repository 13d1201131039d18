"""Successive halving (Jamieson and Talwalkar 2016): many short runs, of which the best go on."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from drumgan_jax.commands.curves import Point, best_point, read_run
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.launch.sweeps.trials import Trial


def rungs(total: int, factor: int, count: int, least: int) -> list[int]:
    """Images after which runs are compared, ascending; the last is `total`.

    Args:
        total: images of a whole run.
        factor: the share that goes on is one of so many, which then run so many times as long.
        count: of the rungs.
        least: images below which there is nothing to compare, as those of a step.

    Raises:
        BadInput: the factor is below 2, there is no rung, or the first one is too short.
    """
    if factor < 2 or count < 1:
        raise BadInput(f"--halving={factor} with --rungs={count} halves nothing; give 2 or more, and 1 or more rungs.")
    found = [total // factor**below for below in reversed(range(count))]
    if found[0] < least:
        raise BadInput(
            f"the first of {count} rungs has {found[0]} images, fewer than a step; give fewer --rungs, or longer runs."
        )
    return found


def survivors(trials: Sequence[Trial], folder: Path, figure: str, images: int, factor: int) -> list[Trial]:
    """The best of some trials, by their best figure up to a rung; one of `factor`, rounded down, but at least one.

    Those without the figure, as they failed, do not go on.
    """
    scored = [(trial, best_until(folder / trial.name, figure, images)) for trial in trials]
    sign = -1.0 if is_higher_better(figure) else 1.0
    ranked = sorted(
        ((trial, point) for trial, point in scored if point is not None), key=lambda pair: sign * pair[1].value
    )
    return [trial for trial, _ in ranked[: max(1, len(trials) // factor)]]


def best_until(run: Path, figure: str, images: float = math.inf) -> Point | None:
    """The best value of a figure that a run had by so many images; None if it has none, or is no run."""
    try:
        found = read_run(run)
    except BadInput:
        return None
    curve = [point for point in found.curves.get(figure, ()) if point.images <= images]
    return best_point(dataclasses.replace(found, curves={figure: curve}), figure)
