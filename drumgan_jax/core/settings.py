"""How a section of a config becomes a part or a set of settings, checked."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from drumgan_jax.core.errors import BadInput

Part = TypeVar("Part")
Section = TypeVar("Section")


def build_part(
    kinds: Mapping[str, Callable[..., Part]], settings: Mapping[str, Any], section: str, **given: Any
) -> Part:
    """Build the part a config section asks for.

    Args:
        kinds: registry from the section's `kind` to the part's class, a dataclass.
        settings: the config section: `kind` and the class's fields; lists become tuples.
        section: the section's name, for messages.
        given: fields that come from elsewhere than the section (a shape, a number of labels).

    Raises:
        BadInput: the kind or a field is unknown, a field without default is missing, or the part has no use for what
            is given.
    """
    fields = {key: _frozen(value) for key, value in settings.items()}
    kind = fields.pop("kind", None)
    if kind not in kinds:
        raise BadInput(f"config.{section}.kind is {kind!r}; it must be one of {', '.join(sorted(kinds))}.")
    return _construct(kinds[kind], fields, section, given)


def _construct(part: Callable[..., Part], fields: dict[str, Any], section: str, given: dict[str, Any]) -> Part:
    known = {f.name: f for f in dataclasses.fields(part) if f.init}  # type: ignore[arg-type]
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise BadInput(f"config.{section} has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}.")
    if useless := sorted(set(given) - set(known)):
        raise BadInput(
            f"config has {', '.join(useless)}, which this kind of config.{section} has no use for; take it out."
        )
    missing = sorted(
        name
        for name, f in known.items()
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and name not in fields
        and name not in given
    )
    if missing:
        raise BadInput(f"config.{section} lacks {', '.join(missing)}; give it a value.")
    return part(**fields, **given)


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    return value


def require_whole(section: str, settings: Any, least: int, *names: str) -> None:
    """Refuse settings of a config's section that are no whole numbers, or below the least; BadInput names the first."""
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise BadInput(f"config.{section}.{name} is {value!r}; it must be a whole number of at least {least}.")


def require_real(section: str, settings: Any, low: float, high: float, *names: str, open_low: bool = False) -> None:
    """Refuse settings of a config's section that are no numbers from `low`, or above it if `open_low`, to `high`."""
    for name in names:
        value = getattr(settings, name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not low <= value <= high or (open_low and value == low):
            bounds = f"above {low} and at most {high}" if open_low else f"from {low} to {high}"
            raise BadInput(f"config.{section}.{name} is {value!r}; it must be a number {bounds}.")


def read_section(config: Mapping[str, Any], name: str, section: type[Section]) -> Section:
    """The settings of one section; `name` may have dots.

    Raises:
        BadInput: the section or one of its settings is missing, unknown, of the wrong type or out of range.
    """
    settings: Any = config
    for part in name.split("."):
        if part not in settings:
            raise BadInput(f"the config has no section {name}; add it (see the configs folder for examples).")
        settings = settings[part]
    try:
        return build_part({name: section}, {**settings, "kind": name}, name)
    except BadInput as problem:
        raise BadInput(str(problem).replace("optimizer.*", name)) from None


def read_seed(config: Mapping[str, Any]) -> int:
    """The run's seed, from 0 to 2**31 - 1."""
    seed = config.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise BadInput(f"config.seed is {seed!r}; it must be a whole number from 0 to {2**31 - 1}.")
    return seed
