"""Tempi as files tell them: chunks, names, folders, their order, and what the report says of them."""

import io
import json
import struct

import numpy as np
import pytest
from ml_collections import ConfigDict
from riff_bytes import chunk, encoded, hit, wav

from drumgan_jax.audio.loop_chunks import LoopChunk, read_loop_chunk
from drumgan_jax.data_pipelines import synthetic
from drumgan_jax.data_pipelines.prepare import prepare, summary
from drumgan_jax.data_pipelines.sources import Item, list_items
from drumgan_jax.data_pipelines.tempo import Tempo, tempo_row, told_tempi

RATE = 8000
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


def acid(tempo: float, beats: int = 4, flags: int = 0, order: str = "<") -> bytes:
    return struct.pack(f"{order}IHHfIHHf", flags, 60, 0x8000, 0.0, beats, 4, 4, tempo)


def in_aiff(basc: bytes) -> bytes:
    whole = encoded(hit(), "AIFF") + b"basc" + struct.pack(">I", len(basc)) + basc
    return whole[:4] + struct.pack(">I", len(whole) - 8) + whole[8:]


def basc(beats: int, denominator: int = 4, flag: bytes = b"\0\0\1") -> bytes:
    return struct.pack(">IIHHHH", 1, beats, 48, 3, 4, denominator) + flag.ljust(68, b"\0")


def in_caf(**pairs: str) -> bytes:
    strings = b"".join(f"{key.replace('_', ' ')}\0{value}\0".encode() for key, value in pairs.items())
    content = bytes.fromhex("29819273b5bf4aefb78d62d1ef90bb2c") + struct.pack(">I", len(pairs)) + strings
    caf = encoded(hit(), "CAF")
    at = caf.index(b"data")
    return caf[:at] + b"uuid" + struct.pack(">Q", len(content)) + content + caf[at:]


def item(path: str, bpm: float | None = None) -> Item:
    return Item(f"/sounds/pack/{path}", path, "pack", "loop", bpm)


def named(name: str, bars_at: float = 0.0, folder: str = "") -> list[Tempo]:
    """What a name tells of a file of one bar at a tempo; or of one of an odd length."""
    return told_tempi(item(folder + name), 240 / bars_at if bars_at else 1.234)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("name", "bpm"),
    [
        ("127bpm.wav", 127),
        ("loop_127bpm_dry.wav", 127),
        ("Loop 93 BPM.wav", 93),
        ("90-bpm.wav", 90),
        ("bpm=140 top.wav", 140),
        ("bpm: 140.wav", 140),
        ("120,5bpm_break.wav", 120.5),
        ("break 120.5 bpm.wav", 120.5),
        ("127.003bpm.wav", 127.003),
        ("BPM-93 dusty.wav", 93),
        ("bpm100.wav", 100),
        ("take 90 bpm=140.wav", 140),
        ("bpm 01 - 120bpm.wav", 120),
        ("120bpm-02.wav", 120),
        ("01-120bpm.wav", 120),
    ],
)
def test_names_with_the_unit_tell_the_tempo_whatever_the_length(name, bpm):
    assert named(name) == [Tempo(bpm, "name")]


@pytest.mark.parametrize(
    "name", ["20bpm.wav", "400 bpm.wav", "1120bpm.wav", "120-125 BPM.wav", "90 to 110bpm.wav", "bpm.wav", "5 bpm.wav"]
)
def test_names_without_one_tempo_tell_none(name):
    assert named(name) == []


@pytest.mark.parametrize(
    ("name", "bpm"),
    [
        ("Break_174.wav", 174),
        ("kit3_100_swing.wav", 100),
        ("12_break_100.wav", 100),
        ("(92,5) funky.wav", 92.5),
        ("07 - 140 - Am.wav", 140),
    ],
)
def test_a_bare_number_counts_where_the_length_is_whole_bars_at_it(name, bpm):
    for bars in (1, 4, 32):
        assert told_tempi(item(name), bars * 240 / bpm) == [Tempo(bpm, "name")]
    assert told_tempi(item(name), 240 / bpm * 1.009) == [Tempo(bpm, "name")]
    assert told_tempi(item(name), 240 / bpm * 1.012) == []
    assert told_tempi(item(name), 240 / bpm * 1.25) == []


def test_bare_numbers_of_one_shots_long_files_machines_and_meters():
    assert told_tempi(item("snare_808_120.wav"), 0.37) == []
    # Within 1 % of some whole number of bars, as any long file is at any number.
    assert told_tempi(item("mix 120.wav"), 2 * 100.3) == []
    assert told_tempi(item("mix 120.wav"), 2 * 1000) == []
    assert told_tempi(item("MPC60_break.wav"), 4.0) == []
    assert told_tempi(item("break_60A.wav"), 4.0) == []
    # Of two that suit, the one that suits better.
    assert told_tempi(item("99_100.wav"), 2.4) == [Tempo(100, "name")]
    # Of three quarters a bar.
    assert told_tempi(item("waltz 90.wav"), 2.0) == []
    assert told_tempi(item("waltz 90.wav"), 2.0, meter=3) == [Tempo(90, "name")]


