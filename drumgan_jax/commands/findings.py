"""What a check of files found, part by part, and as a screen of text."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from drumgan_jax.core.errors import BadInput

SOUND, NOTE, UNSOUND = "sound", "note", "NOT SOUND"
# Of a screen; what is sound gives way to what is not.
_MOST_LINES = 18
_MOST_LETTERS = 90


@dataclasses.dataclass(frozen=True)
class Finding:
    """One part of what was checked.

    Attributes:
        part: its name.
        state: SOUND, UNSOUND, or NOTE for what is neither.
        detail: what there is of it, or what is wrong.
    """

    part: str
    state: str
    detail: str


def tried(part: str, read: Callable[[], str]) -> Finding:
    """The finding of a reader that returns what there is, or raises BadInput."""
    try:
        return Finding(part, SOUND, read())
    except BadInput as problem:
        return Finding(part, UNSOUND, str(problem))


def is_sound(findings: Sequence[Finding]) -> bool:
    """Whether nothing is unsound."""
    return all(one.state != UNSOUND for one in findings)


def screen(path: Path, what: str, findings: Sequence[Finding]) -> str:
    """A table of the findings, the unsound ones first if there are more than fit, and what they come to."""
    order = sorted(findings, key=lambda one: (UNSOUND, NOTE, SOUND).index(one.state))
    shown = list(findings) if len(findings) <= _MOST_LINES else order[:_MOST_LINES]
    # What is wrong is said in full below; a line is a line.
    rows = [[one.part, one.state, _short(one.detail if one.state != UNSOUND else "")] for one in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{path}: {what}", ""]
    lines += [f"{part:<{widths[0]}}  {state:<{widths[1]}}  {detail}".rstrip() for part, state, detail in rows]
    if left := len(findings) - len(shown):
        lines.append(f"and {left} more: {_count(order[_MOST_LINES:])}")
    wrong = [one for one in order if one.state == UNSOUND]
    lines += ["", *(f"{one.part}: {one.detail}" for one in wrong[:5])]
    lines += [f"and {len(wrong) - 5} more."] if len(wrong) > 5 else []
    lines.append(f"Parts that were read: {len(findings)}; not sound: {len(wrong) or 'none'}.")
    return "\n".join(lines)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 3] + "..."


def _count(findings: Sequence[Finding]) -> str:
    states = [one.state for one in findings]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
