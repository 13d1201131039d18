"""The table of quality: sets of sounds beside trivial baselines, all measured against the same recordings."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drumgan_jax.core.errors import BadInput, listed
from drumgan_jax.evaluation.class_mix import check_same_mix, describe_mix
from drumgan_jax.evaluation.intervals import Figure
from drumgan_jax.evaluation.quality.judge import Judge
from drumgan_jax.evaluation.quality.novelty import novelty
from drumgan_jax.evaluation.quality.sets import MeasuredSet, embedded_by
from drumgan_jax.evaluation.quality.sound import (
    ATTACK_OF,
    DESCRIPTORS,
    SHARES,
    SoundFigure,
    compare_attacks,
    compare_sound,
)
from drumgan_jax.evaluation.quality.thumbnails import digests
from drumgan_jax.evaluation.report import number, table
from drumgan_jax.evaluation.suite import Suite

# Lengths of sounds differ by this factor at most.
_LENGTHS = 1.1

AS_ASKED, DISTANCE, COPIED = "class/asked", "novelty/db", "novelty/copied"


@dataclasses.dataclass(frozen=True)
class Row:
    """One set in a table.

    Attributes:
        name: of the set.
        count: of sounds.
        mix: of classes, in words.
        level: median RMS level in dB relative to full scale.
        figures: by name.
        sound: the sound family beside the recordings.
    """

    name: str
    count: int
    mix: str
    level: float
    figures: Mapping[str, Figure]
    sound: Mapping[str, SoundFigure]

    @property
    def alarms(self) -> list[str]:
        """Names of the figures of the sound family that are outside the recordings' range."""
        return [name for name, figure in self.sound.items() if figure.alarm]


@dataclasses.dataclass(frozen=True)
class QualityTable:
    """Rows measured against one reference.

    Attributes:
        reference: its name.
        count: its sounds.
        mix: of its classes, in words.
        level: its median RMS level in dB.
        judge: the judge's accuracy on it; None without classes or judge.
        rows: the sets.
        identity: what makes two tables comparable: the reference's recordings, the judge, the embedders' weights.
        warnings: sentences on doubtful figures.
    """

    reference: str
    count: int
    mix: str
    level: float
    judge: float | None
    rows: Sequence[Row]
    identity: Mapping[str, Any]
    warnings: Sequence[str]


def compare_sets(
    reference: MeasuredSet,
    sets: Sequence[MeasuredSet],
    suite: Suite,
    judge: Judge | None = None,
    training: np.ndarray | None = None,
) -> QualityTable:
    """Measure sets against a reference.

    Args:
        reference: held-out recordings.
        sets: the rows.
        suite: the metrics.
        judge: of classes; used if it knows the reference's.
        training: thumbnails of the training sounds [sounds, time, freq], for the novelty; None without.

    Raises:
        BadInput: a set's mix of classes or length differs from the reference's, or there are too few sounds.
    """
    judge = None if judge is None else judge.in_order(reference.label_names)
    own = None
    if judge is not None and reference.classes is not None:
        agreement = judge.agreement(reference.thumbnails, reference.classes)
        own = None if agreement is None else agreement.value
    rows, warnings = zip(*(_row(reference, one, suite, judge, training) for one in sets), strict=True)
    mix = describe_mix(reference.classes, reference.label_names)
    of_warning: dict[str, list[str]] = {}
    for row, some in zip(rows, warnings, strict=True):
        for warning in some:
            of_warning.setdefault(warning, []).append(row.name)
    said = [f"{', '.join(names)}: {warning}" for warning, names in of_warning.items()]
    identity = {
        **reference.about,
        "judge": None if judge is None else judge.digest,
        "weigh": suite.weigh,
        "weights": {embedder.name: embedder.weights_hash for embedder in suite.embedders},
    }
    return QualityTable(reference.name, len(reference), mix, reference.level, own, rows, identity, said)


def check_alike(reference: MeasuredSet, measured: MeasuredSet) -> None:
    """Raise BadInput if a set cannot be compared with a reference: another mix of classes, or another length."""
    check_same_length(reference, measured.name, measured.seconds)
    if reference.classes is None or measured.classes is None:
        return
    if reference.label_names != measured.label_names:
        raise BadInput(
            f"{measured.name} has the classes {listed(measured.label_names)} and {reference.name} "
            f"{listed(reference.label_names)}; compare it with a data set of its own classes: give --data."
        )
    remedy = "draw both at one mix: drumgan evaluate --run=RUN --data=DATA does"
    sides = (reference.name, measured.name)
    check_same_mix(reference.classes, measured.classes, reference.label_names, sides, remedy)


