"""Conditions on the rows of a manifest: `column=value|value`, `licence~family`, and several joined by `or`."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.data_pipelines.manifests import column_name

# Families of licences, each within the next. Patterns, because libraries write the same licence in many ways. What
# begins with none of them is in "any" alone: licences that share alike or forbid trade or changes, and the GPL.
_FREE = re.compile(r"cc[- ]?0|creative commons zero|public[- ]domain|unlicense|the unlicense|pddl|0bsd|wtfpl", re.I)
_PERMISSIVE = re.compile(
    r"(?:cc[- ]by|creative commons attribution)(?![- ]?(?:sa|nc|nd|share|non|no[- ]))|mit\b|bsd\b|apache|isc\b|zlib"
    r"|boost|bsl-1",
    re.I,
)
FAMILIES = ("free", "permissive", "any")
LICENCE = "licence"


def family_of(licence: str) -> str:
    """The narrowest of FAMILIES that a licence is in.

    "free" asks for nothing (CC0, public domain, Unlicense); "permissive" asks for credit (CC-BY, MIT); "any" is the
    rest, an empty licence too.
    """
    words = licence.strip()
    if _FREE.match(words):
        return "free"
    return "permissive" if _PERMISSIVE.match(words) else "any"


@dataclasses.dataclass(frozen=True)
class Condition:
    """What a row of a manifest must meet.

    Attributes:
        text: as it was given.
        alternatives: column, whether its value is a family of licences, and the values; one of them must be met.
    """

    text: str
    alternatives: tuple[tuple[str, bool, frozenset[str]], ...]

    @property
    def columns(self) -> list[str]:
        """That a manifest must have."""
        return [column for column, _, _ in self.alternatives]

    @property
    def of_licences(self) -> bool:
        """Whether it asks for a family of licences."""
        return any(family for _, family, _ in self.alternatives)

    def met_by(self, row: Mapping[str, str | None]) -> bool:
        """Whether a row meets it."""
        return any(_meets(row.get(column) or "", family, values) for column, family, values in self.alternatives)


def parse_conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    """Conditions from their texts.

    Raises:
        BadInput: a text is no condition, or names no family of licences.
    """
    return tuple(_parse(text) for text in texts)


def _parse(text: str) -> Condition:
    alternatives = []
    for part in re.split(r" or (?=\w+[=~])", text):
        column, operator, values = _parted(part)
        if not operator or not column:
            raise BadInput(f"--where={text} is not a condition; write it as column=value.")
        chosen = frozenset(values.split("|"))
        if operator == "~" and (unknown := sorted(chosen - set(FAMILIES))):
            raise BadInput(f"--where={text}: {shown(unknown[0])} is no family of licences; give {', '.join(FAMILIES)}.")
        alternatives.append((column_name(column), operator == "~", chosen))
    return Condition(text, tuple(alternatives))


def _parted(part: str) -> tuple[str, str, str]:
    found = re.search(r"[=~]", part)
    return (part, "", "") if found is None else (part[: found.start()], found[0], part[found.end() :])


def _meets(value: str, family: bool, chosen: frozenset[str]) -> bool:
    if not family:
        return value in chosen
    widest = max(FAMILIES.index(name) for name in chosen)
    return FAMILIES.index(family_of(value)) <= widest
