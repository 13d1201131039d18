"""The identity of a run: those keys of its config that never change, because its weights mean nothing without them.

Each checkpoint keeps the config that it was saved with. So a `config.json` that was edited, or is another run's, is
noticed, even if the networks have the same shapes: with the classes in another order, a kick would be a snare.
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
# Other runs; whoever moves them names them anew.
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
    return not is_onward(key) and not _is_in(key, (*FREE, *_PLACES, CHANGES))


def different_keys(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Dotted keys in which two configs in the present form differ, sorted."""
    first, second = flat(one), flat(other)
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))


def kept_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What Orbax keeps with a checkpoint of the config that it is saved with; nothing of an empty one."""
    return {_CONFIG: json.loads(json.dumps(config))} if config else {}


def config_at_save(checkpoint: Path) -> dict[str, Any] | None:
    """The config that a checkpoint was saved with, in the present form; None if it keeps none.

    Raises:
        BadInput: it is of a later version.
    """
    found = told_at_save(checkpoint).get(_CONFIG)
    if not isinstance(found, Mapping):
        return None
    with about(checkpoint):
        return current_config(found)


def check_identity(checkpoint: Path, config: Mapping[str, Any], file: Path) -> bool:
    """Refuse a config that is not the one that a checkpoint was saved with; see `check_same`.

    Returns:
        Whether the checkpoint keeps a config to compare with.
    """
    saved = config_at_save(checkpoint) if config else None
    if saved is not None:
        check_same(saved, config, file, f"step {checkpoint.name}")
    return saved is not None


def without_config(checkpoint: Path) -> str:
    """The sentence about a checkpoint that keeps no config."""
    return f"{checkpoint} was saved by a version that kept no config with it, so another config.json is not noticed."


def check_same(saved: Mapping[str, Any], config: Mapping[str, Any], file: Path, what: str) -> None:
    """Refuse a config that is not the one that something was saved with.

    Args:
        saved: the config that it was saved with, of any version.
        config: the run's, in the present form.
        file: where the run's config is stored, for the sentence.
        what: what was saved with it, for the sentence.

    Raises:
        BadInput: keys of the run's identity differ; names them.
    """
    if odd := list(filter(is_identity, different_keys(current_config(saved), config))):
        with about(file):
            raise BadInput(
                f"it is not the config that {what} was saved with, and differs in {listed(odd)}; restore it."
            )


def _is_in(key: str, places: Sequence[str]) -> bool:
    return any(key == place or key.startswith(f"{place}.") for place in places)
