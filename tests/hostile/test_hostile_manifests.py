"""Damaged manifests: a row that was not touched keeps its class, or is named, or the whole is refused."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_cases import SHARES, assert_none, faults, mutated_bytes
from riff_bytes import hit, wav

from drumgan_jax.data_pipelines.sources import list_sources

NAMES = [f"audio/{number}.wav" for number in range(6)]
LABELS = ["snare", "kick", "hat", "kick", "tom", "snare"]
ROWS = [("path", "label", "source"), *zip(NAMES, LABELS, ["one", "two"] * 3, strict=True)]
EACH = 40


def table(delimiter: str, quotes: int, ends: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quotes, lineterminator=ends).writerows(ROWS)
    return text.getvalue()


TABLES = {
    "commas": table(",", csv.QUOTE_MINIMAL, "\n").encode(),
    "semicolons": table(";", csv.QUOTE_ALL, "\r\n").encode(),
    "tabs": table("\t", csv.QUOTE_MINIMAL, "\r\n").encode("utf-8-sig"),
    "told": ("sep=;\n" + table(";", csv.QUOTE_MINIMAL, "\n")).encode(),
    "utf-16": table(",", csv.QUOTE_MINIMAL, "\n").encode("utf-16"),
    "backslashes": table(",", csv.QUOTE_MINIMAL, "\n").replace("audio/", "audio\\").encode(),
    "capitals": table(" ,".strip(), csv.QUOTE_MINIMAL, "\n").replace("path,label", "Path, LABEL ").encode(),
}


def inputs() -> Iterator[tuple[str, tuple[bytes, bytes]]]:
    """Names, and sound and damaged tables."""
    for seed, (name, content) in enumerate(TABLES.items()):
        yield f"{name} whole", (content, content)
        for what, damaged in mutated_bytes(content, EACH, seed):
            yield f"{name} {what}", (content, damaged)


@pytest.mark.parametrize("share", SHARES)
def test_damaged_manifests(tmp_path: Path, share: int) -> None:
    (tmp_path / "audio").mkdir()
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(wav(hit(200, seed=number)))
    path = tmp_path / "list.csv"

    def read(given: tuple[bytes, bytes]) -> dict[str, str]:
        path.write_bytes(given[1])
        found = list_sources([str(path)])
        # What is not there is named when it is to be read.
        return {Path(item.uri).name: item.label for item in found.items if os.path.isfile(item.uri)}

    def wrong(given: tuple[bytes, bytes], labels: dict[str, str]) -> str:
        content, damaged = given
        if unknown := set(labels) - {Path(name).name for name in NAMES}:
            return f"files that are not there: {unknown}"
        right = {Path(name).name: label for name, label in zip(NAMES, LABELS, strict=True)}
        if content == damaged:
            return "" if labels == right else f"{labels}"
        lines, before = damaged.splitlines(), content.splitlines()
        if lines[: 1 + content.startswith(b"sep=")] != before[: 1 + content.startswith(b"sep=")]:
            return ""  # Other columns, or another delimiter, were asked for.
        untouched = [line for line in before if line in lines and lines.count(line) == 1]
        known = {name: label for name, label in right.items() if any(name.encode() in line for line in untouched)}
        odd = {name for name, label in known.items() if labels.get(name, label) != label}
        return f"{odd} of {labels}" if odd else ""

    found, count = faults(inputs(), share, 2, read, wrong)
    assert count > len(TABLES) * EACH // (2 * share)
    assert_none(found)
