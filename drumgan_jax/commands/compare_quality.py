"""The tables of quality of several runs as one: their baselines once, and a column for each run."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from drumgan_jax.core.places import place
from drumgan_jax.evaluation.intervals import Figure
from drumgan_jax.evaluation.quality.sound import SoundFigure
from drumgan_jax.evaluation.quality.table import QualityTable, Row, quality_text
from drumgan_jax.evaluation.report import read_reports
from drumgan_jax.runs.config import CONFIG_NAME

# What the entries of a table's identity are, in words.
_IDENTITY = {
    "data": "data set",
    "records": "choice of held-out recordings",
    "judge": "judge",
    "weigh": "weight of sounds (--weigh)",
    "weights": "choice of embedders, or weights of theirs",
    "truncation": "truncation",
}


def quality_of_runs(runs: Sequence[str]) -> tuple[str | None, list[str]]:
    """The table of the runs' latest evaluations, and sentences on runs that it leaves out.

    Runs are comparable if their tables have the same recordings, whose mix of classes all rows have, the same numbers
    of sounds, judge, embedders and truncation. The first run's
    table decides; the others are refused with the command that makes them comparable.

    Args:
        runs: run directories.

    Returns:
        The table, None if no run has one; and the sentences.
    """
    tables = {run: latest_table(run) for run in runs if (place(run) / CONFIG_NAME).is_file()}
    notes = [
        f"{run} has no table of quality beside baselines; make one with drumgan evaluate --run={run}."
        for run, found in tables.items()
        if found is None
    ]
    there = [(run, found) for run, found in tables.items() if found is not None]
    if not there:
        return None, notes
    (first, reference), *others = there
    rows = [*reference.rows[:-1], dataclasses.replace(reference.rows[-1], name=first)]
    for run, found in others:
        unlike = differences(reference, found)
        if unlike:
            notes.append(
                f"{run} is not comparable with {first}: its table of quality has {unlike}; make it again with drumgan "
                f"evaluate --run={run} --data=DATA --sounds={reference.rows[-1].count}, DATA being that of {first}."
            )
        else:
            rows.append(dataclasses.replace(found.rows[-1], name=run))
    return quality_text(dataclasses.replace(reference, rows=rows), first), notes


def differences(reference: QualityTable, found: QualityTable) -> str:
    """In what a table differs from another, in words; empty if their rows can be compared."""
    own, other = reference.rows[-1], found.rows[-1]
    differing = {
        f"another {_IDENTITY.get(name, name)}": True
        for name in {**reference.identity, **found.identity}
        if reference.identity.get(name) != found.identity.get(name)
    }
    differing |= {
        f"{found.count} sounds as its reference, not {reference.count}": reference.count != found.count,
        f"{other.count} sounds a row, not {own.count}": own.count != other.count,
    }
    return " and ".join(words for words, differs in differing.items() if differs)


def latest_table(run: str) -> QualityTable | None:
    """The table of a run's latest evaluation that has one; None without."""
    for report in reversed(read_reports(run).values()):
        try:
            found = _table(report["quality"]["table"])
            truncation = {"truncation": report["quality"]["truncation"]}
            return dataclasses.replace(found, identity={**found.identity, **truncation})
        except (KeyError, TypeError):
            continue
    return None


def _table(saved: Mapping[str, Any]) -> QualityTable:
    rows = [
        Row(
            **{
                **row,
                "figures": {name: Figure(**figure) for name, figure in row["figures"].items()},
                "sound": {name: SoundFigure(**figure) for name, figure in row["sound"].items()},
            }
        )
        for row in saved["rows"]
    ]
    return QualityTable(**{**saved, "rows": rows})
