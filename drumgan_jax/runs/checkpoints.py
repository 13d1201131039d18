"""Checkpoints of a run: saved in the background; the last few, the best and milestones are kept; the EMA loads alone.

A checkpoint has three items: `train` (the task's state without the EMA), `ema` (the weights that an instrument needs)
and `data` (the step, which determines the position in the data). It is written under another name and renamed when
complete, so a killed process leaves only complete checkpoints.
"""

import contextlib
import errno
import math
import os
import shutil
import textwrap
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from orbax.checkpoint import v1 as ocp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.runs.config import CHECKPOINTS, complete_steps

# Space for metadata beside the arrays.
_MARGIN_BYTES = 2**20


class Checkpoints:
    """The checkpoints of one run; all processes call its methods together.

    Args:
        run_dir: the run directory.
        keep: number of latest checkpoints to keep.
        metric: name of the figure that chooses the best checkpoint, which is kept too.
        milestones: steps whose checkpoints are kept too.
    """

    def __init__(self, run_dir: str | os.PathLike[str], keep: int, metric: str, milestones: Collection[int] = ()):
        self.directory = Path(run_dir).absolute() / CHECKPOINTS
        self._metric = metric
        self._sign = -1.0 if is_higher_better(metric) else 1.0
        self._response: Any = None
        policies = ocp.training.preservation_policies
        best = policies.BestN(get_metric_fn=self._badness, n=1, reverse=True, keep_checkpoints_without_metrics=False)
        kept = [policies.LatestN(keep), best, policies.CustomSteps(tuple(milestones))]
        self._checkpointer = ocp.training.Checkpointer(
            self.directory,
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=policies.AnyPreservationPolicy(kept),
            cleanup_tmp_directories=True,
        )

    @property
    def latest(self) -> int | None:
        """Step of the last complete checkpoint."""
        return max(complete_steps(self.directory), default=None)

    def last_good(self) -> int | None:
        """Step of the last complete checkpoint, after waiting for the one being saved."""
        with contextlib.suppress(BadInput):
            self.wait()
        return self.latest

    def best(self) -> tuple[int, float] | None:
        """Step and figure of the best checkpoint; None if none was evaluated."""
        scored = [(one.step, self._badness(one.metrics)) for one in self._checkpointer.checkpoints if one.metrics]
        best = min((one for one in scored if math.isfinite(one[1])), key=lambda one: one[1], default=None)
        return None if best is None else (best[0], best[1] * self._sign)

    def restore(self, target: Any) -> tuple[Any, int] | None:
        """Restore the state and step of the last complete checkpoint; None if there is none.

        Args:
            target: the state as jax.ShapeDtypeStruct with shardings, which may differ from those at saving.

        Raises:
            BadInput: there are checkpoints, but none can be read.
        """
        damaged: list[Path] = []
        for step in reversed(complete_steps(self.directory)):
            try:
                state = self._load(step, target)
            # A storage layer may raise anything on damaged files; an earlier checkpoint may be intact.
            except Exception as error:
                path = self.directory / str(step)
                if jax.process_count() > 1:
                    raise BadInput(f"{path} cannot be read; delete it to resume from the previous one.") from error
                logging.warning("%s cannot be read (%s); trying the previous one.", path, _first_line(error))
                damaged.append(path)
                continue
            self._set_aside(damaged)
            return state, step
        if damaged:
            raise BadInput(
                f"none of the checkpoints in {self.directory} can be read by this version; restore them, or "
                "delete the folder to start again."
            )
        return None

    def save(self, step: int, state: Any, metrics: dict[str, float] | None = None) -> None:
        """Start saving a checkpoint in the background, after the previous one is complete.

        Args:
            step: number of steps done.
            state: a dataclass with a field `ema`; copied before this returns, so it may be donated afterwards.
            metrics: figures of an evaluation at this step.

        Raises:
            BadInput: the disk is full, or was full while the previous checkpoint was written.
        """
        self.wait()
        if step in complete_steps(self.directory):
            return
        self._check_room(state)
        items = {"train": state.replace(ema=None), "ema": state.ema, "data": {"step": step}}
        try:
            self._response = self._checkpointer.save_checkpointables_async(
                step, items, metrics=metrics, overwrite=(self.directory / str(step)).exists()
            )
        except Exception as error:
            raise self._translated(error) from error

    def wait(self) -> None:
        """Wait until the checkpoint being saved is complete; raise BadInput if the disk was full."""
        response, self._response = self._response, None
        if response is None:
            return
        try:
            response.result()
        except Exception as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Wait for the checkpoint being saved, and stop the threads."""
        try:
            self.wait()
        finally:
            # A failed save raises here once more, but was already reported.
            try:
                self._checkpointer.close()
            except Exception as error:
                logging.warning("closing the checkpoints: %s", _first_line(error))

    def _badness(self, metrics: Any) -> float:
        """The figure, negated if higher is better; infinite if missing or not finite."""
        figure = self._sign * float((metrics or {}).get(self._metric, math.inf))
        return figure if math.isfinite(figure) else math.inf

    def _load(self, step: int, target: Any) -> Any:
        items = {"train": target.replace(ema=None), "ema": target.ema}
        loaded = self._checkpointer.load_checkpointables(step, items)
        return loaded["train"].replace(ema=loaded["ema"])

    def _set_aside(self, damaged: list[Path]) -> None:
        # Left in place, they would count among the latest and displace intact ones.
        for path in damaged:
            path.rename(path.with_name(f"unreadable-{path.name}"))
        if damaged:
            self._checkpointer.reload()

    def _check_room(self, state: Any) -> None:
        needed = sum(_bytes_here(leaf) for leaf in jax.tree.leaves(state)) + _MARGIN_BYTES
        if shutil.disk_usage(self.directory).free < needed:
            raise self._disk_full(needed)

    def _translated(self, error: Exception) -> Exception:
        return self._disk_full(None) if is_disk_full(error) else error

    def _disk_full(self, needed: int | None) -> BadInput:
        free = shutil.disk_usage(self.directory).free
        need = f"it needs {needed:,} bytes and" if needed else "it"
        latest = self.latest
        last = f"the last good one is step {latest}" if latest is not None else "there is no good one yet"
        return BadInput(
            f"the disk of {self.directory} is too full for a checkpoint: {need} has {free:,} bytes free; "
            f"{last}; make room and run the same command again."
        )


def load_ema(run_dir: str | os.PathLike[str], step: int | None = None) -> tuple[dict[str, Any], int]:
    """Load the EMA weights {"params", "statistics"} of a run, without the rest of the state; see `load_item`."""
    return load_item(run_dir, "ema", step)


def load_item(run_dir: str | os.PathLike[str], item: str, step: int | None = None) -> tuple[dict[str, Any], int]:
    """Load a part of a run's checkpoint without knowing its tree structure.

    Args:
        run_dir: the run directory; the run may still be training.
        item: "ema", or "train" for the rest of the state.
        step: step of the checkpoint; None for the last.

    Returns:
        The part as a tree of dicts with NumPy leaves, and the step.

    Raises:
        BadInput: there is no such checkpoint, or it cannot be read.
    """
    directory = Path(run_dir).absolute() / CHECKPOINTS
    steps = complete_steps(directory)
    if not steps:
        raise BadInput(f"{run_dir} has no complete checkpoint; give a run directory that training has saved to.")
    step = steps[-1] if step is None else step
    if step not in steps:
        raise BadInput(f"{run_dir} has no checkpoint of step {step}; it has {', '.join(map(str, steps))}.")
    path = directory / str(step)
    try:
        metadata = ocp.checkpointables_metadata(path).metadata[item]
        target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), metadata)
        return ocp.load_checkpointables(path, {item: target})[item], step
    except Exception as error:
        raise BadInput(f"{path} cannot be read ({_first_line(error)}); give another step.") from error


def is_disk_full(error: BaseException) -> bool:
    """Whether an exception, or one of its causes, reports a full disk or an exhausted quota."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(text in str(cause) for text in (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _bytes_here(leaf: Any) -> int:
    # Each process writes those shards whose first copy it holds.
    if not isinstance(leaf, jax.Array):
        return 0
    return sum(shard.data.nbytes for shard in leaf.addressable_shards if shard.replica_id == 0)


def _first_line(error: BaseException) -> str:
    # Orbax puts whole trees of shapes into one line.
    return textwrap.shorten((str(error).strip().splitlines() or [type(error).__name__])[0], 200, placeholder=" ...")
