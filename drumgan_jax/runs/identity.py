"""What of a run's config says what its checkpoints are: it stays the same, and each checkpoint holds it.

So a config that was edited or copied from another run is noticed, even if its networks have the same shapes: with the
classes in another order, a kick would be played for a snare.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.core.errors import BadInput, about, listed
from drumgan_jax.runs.digests import told_at_save
from drumgan_jax.systems.formats import current_config

# Keys and sections that may change when a run is resumed, and of which nothing is kept. An encoder's run keeps its own
# copy of the generator's checkpoint (task.step) and resumes with that copy.
FREE = (
    "train.total_images",
    "train.host_timeout",
    "task.step",
    "decoder",
    "logging",
    "checkpoint",
    "evaluation",
    "data",
    "mesh",
)
# Those that say how training goes on, not what was learned: a checkpoint fits whatever they are, and so does its place
# in the data. They may change too, and CHANGES in config.json keeps what they were. All others are the run's identity.
ONWARD = (
    "optimizer",
    "objective",
    "train.accumulation",
    "train.compute_dtype",
    "train.ema_half_life_images",
    "train.ema_rampup",
    "train.class_balance",
    "train.source_balance",
    "generator.rematerialize",
    "discriminator.rematerialize",
)
_NOT_ONWARD = ("objective.kind",)
CHANGES = "changes"
# Files of the machine that trained; whoever moves a run may name them anew.
_PLACES = ("task.run", "task.start_from")
# In what Orbax keeps with a checkpoint.
_CONFIG = "config"


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested sections by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return found


def is_onward(key: str) -> bool:
    """Whether a key may change on resume, and is told in CHANGES then."""
    return _is_in(key, ONWARD) and not _is_in(key, _NOT_ONWARD)


def is_identity(key: str) -> bool:
    """Whether a key stays what it is for as long as a run lives."""
    return not is_onward(key) and not _is_in(key, (*FREE, CHANGES))


def different_keys(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Dotted keys in which two configs in the present form differ, sorted."""
    first, second = flat(one), flat(other)
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))


def told(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint keeps of the config that it is saved with."""
    return {_CONFIG: json.loads(json.dumps(config))} if config else {}


def config_at_save(checkpoint: Path) -> dict[str, Any] | None:
    """The config that a checkpoint was saved with, in the present form; None if it was saved without."""
    found = told_at_save(checkpoint).get(_CONFIG)
    return current_config(found) if isinstance(found, Mapping) else None


def check_identity(checkpoint: Path, config: Mapping[str, Any], file: Path) -> None:
    """Refuse a config that is not the one that a checkpoint was saved with; see `check_same`."""
    if (saved := config_at_save(checkpoint)) is not None:
        check_same(saved, config, file, f"step {checkpoint.name}")


def check_same(saved: Mapping[str, Any], config: Mapping[str, Any], file: Path, what: str) -> None:
    """Refuse a config that is not the one that something was saved with.

    Args:
        saved: the config that it was saved with, of any version.
        config: the run's, in the present form.
        file: where that is stored, for the sentence.
        what: was saved, for the sentence.

    Raises:
        BadInput: names the keys that differ, of those that are a run's identity; paths may.
    """
    keys = different_keys(current_config(saved), config)
    if odd := [key for key in keys if is_identity(key) and not _is_in(key, _PLACES)]:
        with about(file):
            raise BadInput(
                f"it is not the config that {what} was saved with, and differs in {listed(odd)}; restore it."
            )


def _is_in(key: str, places: Sequence[str]) -> bool:
    return any(key == place or key.startswith(f"{place}.") for place in places)
