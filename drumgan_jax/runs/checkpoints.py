"""Checkpoints of a run: saved in the background, the last few and the best kept, the EMA loadable alone.

A checkpoint has three items: `train` (the task's whole state but the moving average), `ema` (what an
instrument needs), `data` (the step, which is the whole position in the data). It is written under another
name and renamed when it is complete, so a killed process leaves complete checkpoints only.
"""

import contextlib
import errno
import math
import os
import shutil
import textwrap
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from orbax.checkpoint import v1 as ocp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.runs.config import CHECKPOINTS, complete_steps

# Room for metadata beside the arrays.
_MARGIN_BYTES = 2**20


class Checkpoints:
    """The checkpoints of one run; used by all processes together.

    Args:
        run_dir: the run directory.
        keep: how many of the last are kept.
        metric: name of the figure by which one more is kept: the best.
    """

    def __init__(self, run_dir: str | os.PathLike[str], keep: int, metric: str):
        self.directory = Path(run_dir).absolute() / CHECKPOINTS
        self._metric = metric
        self._sign = -1.0 if is_higher_better(metric) else 1.0
        self._response: Any = None
        policies = ocp.training.preservation_policies
        best = policies.BestN(get_metric_fn=self._badness, n=1, reverse=True, keep_checkpoints_without_metrics=False)
        self._checkpointer = ocp.training.Checkpointer(
            self.directory,
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(keep), best]),
            cleanup_tmp_directories=True,
        )

    @property
    def latest(self) -> int | None:
        """Step of the last complete checkpoint."""
        return max(complete_steps(self.directory), default=None)

    def last_good(self) -> int | None:
        """Step of the last complete checkpoint, once the one being saved is complete too."""
        with contextlib.suppress(BadInput):
            self.wait()
        return self.latest

    def best(self) -> tuple[int, float] | None:
        """Step and figure of the best checkpoint, if any was evaluated."""
        scored = [(one.step, self._badness(one.metrics)) for one in self._checkpointer.checkpoints if one.metrics]
        best = min((one for one in scored if math.isfinite(one[1])), key=lambda one: one[1], default=None)
        return None if best is None else (best[0], best[1] * self._sign)

    def restore(self, target: Any) -> tuple[Any, int] | None:
        """The state and step of the last complete checkpoint, laid out as `target` says, if there is any.

        Args:
            target: state of jax.ShapeDtypeStruct with shardings. They may differ from those at saving.

        Raises:
            BadInput: there are checkpoints, but none can be read.
        """
        damaged: list[Path] = []
        for step in reversed(complete_steps(self.directory)):
            try:
                state = self._load(step, target)
            # Whatever a storage layer raises on damaged files: the one before may be whole.
            except Exception as error:
                path = self.directory / str(step)
                if jax.process_count() > 1:
                    raise BadInput(f"{path} cannot be read; delete it to go on from the one before.") from error
                logging.warning("%s cannot be read (%s); trying the one before.", path, _first_line(error))
                damaged.append(path)
                continue
            self._set_aside(damaged)
            return state, step
        if damaged:
            raise BadInput(
                f"none of the checkpoints in {self.directory} can be read by this version; restore them, or "
                "delete the folder to start anew."
            )
        return None

    def save(self, step: int, state: Any, metrics: dict[str, float] | None = None) -> None:
        """Start saving a checkpoint in the background, once the one before is complete.

        Args:
            step: steps done.
            state: a dataclass with a field `ema`; copied before this returns, so it may be donated then.
            metrics: figures of an evaluation at this step.

        Raises:
            BadInput: the disk is full, now or while the checkpoint before was written.
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
        """Return when the checkpoint being saved is complete; raise BadInput if the disk was full."""
        response, self._response = self._response, None
        if response is None:
            return
        try:
            response.result()
        except Exception as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Wait, and stop the threads."""
        try:
            self.wait()
        finally:
            # A failed save raises here once more; it has been told already.
            try:
                self._checkpointer.close()
            except Exception as error:
                logging.warning("closing the checkpoints: %s", _first_line(error))

    def _badness(self, metrics: Any) -> float:
        """The figure, or its negative where more of it is better; infinite where it is missing or not finite."""
        figure = self._sign * float((metrics or {}).get(self._metric, math.inf))
        return figure if math.isfinite(figure) else math.inf

    def _load(self, step: int, target: Any) -> Any:
        items = {"train": target.replace(ema=None), "ema": target.ema}
        loaded = self._checkpointer.load_checkpointables(step, items)
        return loaded["train"].replace(ema=loaded["ema"])

    def _set_aside(self, damaged: list[Path]) -> None:
        # Left in place they would count among the last few, and push out whole ones.
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
    """The moving average of a run's generator, without the rest of the state and without knowing its tree.

    Args:
        run_dir: the run directory; it may be in training.
        step: of the checkpoint; None for the last.

    Returns:
        {"params", "statistics"} with NumPy leaves, and the step.

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
        metadata = ocp.checkpointables_metadata(path).metadata["ema"]
        target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), metadata)
        return ocp.load_checkpointables(path, {"ema": target})["ema"], step
    except Exception as error:
        raise BadInput(f"{path} cannot be read ({_first_line(error)}); give another step.") from error


def is_disk_full(error: BaseException) -> bool:
    """Whether an exception, or one that it came from, tells of a full disk or an exhausted quota."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(text in str(seen) for text in (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _bytes_here(leaf: Any) -> int:
    # Each process writes the shards of which it holds the first copy.
    if not isinstance(leaf, jax.Array):
        return 0
    return sum(shard.data.nbytes for shard in leaf.addressable_shards if shard.replica_id == 0)


def _first_line(error: BaseException) -> str:
    # Orbax puts whole trees of shapes into one line.
    return textwrap.shorten((str(error).strip().splitlines() or [type(error).__name__])[0], 200, placeholder=" ...")