def check_same_length(reference: MeasuredSet, name: str, seconds: float) -> None:
    """Raise BadInput unless sounds of so many seconds can be compared with a reference."""
    if max(reference.seconds, seconds) > _LENGTHS * min(reference.seconds, seconds):
        raise BadInput(
            f"the sounds of {name} last {seconds:.2f} s and those of {reference.name} {reference.seconds:.2f} s; "
            "compare it with a data set of its own length: give --data."
        )


def _row(
    reference: MeasuredSet, measured: MeasuredSet, suite: Suite, judge: Judge | None, training: np.ndarray | None
) -> tuple[Row, list[str]]:
    """A set's row, and sentences on its doubtful figures."""
    check_alike(reference, measured)
    names = [embedder.name for embedder in suite.embedders]
    results = suite.compare(embedded_by(reference, names), embedded_by(measured, names))
    compared = results.figures
    figures = {name: Figure(one["value"], one["low"], one["high"], one["interval"]) for name, one in compared.items()}
    agreement = None
    if judge is not None and measured.classes is not None:
        agreement = judge.agreement(measured.thumbnails, measured.classes)
    if agreement is not None:
        figures[AS_ASKED] = agreement
    if training is not None:
        new = novelty(measured.thumbnails, training, reference.thumbnails)
        figures[DISTANCE] = Figure(new.distance, new.distance, new.distance, "none")
        figures[COPIED] = new.copied
    mix = describe_mix(measured.classes, measured.label_names)
    sound = compare_sound(measured.sound, reference.sound)
    if measured.classes is not None and reference.classes is not None:
        classes = (measured.classes, reference.classes)
        sound |= compare_attacks(measured.sound, reference.sound, classes, reference.label_names)
    shared = int(np.isin(digests(measured.thumbnails), digests(reference.thumbnails)).sum())
    warnings = [f"{shared} of these sounds are in the reference too; every distance is too good."] if shared else []
    return Row(measured.name, len(measured), mix, measured.level, figures, sound), [*warnings, *results.warnings]


def quality_text(found: QualityTable, interval: str) -> str:
    """The table for a terminal, a column for each set.

    Args:
        found: the table.
        interval: name of the set whose 95 % intervals stand at its side.
    """
    names = list(dict.fromkeys(name for row in found.rows for name in row.figures))
    own = next(row for row in found.rows if row.name == interval)
    lines = [
        ["sounds", *(str(row.count) for row in found.rows), ""],
        ["level, dB", *(f"{row.level:.1f}" for row in found.rows), ""],
    ]
    for name in names:
        cells = [number(row.figures[name].value) if name in row.figures else "" for row in found.rows]
        spread = own.figures.get(name)
        exact = spread is None or spread.low == spread.high
        lines.append(
            [name, *cells, "" if exact or spread is None else f"{number(spread.low)} .. {number(spread.high)}"]
        )
    lines.append(["alarms of sound", *(str(len(row.alarms)) for row in found.rows), ""])
    notes = [f"Against {found.count} sounds: {found.reference} ({found.mix}; level {found.level:.1f} dB)."]
    notes += [f"{row.name}: {row.mix}." for row in found.rows if _differs(row.mix, found.mix)]
    if found.judge is not None:
        notes.append(
            f"{AS_ASKED} is by a judge that conditioning never saw; it is right on {found.judge:.3f} of the reference."
        )
    rows = table(["figure", *(row.name for row in found.rows), "95 % interval"], lines)
    return "\n".join([notes[0], rows, *notes[1:]])


def _differs(mix: str, reference: str) -> bool:
    """Whether a row says something else about its classes than the reference: rounding makes small differences."""
    return mix.split()[0] != reference.split()[0]


def _with_unit(figure: str) -> str:
    descriptor = DESCRIPTORS.get("attack" if figure.startswith(ATTACK_OF) else figure)
    return f"{figure}, {descriptor.unit}" if descriptor is not None and descriptor.unit else figure


def _meaning(figure: str) -> str:
    """What a figure of the sound family is, in words."""
    if figure in SHARES:
        return SHARES[figure]
    return DESCRIPTORS["attack" if figure.startswith(ATTACK_OF) else figure].meaning


def sound_text(found: QualityTable, name: str) -> str:
    """One row's sound family beside the recordings, and what its alarms mean, for a terminal."""
    row = next(row for row in found.rows if row.name == name)
    lines = [
        [
            _with_unit(figure),
            number(one.value),
            "" if one.below is None else f"{100 * one.below:.0f} %",
            "" if one.above is None else f"{100 * one.above:.0f} %",
            number(one.low),
            number(one.median),
            number(one.high),
            "ALARM" if one.alarm else "",
        ]
        for figure, one in row.sound.items()
    ]
    text = table([f"sound of {name}", "value", "below", "above", "recordings: low", "median", "high", ""], lines)
    return "\n".join([text, *(f"{figure}: {_meaning(figure)}" for figure in row.alarms)])
