"""Runs and packed files from elsewhere, of which only what is played is copied to this machine."""

import dataclasses
import fnmatch
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from absl import logging

from drumgan_jax.core import hub, places
from drumgan_jax.core.bucket_copy import open_copy
from drumgan_jax.core.errors import BadInput, about, brief, listed
from drumgan_jax.core.weight_file import SUMS_NAME
from drumgan_jax.play.instrument import ENCODER
from drumgan_jax.play.pca_gaussian import FITTED
from drumgan_jax.runs.config import find_step
from drumgan_jax.runs.digests import (
    CHECKPOINTS,
    CONFIG_NAME,
    DIGESTS_NAME,
    METADATA_NAME,
    complete_steps,
    first_altered,
)
from drumgan_jax.runs.metrics import METRICS_NAME, PARTS
from drumgan_jax.systems.decoders import VOCODER_NAME

_PACKED = ".npz"
# At the top of a run: what is small, and what some kinds are made of.
_ALWAYS = (CONFIG_NAME, FITTED, VOCODER_NAME, "components-*.npz")
_METRICS = (METRICS_NAME, f"{PARTS}/*")
# Items of a checkpoint: the weights, and the step.
_ITEMS = ("ema", "data")


class Elsewhere(Protocol):
    """Files that are not on this machine."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each, by its path."""

    def fetch(self, names: Collection[str]) -> Path:
        """The folder of this machine with the named ones, which are what they must be."""


class Fetched(NamedTuple):
    """What was copied to this machine.

    Attributes:
        path: the packed file, or the run directory.
        step: of the checkpoint that was copied; of a packed file, as it was asked for.
        source: address that names the same for ever, where there is one.
    """

    path: Path
    step: int | str | None
    source: str


def fetch(address: str, step: int | str | None) -> Fetched:
    """Copy a packed file, or what is played of a run, to the cache of this machine.

    Args:
        address: hf://OWNER/NAME[@REVISION][/PATH] or gs://BUCKET/PATH.
        step: see `play.load.load`.

    Raises:
        BadInput: there is no such repository, revision, bucket or file, or it cannot be read or is damaged.
    """
    if places.scheme_of(address) == hub.SCHEME:
        return _from_hub(hub.open_hub(address), step)
    place = places.run_place(address)
    if place.suffix == _PACKED:
        return Fetched(open_copy(place.parent, place.name).fetch([place.name]) / place.name, step, str(place))
    run = _Run(open_copy(place), "", str(place))
    if CONFIG_NAME not in run.names:
        raise BadInput(f"{place / CONFIG_NAME} cannot be read (there is no such object); give a run directory.")
    return Fetched(*run.fetch(step), str(place))


def _from_hub(folder: hub.HubFolder, step: int | str | None) -> Fetched:
    if folder.path.endswith(_PACKED):
        return Fetched(_packed(folder, folder.path), step, folder.pinned)
    prefix = f"{folder.path}/" if folder.path else ""
    run = _Run(folder, prefix, brief(folder.address))
    if run.is_one:
        return Fetched(*run.fetch(step), folder.pinned)
    files = [name for name in run.names if "/" not in name and name.endswith(_PACKED)]
    if not files:
        raise BadInput(
            f"{brief(folder.address)} has neither a file of drumgan pack (.npz) nor a run's {CONFIG_NAME} and"
            " checkpoints; give the path within the repository, or another one."
        )
    if len(files) > 1:
        raise BadInput(
            f"{brief(folder.address)} has several packed files ({listed(files)}); give the path of one:"
            f" hf://{folder.repository}/{prefix}{files[0]}."
        )
    return Fetched(_packed(folder, prefix + files[0]), step, f"{folder.pinned}/{files[0]}")


def _packed(folder: hub.HubFolder, name: str) -> Path:
    """A packed file, and the list that may name its digest."""
    if name not in folder.sizes:
        there = [one for one in folder.sizes if one.endswith(_PACKED)]
        raise BadInput(
            f"{brief(folder.address)}: there is no file {brief(name)}; packed files there: {listed(there) or 'none'}."
        )
    sums = f"{name.rpartition('/')[0]}/{SUMS_NAME}".lstrip("/")
    return folder.fetch([name, *([sums] if sums in folder.sizes else [])]) / name


@dataclasses.dataclass(frozen=True)
class _Run:
    """A run directory elsewhere.

    Attributes:
        place: of its files.
        prefix: what their paths begin with.
        address: for messages.
    """

    place: Elsewhere
    prefix: str
    address: str

    @property
    def names(self) -> list[str]:
        """Paths of its files within it."""
        return [name.removeprefix(self.prefix) for name in self.place.sizes if name.startswith(self.prefix)]

    @property
    def is_one(self) -> bool:
        return CONFIG_NAME in self.names and any(
            name == FITTED or name.startswith(f"{CHECKPOINTS}/") for name in self.names
        )

    def fetch(self, step: int | str | None) -> tuple[Path, int | str]:
        """The run directory on this machine, with one checkpoint, and its step."""
        patterns = [*_ALWAYS, *(_METRICS if step == "best" else ())]
        top = [name for name in self.names if any(fnmatch.fnmatchcase(name, one) for one in patterns)]
        told = [name for name in self.names if _tells_of_a_checkpoint(name)]
        run = self._get([*top, *told])
        asked = "last" if step is None else step
        steps = complete_steps(run / CHECKPOINTS)
        with about(self.address):
            at = find_step(run, asked) if isinstance(asked, str) else asked
        found = next((one for one in (reversed(steps) if at is None else [at]) if self._has(run, one, steps)), None)
        if f"{ENCODER}/{CONFIG_NAME}" in self.names:
            _Run(self.place, f"{self.prefix}{ENCODER}/", self.address).fetch("last")
        # What is wrong with a checkpoint that cannot be used is told by whoever reads it.
        return run, asked if found is None else found

    def _has(self, run: Path, step: int, steps: Collection[int]) -> bool:
        """Whether there is a sound checkpoint, after it was fetched."""
        if step not in steps:
            return False
        start = f"{CHECKPOINTS}/{step}/"
        inner = [name.removeprefix(start) for name in self.names if name.startswith(start)]
        self._get([start + name for name in inner if "/" not in name or name.split("/")[0] in _ITEMS])
        odd = first_altered(run / CHECKPOINTS / str(step), _ITEMS)
        if odd is not None:
            logging.warning("%s of step %d is not what was saved.", odd, step)
        return odd is None

    def _get(self, names: Collection[str]) -> Path:
        return self.place.fetch([self.prefix + name for name in names]) / self.prefix


def _tells_of_a_checkpoint(name: str) -> bool:
    """Whether a file says that a checkpoint is complete, and what its files are."""
    parts = name.split("/")
    return len(parts) == 3 and parts[0] == CHECKPOINTS and parts[2] in (DIGESTS_NAME, METADATA_NAME)
