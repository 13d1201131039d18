"""Checkpoints of a run: saved in the background; the last few, the best and milestones are kept.

A checkpoint has three items: `train` (the task's state without the EMA), `ema` (the weights that an instrument needs)
and `data` (the step, which determines the position in the data). It is written under another name, renamed when its
files are there, and complete when it has their digests, so a killed process leaves only complete checkpoints. Those
that are no longer kept go only then.
"""

import concurrent.futures
import contextlib
import json
import math
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax
from absl import logging
from orbax.checkpoint import v1 as ocp

from drumgan_jax.core import distributed, places
from drumgan_jax.core.array_files import DAMAGES
from drumgan_jax.core.disks import is_disk_full
from drumgan_jax.core.errors import BadInput, first_line, shown
from drumgan_jax.core.places import run_place
from drumgan_jax.core.settings import is_number
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.runs import digests, identity
from drumgan_jax.runs.checkpoint_items import step_in, without_digests
from drumgan_jax.runs.digests import CHECKPOINTS, CONFIG_NAME, complete_steps

# Space for metadata beside the arrays.
_MARGIN_BYTES = 2**20
# Before the step's number, in the names of folders that do not count.
_UNREADABLE, _INCOMPLETE, _DELETED = "unreadable-", "incomplete-", "deleted-"
# Orbax's, after it.
_BEING_WRITTEN = ".orbax-checkpoint-tmp"
_SOUND = 2**31 - 1
# Seconds for a save. Orbax counts them by the clock on the wall: one that jumped over its 20 minutes ended the run, or
# let it wait for ever. Processes that stand still are found by their supervisor.
_LONG = 10**9


