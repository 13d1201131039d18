"""Parts of a run's checkpoints, read without knowing their tree structure; the EMA loads alone."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from orbax.checkpoint import v1 as ocp

from drumgan_jax.core.errors import BadInput, brief, first_line, listed
from drumgan_jax.core.places import run_place
from drumgan_jax.core.write_lock import writer_of
from drumgan_jax.runs import digests
from drumgan_jax.runs.digests import CHECKPOINTS, complete_steps


def without_digests(path: Path) -> str:
    """The sentence about a checkpoint that cannot be verified."""
    return f"{path} was saved by a version that wrote no digests, so damage in it would not be noticed."


def load_ema(run_dir: str | os.PathLike[str], step: int | None = None) -> tuple[dict[str, Any], int]:
    """Load the EMA weights {"params", "statistics"} of a run, without the rest of the state; see `load_item`."""
    return load_item(run_dir, "ema", step)


def load_item(run_dir: str | os.PathLike[str], item: str, step: int | None = None) -> tuple[dict[str, Any], int]:
    """Load a part of a run's checkpoint without knowing its tree structure; see `load_items`."""
    (part,), at = load_items(run_dir, (item,), step)
    return part, at


def load_items(
    run_dir: str | os.PathLike[str], items: Collection[str], step: int | None = None
) -> tuple[list[dict[str, Any]], int]:
    """Load parts of a run's checkpoint without knowing their tree structure.

    Args:
        run_dir: the run directory; the run may still be training.
        items: "ema", and "train" for the rest of the state.
        step: step of the checkpoint; None for the last whose parts are what was saved, with a warning if others are
            later.

    Returns:
        The parts as trees of dicts with NumPy leaves, and the step.

    Raises:
        BadInput: there is no such checkpoint, or it cannot be read or is damaged.
    """
    directory = run_place(run_dir) / CHECKPOINTS
    steps = complete_steps(directory)
    if not steps:
        raise BadInput(f"{run_dir} has no complete checkpoint; give a run directory that training has saved to.")
    if step is not None and step not in steps:
        raise BadInput(f"{run_dir} has no checkpoint of step {step}; it has {listed(map(str, steps))}.")
    problems: list[BadInput] = []
    for at in reversed(steps) if step is None else (step,):
        try:
            loaded = [read_item(directory / str(at), item) for item in items]
        except BadInput as problem:
            problems.append(problem)
            continue
        for told in problems:
            logging.warning("%s Step %d is taken.", told, at)
        if step is None:
            _tell_of_incomplete(directory, at)
        if not digests.has_digests(directory / str(at)):
            logging.warning("%s", without_digests(directory / str(at)))
        return loaded, at
    if step is None and steps[-1] not in complete_steps(directory):
        # Deleted by a training that went on meanwhile, not damaged.
        return load_items(run_dir, items)
    raise problems[0]


def _tell_of_incomplete(directory: Path, taken: int) -> None:
    """Warn of later checkpoints that nobody is completing."""
    complete = complete_steps(directory)
    names = [one.name for one in directory.iterdir() if digests.is_step(one.name)]
    later = [name for name in names if int(name) > taken and int(name) not in complete]
    if later and writer_of(directory.parent) is None:
        logging.warning(
            "%s is not complete: it has no %s, as where its process was killed. Step %d is taken.",
            directory / max(later, key=int),
            digests.DIGESTS_NAME,
            taken,
        )


def step_in(path: Path) -> int | None:
    """The step that the checkpoint in a folder was saved at; None if that cannot be read."""
    try:
        return int(ocp.load_checkpointables(path, {"data": {"step": 0}})["data"]["step"])
    # A storage layer may raise anything, and whoever loads the rest then says what is wrong.
    except Exception:
        return None


def read_item(path: Path, item: str) -> dict[str, Any]:
    """A part of the checkpoint in a folder, as a tree of dicts with NumPy leaves.

    Raises:
        BadInput: it cannot be read, or is not what was saved.
    """
    if (file := digests.first_altered(path, (item,))) is not None:
        raise BadInput(f"{path} is damaged (its file {brief(file)} is not what was saved); give another step.")
    if (held := step_in(path)) is not None and str(held) != path.name:
        raise BadInput(f"{path} holds step {held}: its folder was renamed; give it that name, or give another step.")
    try:
        metadata = ocp.checkpointables_metadata(path).metadata[item]
        target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), metadata)
        return ocp.load_checkpointables(path, {item: target})[item]
    except Exception as error:
        raise BadInput(f"{path} cannot be read ({first_line(error)}); give another step.") from error
