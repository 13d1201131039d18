"""How a section of a config becomes a part or a set of settings, checked field by field.

A dataclass says what its fields may be: `batch_size: int = whole(1)`. `build_part` and `build_section` check the fields
and name them by the section's path; a class that is also constructed directly calls `check_fields` in `__post_init__`.
"""

import contextlib
import dataclasses
import math
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.schedules import bounds, parse_schedule

Part = TypeVar("Part")
Section = TypeVar("Section")
# From a value to what it must be; None if it is fit.
Check = Callable[[Any], str | None]
_CHECK, _SCHEDULED = "check", "scheduled"
# Of the layers of a network and its features in one of them: more would be waited for, or would not fit anywhere.
MOST_LAYERS, MOST_FEATURES = 256, 2**20
# Of recordings: Hz, and samples of what is held at once.
MOST_RATE, MOST_SAMPLES = 768_000, 2**24
# Of any whole number in a config: what JAX's and most files' integers hold.
_MOST = 2**63 - 1
_LARGEST = sys.float_info.max


def checked(check: Check, default: Any = dataclasses.MISSING, **metadata: Any) -> Any:
    """A dataclass field with a check: from a value to the end of a sentence "it must be ...", None if it is fit."""
    return dataclasses.field(default=default, metadata={_CHECK: check, **metadata})


def whole(least: int, default: Any = dataclasses.MISSING, *, most: int = _MOST) -> Any:
    """A field for a whole number from `least` to `most`; also for None, if that is the default."""

    def check(value: Any) -> str | None:
        if value is None and default is None:
            return None
        if not is_whole(value, least):
            return f"a whole number of at least {least}"
        return None if value <= most else f"a whole number of at most {most:,}"

    return checked(check, default)


def real(
    low: float,
    high: float,
    default: Any = dataclasses.MISSING,
    *,
    above: bool = False,
    below: bool = False,
    scheduled: bool = False,
) -> Any:
    """A field for a number from `low` to `high`.

    Args:
        low: the least.
        high: the greatest.
        default: of the field; None allows None.
        above: whether `low` itself is refused.
        below: whether `high` itself is refused.
        scheduled: whether the value may be a schedule (core.schedules). All its values are checked, but it may reach
            `low` even if `above`: a learning rate may fall to 0.
    """
    least = f"above {low:g}" if above else f"from {low:g}"
    most = f"below {high:g}" if below else f"{high:g}"
    joined = f"{least} and {most if below else 'at most ' + most}" if above or below else f"{least} to {most}"
    joined = least if high == math.inf else joined
    joined = "" if low == -math.inf else f" {joined}"

    def check(value: Any) -> str | None:
        values = bounds(value) if scheduled else (value,)
        refused = above and values == (value,)
        fit = all(_within(one, low, high, refused, below) for one in values)
        return None if fit or (value is None and default is None) else f"a number{joined}"

    return checked(check, default, **{_SCHEDULED: scheduled})


def text(default: Any = dataclasses.MISSING, *, choices: tuple[str, ...] = ()) -> Any:
    """A field for a text, one of `choices` if there are any."""

    def check(value: Any) -> str | None:
        if isinstance(value, str) and (not choices or value in choices):
            return None
        return "one of " + ", ".join(choices) if choices else "a text"

    return checked(check, default)


def texts(default: Any = dataclasses.MISSING) -> Any:
    """A field for a tuple of different texts."""

    def check(value: Any) -> str | None:
        fit = isinstance(value, tuple) and all(isinstance(one, str) for one in value) and len(set(value)) == len(value)
        return None if fit else "a tuple of different names"

    return checked(check, default)


def width(default: Any = dataclasses.MISSING) -> Any:
    """A field for a number of features of a network."""
    return whole(1, default, most=MOST_FEATURES)


def sizes(default: Any = dataclasses.MISSING, *, count: int | None = None, most: int = _MOST) -> Any:
    """A field for a tuple of whole numbers from 1 to `most`, such as a network's widths: `count` of them, or any."""
    many = "a tuple" if count is None else f"a tuple of {count}"

    def check(value: Any) -> str | None:
        right = isinstance(value, tuple) and (0 < len(value) <= MOST_LAYERS if count is None else len(value) == count)
        fit = right and all(is_whole(one, 1) and one <= most for one in value)
        return None if fit else f"{many} of whole numbers from 1 to {most:,}"

    return checked(check, default)