def test_the_nearer_one_wins():
    assert named("loop_01.wav", folder="90 BPM/") == [Tempo(90, "folder")]
    assert named("loop_102bpm.wav", folder="90 BPM/") == [Tempo(102, "name"), Tempo(90, "folder")]
    assert named("a.wav", folder="120 bpm/90bpm/dry/") == [Tempo(90, "folder"), Tempo(120, "folder")]
    # A folder's bare number may be a volume or a year.
    assert named("a.wav", bars_at=90, folder="90/") == []
    # The folder that was given counts too, and those above it do not.
    given = Item("/samples/100bpm/90 bpm/kick/a.wav", "kick/a.wav", "90 bpm", "kick")
    assert told_tempi(given, 1.0) == [Tempo(90, "folder")]


def test_tempi_are_in_order_of_trust():
    one = item("120 BPM/loop 110 bpm.wav", bpm=100.0)
    told = told_tempi(one, 2.0, LoopChunk("acid chunk", 105.0, 4.0))
    assert [(tempo.bpm, tempo.origin) for tempo in told] == [
        (100.0, "manifest"),
        (105.0, "acid chunk"),
        (120.0, "acid chunk's beats"),
        (110.0, "name"),
        (120.0, "folder"),
    ]
    assert told_tempi(one, 2.0, LoopChunk("apple loop", 0.0, 3.0))[1] == Tempo(90.0, "apple loop's beats")
    assert tempo_row(told) == {
        "bpm": 100.0,
        "from": "manifest",
        "others": [
            {"bpm": 105.0, "from": "acid chunk"},
            {"bpm": 120.0, "from": "acid chunk's beats"},
            {"bpm": 110.0, "from": "name"},
            {"bpm": 120.0, "from": "folder"},
        ],
    }
    # 2 % is what rounding and trimmed ends make.
    assert tempo_row([Tempo(100.0, "name"), Tempo(101.9, "folder")]) == {"bpm": 100.0, "from": "name"}


def test_procedural_bars_tell_their_own_tempo():
    (bar,) = list_items(["synthetic:bars?count=1&bpm=125"])
    assert told_tempi(bar, 1.92) == [Tempo(125.0, "sequencer")]
    (drum,) = list_items(["synthetic:drums?count=1"])
    assert told_tempi(drum, 0.5) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (wav(hit(), before=[chunk(b"acid", acid(127.0))]), LoopChunk("acid chunk", 127.0, 4.0)),
        (wav(hit(), after=[chunk(b"acid", acid(127.0, 8))]), LoopChunk("acid chunk", 127.0, 8.0)),
        (wav(hit(), before=[chunk(b"acid", acid(120.0, 0, flags=1))]), None),
        (wav(hit(), before=[chunk(b"acid", acid(float("nan")))]), LoopChunk("acid chunk", 0.0, 4.0)),
        (wav(hit(), before=[chunk(b"acid", acid(127.0)[:20])]), None),
        (wav(hit()), None),
        (in_aiff(basc(8)), LoopChunk("apple loop", 0.0, 8.0)),
        (in_aiff(basc(12, denominator=8)), LoopChunk("apple loop", 0.0, 6.0)),
        (in_aiff(basc(8, denominator=0)), LoopChunk("apple loop", 0.0, 8.0)),
        (in_aiff(basc(8, flag=b"\0\1\0")), None),
        (in_aiff(basc(8, flag=b"\0\0\2")), None),
        (in_aiff(basc(0)), None),
        (in_aiff(basc(8)[:10]), None),
        (in_caf(category="Drums", beat_count="16", time_signature="4/4"), LoopChunk("apple loop", 0.0, 16.0)),
        (in_caf(beat_count="6", time_signature=""), LoopChunk("apple loop", 0.0, 6.0)),
        (in_caf(category="Drums"), None),
        (in_caf(beat_count="many"), None),
        (encoded(hit(), "FLAC"), None),
        (b"", None),
    ],
)
def test_chunks_tell_tempo_and_beats_but_not_of_one_shots(content, found):
    assert read_loop_chunk(io.BytesIO(content)) == found


def test_chunks_of_damaged_files_never_raise():
    rng = np.random.default_rng(0)
    files = [wav(hit(200), before=[chunk(b"acid", acid(127.0))]), in_aiff(basc(8)), in_caf(beat_count="16")]
    for content in files:
        for _ in range(100):
            damaged = bytearray(content[: int(rng.integers(20, len(content)))])
            for at in rng.integers(0, min(len(damaged), 400), 3):
                damaged[at] = int(rng.integers(256))
            found = read_loop_chunk(io.BytesIO(damaged))
            assert found is None or found.beats >= 0


