"""The report on every file, from the chunks' summaries, which are read one at a time to save memory."""

import dataclasses
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.audio.attributes import AttributeScale
from drumgan_jax.core.errors import BadInput, brief
from drumgan_jax.data_pipelines.moments import Moments, merge_all
from drumgan_jax.data_pipelines.parts import summary_path
from drumgan_jax.data_pipelines.sources import Item

_MOST_LINES = 12


@dataclasses.dataclass
class Counts:
    """Counts over a whole run.

    Attributes:
        files: number of recordings listed.
        used: number of recordings that gave at least one example.
        copies: number of these whose first example is that of an earlier one.
        examples: number of examples by split.
        skipped: number of skipped parts by reason.
        notes: number of files by what is to be known of them.
        no_audio: number of files in the folders that are no audio, by ending.
        labels: number of examples by class and split.
        tempi: number of recordings with a tempo, by where it comes from.
        tempo_disagreements: recordings of which tempi more than 2 % apart are told, with these.
    """

    files: int = 0
    used: int = 0
    copies: int = 0
    examples: Counter[str] = dataclasses.field(default_factory=Counter)
    skipped: Counter[str] = dataclasses.field(default_factory=Counter)
    notes: Counter[str] = dataclasses.field(default_factory=Counter)
    no_audio: Counter[str] = dataclasses.field(default_factory=Counter)
    labels: dict[str, Counter[str]] = dataclasses.field(default_factory=lambda: defaultdict(Counter))
    tempi: Counter[str] = dataclasses.field(default_factory=Counter)
    tempo_disagreements: list[str] = dataclasses.field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one file's row of the report."""
        self.files += 1
        self.used += bool(row["kept"])
        for skip in row.get("skipped", ()):
            self.skipped[skip["reason"]] += skip.get("times", 1)
        self.notes.update(row.get("notes", ()))
        if row["kept"]:
            self.examples[row["split"]] += row["kept"]
            self.labels[row["label"]][row["split"]] += row["kept"]
        if tempo := row.get("tempo"):
            self.tempi[tempo["from"]] += 1
            if others := tempo.get("others"):
                told = ", ".join(f"{one['from']} {one['bpm']:g}" for one in (tempo, *others))
                self.tempo_disagreements.append(f"{row['path']}: {told}")


@dataclasses.dataclass(frozen=True)
class Others:
    """What is in no chunk: rows of what was listed and not read, and the number of files of no audio by ending."""

    rows: Sequence[Mapping[str, Any]]
    no_audio: Counter[str]


def left_out(items: Sequence[Item], reason: str) -> Iterator[dict[str, Any]]:
    """Yield report rows for files that were listed but not read."""
    for item in items:
        skipped = [{"start": 0.0, "reason": reason}]
        yield {"path": item.path, "source": item.source, "label": item.label, "kept": 0, "skipped": skipped}


def check_complete(directory: Path, chunks: int) -> None:
    """Check that there is a summary of each chunk: an engine's word for it is not enough.

    Raises:
        BadInput: there is none of some chunks.
    """
    # By name, since a listing of a network's folder may be an old one.
    absent = sum(not summary_path(directory, index).is_file() for index in range(chunks))
    if absent:
        raise BadInput(
            f"the workers finished, and {absent} of {chunks} chunks are not in {brief(directory)}; put --data_dir where"
            " all workers see it, under the same path."
        )


def parts_by_split(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """The written parts of shards by split, in the order of their chunks."""
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for summary in _summaries(directory):
        parts[summary["split"]] += summary["parts"]
    return parts


def fitted_moments(directory: Path, shape: tuple[int, ...]) -> Moments:
    """Moments of the features in the split "train"."""
    trained = (summary for summary in _summaries(directory) if summary["split"] == "train")
    return merge_all((Moments.from_json(summary["moments"]) for summary in trained), shape)


def fitted_scale(directory: Path, names: Sequence[str], num_classes: int) -> AttributeScale:
    """The scale of attributes of the recordings in the split "train"."""
    trained = (summary for summary in _summaries(directory) if summary["split"] == "train")
    rows = np.asarray([row for summary in trained for row in summary["attributes"]], np.float64)
    return AttributeScale.fit(names, rows[:, 1:], rows[:, 0], num_classes)


def nothing_kept(directory: Path) -> str:
    """The error message for a run without any training examples."""
    counts = Counts()
    for row in _rows(directory):
        counts.add(row)
    (reason, times), *_ = counts.skipped.most_common(1) or [("no files", 0)]
    return (
        f"none of {counts.files} files gave a training example; the most frequent reason ({times} times) was: "
        f"{reason}. Correct config.slicing or config.preparation, or give other audio."
    )


def write(path: Path, directory: Path, settings: Mapping[str, Any], others: Others) -> Counts:
    """Write the report: settings, counts, and a row for each file.

    Args:
        path: path of the report.
        directory: folder with the chunks' summaries.
        settings: settings to include.
        others: what is in no chunk.
    """
    counts, digests = Counts(no_audio=others.no_audio), set()
    for rows in (_rows(directory), others.rows):
        for row in rows:
            counts.add(row)
            digests |= {row["digest"]} if row["kept"] else set()
    counts.copies = counts.used - len(digests)
    # Of a path that is no UTF-8, JSON's own escapes are left.
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        head = json.dumps({**settings, "counts": vars(counts)}, indent=1, ensure_ascii=False)
        file.write(head.removesuffix("\n}") + ',\n "files": [\n')
        separator = "  "
        for rows in (_rows(directory), others.rows):
            for row in rows:
                file.write(separator + json.dumps(row, ensure_ascii=False))
                separator = ",\n  "
        file.write("\n ]\n}\n")
    return counts


def table(counts: Counts) -> str:
    """Format the counts for the terminal."""
    lines = [f"{counts.used} of {counts.files} files gave {sum(counts.examples.values())} examples"]
    lines += [f"  {split:<24} {number:>8}" for split, number in counts.examples.items()]
    if counts.copies:
        lines.append(f"note: {counts.copies} of the {counts.used} files sound the same as another one of them")
    lines += [f"note: of {number} files: {note}" for note, number in counts.notes.most_common(12)]
    if counts.no_audio:
        kinds = ", ".join(f"{number} {kind}" for kind, number in counts.no_audio.most_common(12))
        lines.append(f"note: other files in the folders, which are no audio: {kinds}")
    lines.append("examples by label")
    lines += [f"  {label:<24} {sum(splits.values()):>8}" for label, splits in sorted(counts.labels.items())]
    if counts.tempi:
        lines.append("tempo from: " + ", ".join(f"{origin} {number}" for origin, number in counts.tempi.most_common()))
    if apart := counts.tempo_disagreements:
        lines.append(f"tempi more than 2 % apart are told of {len(apart)} files; the first is taken")
        lines += [f"  {one}" for one in apart[:_MOST_LINES]]
        lines += [f"  and {len(apart) - _MOST_LINES} others, in the report"] if len(apart) > _MOST_LINES else []
    if counts.skipped:
        lines.append("skipped, by reason")
        lines += [f"  {number:>8}  {reason}" for reason, number in counts.skipped.most_common(_MOST_LINES)]
    return "\n".join(lines)


def _rows(directory: Path) -> Iterator[dict[str, Any]]:
    for summary in _summaries(directory):
        yield from summary["files"]


def _summaries(directory: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(directory.glob("[0-9]*.json")):
        yield json.loads(path.read_text())