def wholes(least: int, default: Any = dataclasses.MISSING) -> Any:
    """A field for a tuple of different whole numbers of at least `least`."""

    def check(value: Any) -> str | None:
        fit = isinstance(value, tuple) and all(is_whole(one, least) for one in value) and len(set(value)) == len(value)
        return None if fit else f"a tuple of different whole numbers of at least {least}"

    return checked(check, default)


def flag(default: Any = dataclasses.MISSING) -> Any:
    """A field for True or False."""
    return checked(lambda value: None if isinstance(value, bool) else "True or False", default)


def mapping() -> Any:
    """A field for a section that another part is built from, by default empty."""
    metadata = {_CHECK: lambda value: None if is_section(value) else "a section"}
    return dataclasses.field(default_factory=dict, metadata=metadata)


def is_section(value: Any) -> bool:
    """Whether a value is a section of a config: a mapping, or a ConfigDict, which is none by its type."""
    return hasattr(value, "items")


def is_whole(value: Any, least: int) -> bool:
    """Whether a value is a whole number of at least `least`; True and False are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)


def check_fields(part: Any, section: str) -> None:
    """Refuse values that do not pass their fields' checks.

    Args:
        part: a dataclass.
        section: its path in a config, for the message; empty for a dataclass that is no section.

    Raises:
        BadInput: names the first such field.
    """
    for f in dataclasses.fields(part):
        _check_value(f, getattr(part, f.name), section)


def build_part(
    kinds: Mapping[str, Callable[..., Part]], settings: Mapping[str, Any], section: str, **given: Any
) -> Part:
    """Build the part a config section asks for.

    Args:
        kinds: registry from the section's `kind` to the part's class, a dataclass.
        settings: the config section: `kind` and the class's fields; lists become tuples.
        section: the section's path, for messages.
        given: fields that come from elsewhere than the section (a shape, a number of labels).

    Raises:
        BadInput: the kind or a field is unknown, a field without default is missing, a value does not pass its check,
            or the part has no use for what is given.
    """
    if not is_section(settings):
        raise BadInput(f"config.{section} is {shown(settings)}; it must be a section.")
    kind: Any = settings.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise BadInput(f"config.{section}.kind is {shown(kind)}; it must be one of {', '.join(sorted(kinds))}.")
    fields = {name: value for name, value in settings.items() if name != "kind"}
    return build_section(kinds[kind], fields, section, **given)


def build_section(part: Callable[..., Part], settings: Mapping[str, Any], section: str, **given: Any) -> Part:
    """As `build_part`, of a section without a kind."""
    known = {f.name: f for f in dataclasses.fields(part) if f.init}  # type: ignore[arg-type]
    if not is_section(settings):
        raise BadInput(f"config.{section} is {shown(settings)}; it must be a section.")
    if unknown := sorted(set(settings) - set(known)):
        has = ", ".join(sorted(known)) or "none"
        raise BadInput(f"config.{section} has no setting {', '.join(unknown)}; it has {has}.")
    if twice := sorted(set(given) & set(settings)):
        raise BadInput(f"config.{section}.{twice[0]} follows from other sections; take it out.")
    if useless := sorted(set(given) - set(known)):
        raise BadInput(
            f"config has {', '.join(useless)}, which this kind of config.{section} has no use for; take it out."
        )
    missing = sorted(
        name
        for name, f in known.items()
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and name not in settings
        and name not in given
    )
    if missing:
        raise BadInput(f"config.{section} lacks {', '.join(missing)}; give it a value.")
    fields = {name: _value(known[name], value, section) for name, value in settings.items()}
    for name, value in fields.items():
        _check_value(known[name], value, section)
    return part(**fields, **given)


def read_section(config: Mapping[str, Any], path: str, section: type[Section]) -> Section:
    """The settings of one section of a config.

    Args:
        config: all sections.
        path: of the section; may have dots.
        section: its dataclass.

    Raises:
        BadInput: the section or one of its settings is missing, unknown, of the wrong type or out of range.
    """
    return build_section(section, section_at(config, path), path)


def read_partly(config: Mapping[str, Any], path: str, section: type[Section]) -> Section:
    """As `read_section`, of those settings of a section that the dataclass has; all defaults without the section."""
    settings = section_at(config, path) if path in config else {}
    names = {f.name for f in dataclasses.fields(section)}  # type: ignore[arg-type]
    if odd := [name for name in settings if name not in names and name.casefold() in names]:
        raise BadInput(f"config.{path} has no setting {odd[0]}; write it {odd[0].casefold()}.")
    return build_section(section, {name: value for name, value in settings.items() if name in names}, path)


def section_at(config: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """A section of a config by its path, which may have dots.

    Raises:
        BadInput: there is none.
    """
    settings: Any = config
    for part in path.split("."):
        if part not in settings:
            raise BadInput(f"the config has no section {path}; add it (`drumgan configs` lists examples).")
        settings = settings[part]
        if not is_section(settings):
            raise BadInput(f"config.{path} is {shown(settings)}; it must be a section.")
    return settings


def read_seed(config: Mapping[str, Any]) -> int:
    """The run's seed, from 0 to 2**31 - 1."""
    seed = config.get("seed", 0)
    if not is_whole(seed, 0) or seed >= 2**31:
        raise BadInput(f"config.seed is {shown(seed)}; it must be a whole number from 0 to {2**31 - 1}.")
    return seed