@pytest.fixture
def library(tmp_path):
    """Loops of one bar whose tempo is told in each way, and one-shots."""
    root = tmp_path / "loops"
    for folder in ("acid", "names", "90 BPM"):
        (root / folder).mkdir(parents=True)

    def bar(bpm, name, chunks=(), count=1):
        beat = np.pad(hit(), ((0, round(60 / bpm * 44100) - 6000), (0, 0)))
        (root / name).write_bytes(wav(np.tile(beat, (4 * count, 1)), before=chunks))

    bar(127, "acid/loop_a.wav", [chunk(b"acid", acid(127.0))])
    bar(120, "acid/loop_b.wav", [chunk(b"acid", acid(150.0))])
    (root / "acid" / "shot.wav").write_bytes(wav(hit(20000), before=[chunk(b"acid", acid(120.0, 0, flags=1))]))
    bar(120.5, "names/120,5bpm_break.wav")
    bar(140, "names/bpm=140 top.wav")
    bar(93, "names/BPM-93 dusty.wav")
    bar(174, "names/Break_174.wav")
    bar(100, "names/kit3_100_swing.wav")
    (root / "names" / "snare_808_120.wav").write_bytes(wav(hit(16317)))
    bar(90, "90 BPM/loop_01.wav")
    bar(102, "90 BPM/loop_102bpm.wav")
    return root


def prepared(slicing, source, tmp_path):
    """The result of `prepare`, and the rows of its report by path."""
    config = ConfigDict(
        {
            "name": "tempi",
            "representation": {"kind": "waveform", "sample_rate": RATE, "num_samples": RATE},
            "slicing": slicing,
            "preparation": {},
        }
    )
    result = prepare(config, [str(source)], tmp_path / "out")
    told = json.loads((result.directory / "report.json").read_text())
    return result, told["counts"], {row["path"]: row for row in told["files"]}


def test_the_report_says_where_each_tempo_comes_from_and_lists_disagreements(library, tmp_path):
    result, counts, rows = prepared({"kind": "loop", "min_fill": 0.1}, library, tmp_path)
    assert {path: (row["tempo"]["bpm"], row["tempo"]["from"]) for path, row in rows.items() if "tempo" in row} == {
        "acid/loop_a.wav": (127.0, "acid chunk"),
        "acid/loop_b.wav": (150.0, "acid chunk"),
        "names/120,5bpm_break.wav": (120.5, "name"),
        "names/bpm=140 top.wav": (140.0, "name"),
        "names/BPM-93 dusty.wav": (93.0, "name"),
        "names/Break_174.wav": (174.0, "name"),
        "names/kit3_100_swing.wav": (100.0, "name"),
        "90 BPM/loop_01.wav": (90.0, "folder"),
        "90 BPM/loop_102bpm.wav": (102.0, "name"),
    }
    assert len(rows) == 11
    assert counts["tempi"] == {"name": 6, "acid chunk": 2, "folder": 1}
    assert sorted(counts["tempo_disagreements"]) == [
        "90 BPM/loop_102bpm.wav: name 102, folder 90",
        "acid/loop_b.wav: acid chunk 150, acid chunk's beats 120",
    ]
    shown = summary(result)
    assert "tempo from: name 6, acid chunk 2, folder 1\n" in shown
    assert "tempi more than 2 % apart are told of 2 files; the first is taken\n" in shown
    assert "\n  90 BPM/loop_102bpm.wav: name 102, folder 90\n" in shown


def test_bars_are_cut_at_the_tempo_told_and_else_at_the_one_measured(tmp_path):
    (tmp_path / "in").mkdir()
    samples = synthetic.bars(1, count=8, bpm=110)[0][:, None]
    (tmp_path / "in" / "untold.wav").write_bytes(wav(samples))
    # Told at three quarters of its tempo, its eight bars are six.
    (tmp_path / "in" / "told.wav").write_bytes(wav(samples, before=[chunk(b"acid", acid(82.5, 24))]))
    _, counts, rows = prepared({"kind": "bar"}, tmp_path / "in", tmp_path)
    assert counts["tempi"] == {"measured": 1, "acid chunk": 1}
    assert rows["untold.wav"]["tempo"] == {"bpm": pytest.approx(110, rel=2e-3), "from": "measured"}
    assert rows["untold.wav"]["kept"] == 8
    assert rows["told.wav"]["kept"] == 6


def test_a_manifests_tempo_comes_first(library):
    (library / "manifest.csv").write_text("path,bpm\nnames/bpm=140 top.wav,70\nacid/loop_a.wav,\n")
    first, second = list_items([str(library / "manifest.csv")])
    assert told_tempi(first, 240 / 140) == [Tempo(70.0, "manifest"), Tempo(140.0, "name")]
    assert told_tempi(second, 240 / 127) == []
