"""Manifests: tables of recordings, as people and spreadsheets write them."""

import csv
import dataclasses
import io
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from drumgan_jax.core.errors import BadInput, first_line, listed, shown
from drumgan_jax.core.regular_files import read_regular

SUFFIXES = (".csv", ".tsv")
_DELIMITERS = ",;\t"
# Longest first, because one begins with another.
_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
# The first line in which some spreadsheets tell the delimiter.
_DELIMITER_LINE = re.compile(r'\s*"?sep=(.)"?\s*\n', re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a manifest.

    Attributes:
        line: number of its last line, from 1.
        cells: text by column, without the spaces around it.
        path: the cell of the file's name as it is written.
        fault: why the row cannot be used; empty if it can.
    """

    line: int
    cells: dict[str, str]
    path: str
    fault: str = ""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A table with a column `path`.

    Attributes:
        path: its file.
        line: number of the line with the names of the columns.
        columns: names of the columns, in small letters.
        rows: the rows that are not empty.
    """

    path: Path
    line: int
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def require(self, column: str) -> None:
        """Refuse a manifest without a column.

        Raises:
            BadInput: names the columns that there are.
        """
        if column not in self.columns:
            raise BadInput(
                f"{self.path} has no column {shown(column)}; line {self.line} names the columns "
                f"{listed(self.columns)}; rename one of them, or add the column."
            )


def column_name(text: str) -> str:
    """The name of a column as it is compared: in small letters, without the spaces around it."""
    return text.strip().casefold()


def read_manifest(path: Path) -> Manifest:
    """Read a manifest: delimited by commas, semicolons or tabs; in UTF-8, or UTF-16 or UTF-32 with a byte order mark.

    Raises:
        BadInput: it cannot be read or decoded, is no table, is empty, has no column `path`, or has a column twice.
    """
    text = _decoded(path)
    told = _DELIMITER_LINE.match(text)
    delimiter = told[1] if told else _delimiter(text)
    text = "\n" + text[told.end() :] if told else text
    # No file at all is named, rather than some wrong ones where a quotation mark is not closed.
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        header = next((row for row in reader if any(row)), None)
        if header is None:
            raise BadInput(f"{path} is empty; give a table with a column path.")
        columns, line = tuple(map(column_name, header)), reader.line_num
        if twice := [column for column in columns if column and columns.count(column) > 1]:
            raise BadInput(f"{path} line {line} names the column {shown(twice[0])} twice; rename one of them.")
        manifest = Manifest(path, line, columns, tuple(_rows(reader, columns)))
    except csv.Error as error:
        raise BadInput(
            f"{path} line {reader.line_num} cannot be read as a table ({first_line(error)}); correct its quotation"
            " marks."
        ) from error
    manifest.require("path")
    return manifest


def file_of(manifest: Path, written: str) -> Path:
    """The file that a row names, relative to the manifest's folder.

    Where there is no such file, one is looked for without the spaces around the name, with backslashes as slashes,
    and with accents composed or apart, as other systems write them.
    """
    folder, plain = manifest.parent, written.strip()
    if written == plain and written.isascii() and "\\" not in written:
        return folder / written
    forward = plain.replace("\\", "/")
    others = [unicodedata.normalize(form, forward) for form in ("NFC", "NFD")]
    candidates = [folder / name for name in (written, plain, forward, *others)]
    return next((candidate for candidate in candidates if os.path.lexists(candidate)), folder / forward)


def _decoded(path: Path) -> str:
    content = read_regular(path)
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content[:64]:
        # Without a mark: the zeros of ASCII are behind its bytes, or before them.
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadInput(
            f"{path} line {line} is not text in {encoding.upper()} ({error.reason}); save it as a CSV in UTF-8."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _delimiter(text: str) -> str:
    """The delimiter by which the first line has a column `path`, or else the most columns."""
    line = next((line for line in text.split("\n") if line.strip()), "")
    columns = {mark: [column_name(cell.strip().strip('"')) for cell in line.split(mark)] for mark in _DELIMITERS}
    return max(_DELIMITERS, key=lambda mark: ("path" in columns[mark], len(columns[mark])))


def _rows(reader: Iterator[list[str]], columns: tuple[str, ...]) -> Iterator[Row]:
    place = columns.index("path") if "path" in columns else None
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue  # Spreadsheets write rows of delimiters alone.
        line: int = reader.line_num  # type: ignore[attr-defined]
        named = {column: cell.strip() for column, cell in zip(columns, cells, strict=False)}
        path = cells[place] if place is not None and place < len(cells) else ""
        fault = ""
        if any(cell.strip() for cell in cells[len(columns) :]):
            fault = f"the row has {len(cells)} cells for {len(columns)} columns; put a cell with a delimiter in quotes"
        elif not path.strip():
            fault = "the row names no file; fill in its path or remove it"
        yield Row(line, named, path, fault)