def check_shapes(section: str, init: Callable[..., Any], *inputs: Any, hint: str = "") -> Any:
    """The shapes of a network's variables; refuses sizes that a network cannot be built with.

    Args:
        section: whose values they are, for the message.
        init: of the network; traced only.
        inputs: of `init`, after a key.
        hint: ends the message.

    Raises:
        BadInput: names the section, and the first line of what the network raised.
    """
    with _refused_sizes(section, hint):
        return jax.eval_shape(init, jax.random.key(0), *inputs)


@contextlib.contextmanager
def _refused_sizes(section: str, hint: str) -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    # Sizes of zero, or too small for the input, raise one of these inside a network.
    except (ArithmeticError, AssertionError, IndexError, TypeError, ValueError) as problem:
        first = (str(problem).splitlines() or [type(problem).__name__])[0]
        raise BadInput(f"config.{section} cannot be built with these values ({first}){hint}.") from problem


def _value(field: "dataclasses.Field[Any]", value: Any, section: str) -> Any:
    if field.metadata.get(_SCHEDULED):
        try:
            value = parse_schedule(value)
        except ValueError as problem:
            raise BadInput(f"config.{section}.{field.name} is {shown(value)}; it must be {problem}.") from problem
    return _frozen(value)


def _check_value(field: "dataclasses.Field[Any]", value: Any, section: str) -> None:
    wanted = field.metadata[_CHECK](value) if _CHECK in field.metadata else _unlike(field.type, value)
    if wanted is not None:
        path = f"config.{section}.{field.name}" if section else field.name
        raise BadInput(f"{path} is {shown(value)}; it must be {wanted}.")


def _unlike(annotation: Any, value: Any) -> str | None:
    """What a value of a field without a check of its own must be, by its annotation; None if it is that, or any."""
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    if not all(one in _PLAIN for one in kinds) or any(_PLAIN[one][0](value) for one in kinds):
        return None
    return " or ".join(_PLAIN[one][1] for one in kinds)


_PLAIN: dict[Any, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "True or False"),
    int: (lambda value: is_whole(value, -_MOST - 1) and value <= _MOST, "a whole number"),
    float: (lambda value: _within(value, -math.inf, math.inf, False, False), "a number"),
    str: (lambda value: isinstance(value, str), "a text"),
    types.NoneType: (lambda value: value is None, "None"),
}


def _within(value: Any, low: float, high: float, above: bool, below: bool) -> bool:
    # A whole number that no float holds is none either.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or abs(value) > _LARGEST:
        return False
    return (
        math.isfinite(value) and low <= value <= high and not (above and value == low) and not (below and value == high)
    )


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    return value
