"""The versions of configs: what older ones said, in the present form."""

from collections.abc import Callable, Mapping
from typing import Any

from drumgan_jax.audio.representations import current_settings
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.settings import is_section, is_whole
from drumgan_jax.systems import decoders

# Written into config.json as `format`. 1 (without the key) had the decoder's settings in section `representation`, and
# `features` for `feature_networks`.
CONFIG_FORMAT = 2
# Settings that runs begun before them do not name, by section; those of `task` and `slicing` by their kinds.
_ADDED_TO_TRAIN = {"class_balance": 0.0, "source_balance": 0.0}
_ADDED_TO_PREPARATION = {
    "validation_fraction": 0.0,
    "validation_sources": [],
    "hats": False,
    "tags": 0,
    "attributes": [],
}
_ADDED_TO_TASK: dict[Any, dict[str, Any]] = {
    "gan": {"label_weight": 1.0, "start_from": "", "independent_classes": False, "attributes": []},
    "classifier": {"attributes": [], "attribute_weight": 1.0},
}
_ADDED_TO_SLICING: dict[Any, dict[str, Any]] = {"one_shot": {"min_seconds": 0.005}}


def current_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config of any version in the present form, with `format`.

    Raises:
        BadInput: it is of a later version than this one.
    """
    version = version_of(config)
    current = {**config, "format": CONFIG_FORMAT}
    if version < 2:
        if "features" in current:
            current["feature_networks"] = current.pop("features")
        if is_section(current.get("representation")):
            # A config that was just written by hand has a decoder, and no format yet.
            current.setdefault("decoder", _decoder_of(current["representation"]))
            current["representation"] = current_settings(current["representation"])
    added: dict[str, dict[str, Any]] = {"train": _ADDED_TO_TRAIN, "preparation": _ADDED_TO_PREPARATION}
    for section, by_kind in (("task", _ADDED_TO_TASK), ("slicing", _ADDED_TO_SLICING)):
        if is_section(current.get(section)):
            added[section] = by_kind.get(str(current[section].get("kind")), {})
    for section, settings in added.items():
        if is_section(current.get(section)):
            current[section] = {**settings, **current[section]}
    return current


def version_of(config: Mapping[str, Any]) -> int:
    """The format of a config.

    Raises:
        BadInput: it is of a later version than this one, or its format is no number.
    """
    version = config.get("format", 1)
    if not is_whole(version, 1):
        raise BadInput(f"its format is {shown(version)}; it must be a whole number of at least 1.")
    if version > CONFIG_FORMAT:
        raise BadInput(
            f"its config is of format {shown(version)}, and this version reads up to {CONFIG_FORMAT}; update it."
        )
    return version


def check_sections(config: Mapping[str, Any]) -> None:
    """Check what all readers of a stored config take for granted: which sections it has, and that they are some.

    The settings within a section are checked by the part that is built from it.

    Raises:
        BadInput: names the key.
    """
    if unknown := sorted(set(config) - {*_SECTIONS, *_VALUES}):
        raise BadInput(f"it has no use for {shown(unknown[0])}; correct the name, or take it out.")
    for name in sorted(set(config) & set(_SECTIONS)):
        if not is_section(config[name]):
            raise BadInput(f"{name} is {shown(config[name])}; it must be a section.")
    for name in sorted(set(config) & set(_VALUES)):
        fits, wanted = _VALUES[name]
        if not fits(config[name]):
            raise BadInput(f"{name} is {shown(config[name])}; it must be {wanted}.")
    if "kind" in config.get("task", {}) and not isinstance(config["task"]["kind"], str):
        raise BadInput(f"task.kind is {shown(config['task']['kind'])}; it must be a text.")


def labels_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes, or tags, of a stored config.

    Raises:
        BadInput: it has none.
    """
    if not config.get("labels"):
        raise BadInput("the config has no labels; restore them.")
    return tuple(config["labels"])


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and all(isinstance(one, str) and one for one in value)
        and len(set(value)) == len(value)
    )


_SECTIONS = (
    "attributes",
    "augmentation",
    "checkpoint",
    "data",
    "data_augmentation",
    "decoder",
    "discriminator",
    "encoder",
    "evaluation",
    "feature_networks",
    "front_end",
    "generator",
    "growth",
    "logging",
    "mesh",
    "network",
    "objective",
    "optimizer",
    "preparation",
    "representation",
    "slicing",
    "task",
    "train",
    "vocoder",
)
# Other values: whether one fits, and what it must be.
_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "changes": (lambda value: isinstance(value, (list, tuple)), "a list"),
    "format": (lambda value: is_whole(value, 1), "a whole number of at least 1"),
    "labels": (_are_names, "a list of different names"),
    "name": (lambda value: isinstance(value, str), "a text"),
    "seed": (lambda value: is_whole(value, 0) and value < 2**31, f"a whole number from 0 to {2**31 - 1}"),
}


def portable_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's config without paths of one machine, such as of its data and its vocoder, which tell nobody anything."""
    kept = {name: value for name, value in config.items() if name != "data"}
    if "start_from" in kept.get("task", {}):
        kept["task"] = {**kept["task"], "start_from": ""}
    return {**kept, "decoder": decoders.anywhere(kept["decoder"])} if "decoder" in kept else kept


def _decoder_of(representation: Mapping[str, Any]) -> dict[str, Any]:
    """Section `decoder`, of a representation's section of format 1."""
    settings = {
        name: representation[f"griffin_lim_{name}"]
        for name in ("iterations", "momentum")
        if f"griffin_lim_{name}" in representation
    }
    if representation.get("kind") == "log_mel":
        return {"kind": "vocoder", "path": representation.get("vocoder", ""), **settings}
    return {"kind": "griffin_lim", **settings} if settings else {}
