"""Manifests as spreadsheets and people write them: every row is read as it was meant, or named."""

import os
import unicodedata

import pytest
from riff_bytes import hit, wav

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.sources import list_items, list_sources

NAMES = [f"audio/{number}.wav" for number in range(4)]
LABELS = ["snare", "kick", "snare", "kick"]
TABLE = "path,label\n" + "".join(f"{name},{label}\n" for name, label in zip(NAMES, LABELS, strict=True))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "audio").mkdir()
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(wav(hit(200, seed=number)))
    return tmp_path


def listed(folder, content, name="list.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list_sources([str(path)])


def refused(folder, content):
    with pytest.raises(BadInput) as caught:
        listed(folder, content)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'list.csv'} ")
    assert "\n" not in message
    return message.removeprefix(f"{folder / 'list.csv'} ")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_delimiters_encodings_and_line_ends(folder, encoding, delimiter, ends):
    text = TABLE.replace(",", delimiter).replace("\n", ends)
    found = listed(folder, text.encode(encoding))
    assert [(item.path, item.label) for item in found.items] == list(zip(NAMES, LABELS, strict=True))
    assert all(os.path.isfile(item.uri) for item in found.items)
    assert not found.left_out


@pytest.mark.parametrize(
    "text",
    [
        TABLE.replace("path,label", "Path,LABEL"),
        TABLE.replace(",", " , "),
        TABLE.replace("path,label", '"path", "Label "'),
        "\n\n" + TABLE,
        "sep=,\n" + TABLE,
        "sep=;\n" + TABLE.replace(",", ";"),
        TABLE.replace(",", ";").replace("path", "Path") + ";\n;;\n",
        TABLE.replace("\n", ",,\n"),
        TABLE.replace("audio/", "audio\\"),
        TABLE.replace("audio/", ".\\audio\\"),
        TABLE.replace("audio/", '"audio/').replace(".wav", '.wav"'),
    ],
    ids=["capitals", "spaces", "quotes", "blank", "sep", "sep;", "empty rows", "empty cells", "\\", ".\\", "quoted"],
)
def test_tables_as_spreadsheets_write_them(folder, text):
    found = listed(folder, text)
    assert [(item.path, item.label) for item in found.items] == list(zip(NAMES, LABELS, strict=True))
    assert not found.left_out


def test_a_table_with_tabs_may_end_in_tsv(folder):
    assert len(listed(folder, TABLE.replace(",", "\t"), "list.TSV").items) == 4


def test_columns_of_conditions_are_found_however_they_are_written(folder):
    path = folder / "list.csv"
    path.write_text("Path;Label;Licence \naudio/0.wav;kick; CC0-1.0\naudio/1.wav;kick;GPL\n")
    for where in ("licence=CC0-1.0", "Licence=CC0-1.0", "LICENCE~free"):
        assert [item.path for item in list_items([str(path)], [where])] == ["audio/0.wav"]
    with pytest.raises(BadInput, match="has no column 'source'; line 1 names the columns path, label, licence; rename"):
        list_items([str(path)], ["Source=acme"])
    with pytest.raises(BadInput, match="has no audio"):
        list_items([str(path)], ["licence=MIT"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("file,kind\naudio/0.wav,kick\n", "has no column 'path'; line 1 names the columns file, kind; rename"),
        ("\nfile;kind\naudio/0.wav;kick\n", "has no column 'path'; line 2 names the columns file, kind; rename"),
        ("", "is empty; give a table with a column path."),
        ("\n;;\n", "is empty; give a table with a column path."),
        ("path,label, Path\na,b,c\n", "line 1 names the column 'path' twice; rename one of them."),
        ('path,label\n"audio/0.wav,kick\naudio/1.wav,snare\n', "line 3 cannot be read as a table (unexpected end of"),
        ('path,label\n"audio/0".wav,kick\n', "line 2 cannot be read as a table (',' expected after '\"')"),
        (b"path,label\nna\xefve.wav,kick\n", "line 2 is not text in UTF-8 ("),
        (b"\xff\xfep\0a\0t\0h\0\n", "line 1 is not text in UTF-16 (truncated data); save it as a CSV in UTF-8."),
        ("path,label\n" + "x" * 200_000 + ",kick\n", "line 2 cannot be read as a table (field larger than"),
    ],
)
def test_what_is_no_manifest_is_refused_in_a_sentence(folder, content, sentence):
    assert refused(folder, content).startswith(sentence)


def test_a_manifest_that_cannot_be_opened_is_told(folder):
    os.mkfifo(folder / "pipe.csv")
    for name, sentence in (("pipe.csv", r"no regular file \(a named pipe\)"), ("gone.csv", "does not exist")):
        with pytest.raises(BadInput, match=sentence):
            list_items([str(folder / name)])


def test_rows_that_name_no_file_and_rows_with_too_many_cells_are_left_out_by_line(folder):
    found = listed(folder, "path,label\naudio/0.wav,kick\n,kick\naudio/1.wav,a,b\n  ,snare\naudio/2.wav,tom\n")
    assert [item.path for item in found.items] == ["audio/0.wav", "audio/2.wav"]
    no_file = "the row names no file; fill in its path or remove it"
    assert [(one.item.path, one.item.label, one.reason) for one in found.left_out] == [
        ("list.csv line 3", "kick", no_file),
        (
            "list.csv line 4",
            "a",
            "the row has 3 cells for 2 columns; put a cell with a delimiter in quotes",
        ),
        ("list.csv line 5", "snare", no_file),
    ]


def test_a_file_that_two_rows_name_is_used_once_or_not_at_all(folder):
    rows = ["audio/0.wav,kick", "./audio/0.wav,kick", "audio\\1.wav,kick", "audio/1.wav,snare", "audio/2.wav,tom"]
    found = listed(folder, "\n".join(["path,label", *rows]))
    assert [item.path for item in found.items] == ["audio/0.wav", "audio/2.wav"]
    assert [(one.item.path, one.item.label, one.reason.split(";")[0]) for one in found.left_out] == [
        ("audio/0.wav", "kick", "listed before"),
        ("audio/1.wav", "kick", "the manifest names it again with another label, subclass, tags or split"),
        ("audio/1.wav", "snare", "the manifest names it again with another label, subclass, tags or split"),
    ]


def test_names_with_accents_and_spaces_are_found_as_they_are_on_disk(folder):
    composed, apart = (unicodedata.normalize(form, "ä.wav") for form in ("NFC", "NFD"))
    for name in (apart, " b.wav", "back\\slash.wav"):
        (folder / name).write_bytes(wav(hit(200)))
    found = listed(folder, f'path,label\n{composed},x\n" b.wav",x\nback\\slash.wav,x\n')
    assert [os.path.basename(item.uri) for item in found.items] == [apart, " b.wav", "back\\slash.wav"]


def test_odd_characters_in_cells_make_no_odd_classes(folder):
    found = listed(folder, 'path,label,tags,source\naudio/0.wav,"new\nline",a | b\tc,"x\ny"\n')
    (item,) = found.items
    assert (item.label, item.tags, item.source) == ("new\\nline", ("a", "b\\tc"), "x\\ny")