class Checkpoints:
    """The checkpoints of one run; all processes call its methods together.

    Args:
        run_dir: the run directory.
        keep: number of latest checkpoints to keep.
        metric: name of the figure that chooses the best checkpoint, which is kept too.
        milestones: steps whose checkpoints are kept too.
        config: of the run, kept in each checkpoint (runs.identity).
    """

    def __init__(
        self,
        run_dir: str | os.PathLike[str],
        keep: int,
        metric: str,
        milestones: Collection[int] = (),
        config: Mapping[str, Any] | None = None,
    ):
        self.directory = run_place(run_dir) / CHECKPOINTS
        self._keep, self._metric, self._milestones = keep, metric, frozenset(milestones)
        self._config = dict(config or {})
        self._told = {**digests.EXPECTED, **identity.kept_config(self._config)}
        self._sign = -1.0 if is_higher_better(metric) else 1.0
        self._first = jax.process_index() == 0
        if self._first:
            _clear(self.directory)
        # What is kept, in order, with the figure of each: the same on all processes, whatever each sees on the disk.
        steps = distributed.as_first(complete_steps(self.directory))
        self._kept = {step: self._badness(_metrics(self.directory / str(step))) for step in steps}
        self._background = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._saving: concurrent.futures.Future[None] | None = None

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
        step = _best(self._kept)
        return None if step is None else (step, self._kept[step] * self._sign)

    def restore(self, target: Any) -> tuple[Any, int] | None:
        """Restore the state and step of the last checkpoint that is what was saved; None if there is none.

        Args:
            target: the state as jax.ShapeDtypeStruct with shardings, which may differ from those at saving.

        Raises:
            BadInput: there are checkpoints, but none can be read, or the last one that is sound cannot be restored.
        """
        damaged: dict[int, str] = {}
        for step in sorted(self._kept, reverse=True):
            path = self.directory / str(step)
            if (file := self._altered(path)) is not None:
                damaged[step] = f"its file {file} is not what was saved"
                continue
            # As `training.run.check` did for the newest one, which may be another.
            identity.check_identity(path, self._config, self.directory.with_name(CONFIG_NAME))
            held = step_in(path)
            # Agreed by all processes, since one of them may not be able to read it.
            if not distributed.least(int(held in (None, step))):
                damaged[step] = "it holds another step: its folder was renamed"
                continue
            try:
                state = self._load(step, target)
            except Exception as error:
                if digests.has_digests(path):
                    # Not damaged: what failed is memory, a disk, or another process.
                    raise BadInput(
                        f"{path} is what was saved, but could not be restored ({first_line(error)}); give the same"
                        " command again once that is mended."
                    ) from error
                if jax.process_count() > 1:
                    raise BadInput(
                        f"{path} could not be restored ({first_line(error)}); give the same command again, or, if that"
                        " happens again, delete it to resume from the previous one."
                    ) from error
                # A storage layer may raise anything on damaged files; an earlier checkpoint may be intact.
                damaged[step] = first_line(error)
                continue
            if self._first and not digests.has_digests(path):
                logging.warning("%s", without_digests(path))
            self._set_aside(damaged, step)
            return state, step
        if damaged:
            raise BadInput(
                f"none of the checkpoints in {self.directory} can be read by this version (step {max(damaged)}:"
                f" {damaged[max(damaged)]}); restore them, or delete the folder to start again."
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
        if step in self._kept:
            return
        self._check_room(state)
        items = {"train": state.replace(ema=None), "ema": state.ema, "data": {"step": step}}
        try:
            told = {**self._told, "metrics": metrics or {}}
            context = ocp.Context()
            context.asynchronous.timeout_secs = _LONG
            with context:
                response = ocp.save_checkpointables_async(self.directory / str(step), items, custom_metadata=told)
        except Exception as error:
            raise self._translated(error) from error
        everything = {**self._kept, step: self._badness(metrics)}
        stay = retained(everything, self._keep, self._milestones)
        self._kept = {one: figure for one, figure in everything.items() if one in stay}
        self._saving = self._background.submit(self._complete, response, step, sorted(everything.keys() - stay))

    def wait(self) -> None:
        """Wait until the checkpoint being saved is complete; raise BadInput if the disk was full."""
        saving, self._saving = self._saving, None
        if saving is None:
            return
        try:
            saving.result()
        except Exception as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Wait for the checkpoint being saved, and stop the threads."""
        try:
            self.wait()
        finally:
            self._background.shutdown()

    def _complete(self, response: Any, step: int, dropped: Collection[int]) -> None:
        """Wait for Orbax, then write the digests, and only then delete what is no longer kept."""
        response.result()
        if not self._first:
            return
        digests.write_digests(self.directory / str(step))
        for one in dropped:
            _delete(self.directory / str(one))

    def _badness(self, metrics: Any) -> float:
        """The figure, negated if higher is better; infinite if missing or not finite."""
        figure = self._sign * float((metrics or {}).get(self._metric, math.inf))
        return figure if math.isfinite(figure) else math.inf

    def _load(self, step: int, target: Any) -> Any:
        items = {"train": target.replace(ema=None), "ema": target.ema}
        loaded = ocp.load_checkpointables(self.directory / str(step), items)
        return loaded["train"].replace(ema=loaded["ema"])

    def _altered(self, path: Path) -> str | None:
        """The first file that is not what was saved; each process looks at a share, and all give the same answer."""
        names, found = [], _SOUND
        if digests.has_digests(path):
            try:
                stored = digests.read_digests(path)
                names = list(stored.files)
                bad = stored.altered(names[jax.process_index() :: jax.process_count()])
                found = names.index(bad[0]) if bad else _SOUND
                if digests.unlisted(stored):
                    found = -1
            except BadInput:
                found = -1
        found = distributed.least(found)
        if found == _SOUND:
            return None
        return names[found] if 0 <= found < len(names) else digests.DIGESTS_NAME

    def _set_aside(self, damaged: Mapping[int, str], restored: int) -> None:
        # Left in place, they would count among the latest and displace intact ones.
        if not damaged:
            return
        for step, problem in damaged.items():
            path = self.directory / str(step)
            del self._kept[step]
            if self._first:
                aside = path.with_name(f"{_UNREADABLE}{step}")
                _delete(aside)
                path.rename(aside)
                logging.warning(
                    "%s cannot be used (%s) and is now %s; the run goes on from step %d.",
                    path,
                    problem,
                    aside.name,
                    restored,
                )
        distributed.meet("set aside")

    def _check_room(self, state: Any) -> None:
        if places.is_remote(self.directory):
            return
        needed = sum(_bytes_here(leaf) for leaf in jax.tree.leaves(state)) + _MARGIN_BYTES
        if not self.directory.is_dir():
            raise BadInput(f"{self.directory} is gone: it was deleted or moved while training wrote to it.")
        if shutil.disk_usage(self.directory).free < needed:
            raise self._disk_full(needed)

    def _translated(self, error: Exception) -> Exception:
        return self._disk_full(None) if is_disk_full(error) and not places.is_remote(self.directory) else error

    def _disk_full(self, needed: int | None) -> BadInput:
        free = shutil.disk_usage(self.directory).free
        need = f"it needs {needed:,} bytes and" if needed else "it"
        latest = self.latest
        last = f"the last good one is step {latest}" if latest is not None else "there is no good one yet"
        return BadInput(
            f"the disk of {self.directory} is too full for a checkpoint: {need} has {free:,} bytes free; "
            f"{last}; make room and run the same command again."
        )


def retained(figures: Mapping[int, float], keep: int, milestones: Collection[int]) -> set[int]:
    """Steps that are kept: the last `keep`, the best, and the milestones.

    Args:
        figures: of each step; the least is the best, and infinity is none.
        keep: how many of the last.
        milestones: steps.
    """
    best = _best(figures)
    return {*sorted(figures)[-keep:], *(figures.keys() & set(milestones)), *([] if best is None else [best])}


def _bytes_here(leaf: Any) -> int:
    # Each process writes those shards whose first copy it holds.
    if not isinstance(leaf, jax.Array):
        return 0
    return sum(shard.data.nbytes for shard in leaf.addressable_shards if shard.replica_id == 0)


def _best(figures: Mapping[int, float]) -> int | None:
    """The earliest step with the least figure; None if none is finite."""
    scored = [step for step in sorted(figures) if math.isfinite(figures[step])]
    return min(scored, key=lambda step: figures[step], default=None)


def _metrics(checkpoint: Path) -> dict[str, Any]:
    """The figures that were saved with a checkpoint; without them it is not the best."""
    own, earlier = checkpoint / digests.METADATA_NAME, checkpoint / "metrics" / "metrics"
    try:
        found = json.loads(own.read_text())["custom_metadata"].get("metrics")
        if found is None:
            # Of a version that wrote no digests.
            found = json.loads(earlier.read_text()) if earlier.exists() else {}
        if odd := [name for name, value in found.items() if not is_number(value)]:
            raise ValueError(f"{odd[0]} is {shown(found[odd[0]])}")
        return {name: float(value) for name, value in found.items()}
    except DAMAGES as error:
        logging.warning("the figures of %s cannot be read (%s), so it is not the best.", checkpoint, first_line(error))
        return {}


def _clear(directory: Path) -> None:
    """Delete what a killed process was writing or deleting, and set aside what it had not completed, once.

    In a bucket, where renaming copies every byte, what was not completed is deleted.
    """
    if places.is_remote(directory):
        kept = set(map(str, complete_steps(directory)))
        for path in [one for one in _folders(directory) if one.name.isdecimal() and one.name not in kept]:
            places.drop(path)
            logging.warning("%s was not complete when its process ended, and is deleted.", path)
        return
    directory.mkdir(parents=True, exist_ok=True)
    for leftover in (*directory.glob(f"{_DELETED}*"), *directory.glob(f"*{_BEING_WRITTEN}*")):
        shutil.rmtree(leftover, ignore_errors=True)
    complete = set(map(str, complete_steps(directory)))
    for path in [one for one in directory.iterdir() if one.name.isdecimal() and one.name not in complete]:
        for earlier in directory.glob(f"{_INCOMPLETE}*"):
            _delete(earlier)
        aside = path.rename(path.with_name(f"{_INCOMPLETE}{path.name}"))
        logging.warning("%s was not complete when its process ended, and is now %s.", path, aside.name)


def _folders(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if places.is_folder(directory) else []


def _delete(path: Path) -> None:
    """Delete a checkpoint, which is gone in one moment: a killed process leaves no part of it that counts."""
    if places.is_remote(path):
        (path / digests.DIGESTS_NAME).unlink(missing_ok=True)
        places.drop(path)
        return
    with contextlib.suppress(FileNotFoundError):
        doomed = path.rename(path.with_name(f"{_DELETED}{path.name}"))
        shutil.rmtree(doomed, ignore_errors=True)
