"""The flag --config and its overrides, --config.section.field=value."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from drumgan_jax.commands.config_files import did_you_mean, load
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.paths import expand

# absl then lists these flags in the help of the calling verb.
flags.disclaim_key_flags()

HELP = "the system and its variant, as splice_loops:tiny, or your own file, as PATH:VARIANT."
_CONFIG = re.compile(r"--?config(?:=(.*))?", re.DOTALL)
_OVERRIDE = re.compile(r"--?(?:no)?config\.([^=]+)")
# Fields that hold paths, besides the weights of feature networks; a metric may name an embedder's file.
_PATHS = (
    ("data", "dir"),
    ("data", "cache"),
    ("task", "run"),
    ("task", "start_from"),
    ("decoder", "path"),
    ("evaluation", "metrics"),
)
# Keys that had another name, by their former one; the longest that begins a key counts.
_MOVED = {
    "representation.griffin_lim_iterations": "decoder.iterations",
    "representation.griffin_lim_momentum": "decoder.momentum",
    "representation.vocoder": "decoder.path",
    "features": "feature_networks",
}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", tuple: "a tuple"}


class _Parser(flags.ArgumentParser[ConfigDict]):
    """Reads a config by its name or path and locks it, so overrides can change only existing fields."""

    def parse(self, argument: str) -> ConfigDict:
        config = load(argument)
        config.lock()
        return config


def define_config() -> flags.FlagHolder[ConfigDict]:
    """Define --config."""
    holder = config_flags.DEFINE_config_file("config", None, HELP)
    flags.FLAGS["config"].parser = _Parser()
    return holder


def name_of_config() -> str:
    """The config as it was named on the command line."""
    return str(config_flags.get_config_filename(flags.FLAGS["config"]))


def overrides_of_config() -> dict[str, Any]:
    """The values of the config that the command line gives, by their keys."""
    return dict(config_flags.get_override_values(flags.FLAGS["config"]))


def with_paths(config: ConfigDict) -> ConfigDict:
    """A copy of the config with ~ expanded in all of its paths."""
    config = config.copy_and_resolve_references()
    places = [(config.get(section, {}), key) for section, key in _PATHS]
    for section, key in [*places, *((feature, "weights") for feature in config.get("feature_networks", {}).values())]:
        match section.get(key):
            case str(path):
                section[key] = expand(path)
            case list() | tuple() as several:
                section[key] = tuple(expand(one) if isinstance(one, str) else one for one in several)
    return config


def explain(argv: Sequence[str], problem: Exception) -> BadInput | None:
    """The error for a command line's overrides, or None if the overrides are not the problem.

    Args:
        argv: the command line.
        problem: the exception raised by parsing it.
    """
    following = [*argv[1:], ""]
    given = [match[1] or after for match, after in zip(map(_CONFIG.fullmatch, argv), following, strict=True) if match]
    overrides = [match[1] for match in map(_OVERRIDE.match, argv) if match]
    if not given:
        return BadInput(f"--config.{overrides[0]} needs a config: add --config=NAME before it.") if overrides else None
    config = load(given[-1])
    known = dict(_entries(config))
    for key in overrides:
        if unknown := unknown_key(config, key):
            return unknown
        if str(problem).startswith(f"flag --config.{key}="):
            value = str(problem).removeprefix(f"flag --config.{key}=").partition(": ")[0]
            return BadInput(_wrong(key, value, known[key]))
        if isinstance(known[key], list):
            return BadInput(f"config.{key} is a list, which cannot be given here; make it a tuple in {given[-1]}.")
    return None


def unknown_key(config: ConfigDict, key: str) -> BadInput | None:
    """The error for a key, or a section, that a config does not have; None if it has it."""
    known = dict(_entries(config))
    return None if key in known else BadInput(_unknown(key, known))


def wrong_value(config: ConfigDict, key: str, value: Any) -> BadInput:
    """The error for a value of another type than a config's."""
    return BadInput(_wrong(key, str(value), dict(_entries(config))[key]))


def _entries(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Sections and values with their dotted names."""
    for name, value in config.items():
        yield f"{prefix}{name}", value
        if isinstance(value, ConfigDict):
            yield from _entries(value, f"{prefix}{name}.")


def _unknown(key: str, known: dict[str, Any]) -> str:
    """The message for an override of a field that the config does not have."""
    for former, present in _MOVED.items():
        if key == former or key.startswith(f"{former}."):
            return f"config.{key} is now config.{present}{key.removeprefix(former)}; write that."
    section = key.rpartition(".")[0]
    while section and not isinstance(known.get(section), ConfigDict):
        section = section.rpartition(".")[0]
    prefix = f"{section}." if section else ""
    inside = [name.removeprefix(prefix) for name in known if name.startswith(prefix)]
    there = [name for name in inside if "." not in name]
    leaves = [name for name, value in known.items() if not isinstance(value, ConfigDict)]
    meant = did_you_mean(key.removeprefix(prefix), there, f"config.{prefix}")
    # Look in other sections for the same name, or else for a similar key.
    namesakes = [name for name in leaves if name.rpartition(".")[2] == key.rpartition(".")[2]]
    if meant := meant or did_you_mean(key, namesakes or leaves, "config.", 0.0 if namesakes else 0.75):
        return f"the config has no config.{key}{meant}."
    return f"the config has no config.{key}; {f'config.{prefix}'.rstrip('.')} has {', '.join(there)}."


def _wrong(key: str, value: str, current: Any) -> str:
    """The message for an override of the wrong type."""
    if isinstance(current, ConfigDict):
        return f"config.{key} is a section; give its settings one by one, as --config.{key}.{next(iter(current))}=..."
    kind = _KINDS.get(type(current), f"of the same type as {shown(current)}")
    return f"config.{key} is {shown(value)}; it must be {kind}, such as {shown(current)}."
