"""Folders as people have them, prepared: class and file names stay in step, and nothing is left out without a word."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict
from riff_bytes import encoded, hit, wav

from drumgan_jax.audio.files import resample
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.printable import printable
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.records import RecordSource
from drumgan_jax.data_pipelines.prepare import prepare, summary
from drumgan_jax.data_pipelines.sources import list_items, list_sources, read_item

ODD = ("new\nline", 'comma, quote"', "-dash", " space ", "a\tb", "cr\rlf\r\n", "para\u2029graph", "zzz_after")


def config(slicing=None, **preparation):
    representation = {"kind": "waveform", "sample_rate": 8000, "num_samples": 500}
    return ConfigDict(
        {
            "name": "odd",
            "representation": representation,
            "slicing": slicing or {"kind": "one_shot"},
            "preparation": preparation,
        }
    )


def put(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or wav(hit()))
    return path


def rows(result):
    return {row["path"]: row for row in json.loads((result.directory / "report.json").read_text())["files"]}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Odd folders, each with a sound of its own that tells which one it is of; and the data set of them."""
    root = tmp_path_factory.mktemp("in") / "folders"
    for number, name in enumerate(ODD):
        put(root / name / "a.wav", wav(hit(seed=number)))
    put(root / "ünï" / "ß" / "a.wav", wav(hit(seed=len(ODD))))
    os.makedirs(os.fsencode(root) + b"/kick\xe9s")
    with open(os.fsencode(root) + b"/kick\xe9s/a\xff.wav", "wb") as file:
        file.write(wav(hit(seed=len(ODD) + 1)))
    put(root.parent / "elsewhere" / "toms" / "t.wav", wav(hit(seed=len(ODD) + 2)))
    (root / "linked").symlink_to(root.parent / "elsewhere" / "toms")
    (root / "round").symlink_to(root)
    os.mkfifo(root / "pipe.wav")
    (root / "zero.wav").symlink_to("/dev/zero")
    put(root / "only_m4a" / "other.m4a", b"\0\0\0\x20ftypM4A " + bytes(200))
    put(root / "zzz_after" / "notes.txt", b"not audio")
    return root, prepare(config(), [str(root)], root.parent / "out")


def expected(seed: int) -> np.ndarray:
    return np.resize(resample(hit(seed=seed)[:, 0], 44100, 8000), 500)


def test_every_class_is_that_of_its_folder(odd):
    _, result = odd
    dataset = open_dataset(result.directory)
    names = ["new\\nline", 'comma, quote"', "-dash", "space", "a\\tb", "cr\\rlf\\r\\n", "para\\u2029graph", "zzz_after"]
    names += ["ß", "kick\\xe9s", "linked"]
    assert dataset.label_names == tuple(sorted(names))
    found = {}
    for record in RecordSource(result.directory, "train"):
        example = dataset.features.deserialize_example_np(record)
        found[dataset.label_names[example["label"]]] = example
    assert len(found) == len(names)
    for number, name in enumerate(names):
        heard = found[name]["audio"].astype(np.float64)
        scores = [np.abs(np.corrcoef(heard, expected(seed))[0, 1]) for seed in range(len(names))]
        assert int(np.argmax(scores)) == number, name
    assert found["kick\\xe9s"]["path"].decode() == "kick\\xe9s/a\\xff.wav"


def test_what_is_left_out_is_in_the_report_and_the_summary(odd):
    _, result = odd
    told = rows(result)
    reasons = {path: row["skipped"][0]["reason"] for path, row in told.items() if not row["kept"]}
    assert reasons == {
        "pipe.wav": "no regular file (a named pipe)",
        "zero.wav": "no regular file (a device)",
        "round": "a link to a folder that it is in itself",
        "only_m4a/other.m4a": ".m4a is not a format that is read here; convert it to WAV or FLAC",
    }
    assert result.counts.no_audio == {".txt": 1}
    assert "note: other files in the folders, which are no audio: 1 .txt" in summary(result)
    for reason in reasons.values():
        assert reason in summary(result)


def test_a_folder_of_nothing_but_what_is_left_out_is_told_why(tmp_path):
    put(tmp_path / "a.m4a", b"x")
    put(tmp_path / "b.wma", b"x")
    with pytest.raises(BadInput, match=r"no audio that can be used: a\.m4a: \.m4a is not .*, and 1 more are left out"):
        list_items([str(tmp_path)])


def test_an_audio_file_is_a_source(tmp_path):
    mix = put(tmp_path / "sets" / "long mix 128bpm.wav")
    (item,) = list_items([str(mix)])
    assert (item.path, item.source, item.label) == ("long mix 128bpm.wav", "sets", "sets")
    (named,) = list_items([str(mix)], label_pattern="(mix)")
    assert named.label == "mix"
    assert read_item(item).samples.shape == (6000, 1)
    # A link keeps the name of what it leads to.
    (tmp_path / "link.wav").symlink_to(mix)
    assert list_items([str(tmp_path / "link.wav")]) == [item]
    with pytest.raises(BadInput, match="is a file, which says no licences"):
        list_items([str(mix)], where=["licence~free"])
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(BadInput, match=r"no regular file \(a named pipe\)"):
        list_items([str(tmp_path / "pipe.wav")])
    with pytest.raises(BadInput, match=r"cannot be opened \(File name too long\)"):
        list_items(["a" * 5000])


def test_a_recording_that_is_in_two_sources_is_used_once(tmp_path):
    for name in ("kick/a.wav", "kick/b.wav"):
        put(tmp_path / name)
    (tmp_path / "list.csv").write_text("path,label\nkick/../kick/a.wav,bd\n")
    found = list_sources([str(tmp_path / "kick" / "a.wav"), str(tmp_path), str(tmp_path / "list.csv")])
    assert [item.path for item in found.items] == ["a.wav", "kick/b.wav"]
    assert [(one.item.path, one.reason) for one in found.left_out] == [
        ("kick/a.wav", "listed before; it is used once"),
        ("kick/../kick/a.wav", "listed before; it is used once"),
    ]


def test_antiphase_is_told_and_a_channel_taken_instead(tmp_path):
    left = hit()
    put(tmp_path / "in" / "anti.wav", wav(np.concatenate([left, -left], axis=1)))
    put(tmp_path / "in" / "nearly.wav", wav(np.concatenate([left, -0.8 * left], axis=1)))
    put(tmp_path / "in" / "fine.wav", wav(np.concatenate([left, 0.5 * hit(seed=1)], axis=1)))
    result = prepare(config(), [str(tmp_path / "in")], tmp_path / "mix")
    cancels = "its channels cancel: their mix is more than 6 dB below them; set config.preparation.channel to another"
    told = rows(result)
    assert told["anti.wav"]["skipped"][0]["reason"].startswith(f"silent: {cancels}")
    assert told["nearly.wav"]["kept"] == 1
    assert told["nearly.wav"]["notes"][0].startswith(cancels)
    assert "notes" not in told["fine.wav"]
    assert f"note: of 1 files: {cancels}" in summary(result)
    for channel in ("left", "right", "side", "louder"):
        result = prepare(config(channel=channel), [str(tmp_path / "in")], tmp_path / channel)
        assert result.counts.used == 3
        assert not result.counts.notes


@pytest.mark.parametrize("tail", [0, 20000], ids=["nothing", "silence"])
def test_what_is_too_short_for_a_sound_is_skipped_by_name(tmp_path, tail):
    silence = np.zeros((tail, 1), np.float32)
    for name, frames in (("click.wav", 1), ("4 ms.wav", 176), ("6 ms.wav", 265)):
        put(tmp_path / "in" / name, wav(np.concatenate([np.full((frames, 1), 0.5, np.float32), silence])))
    result = prepare(config(), [str(tmp_path / "in")], tmp_path / "out")
    told = rows(result)
    assert [path for path, row in told.items() if row["kept"]] == ["6 ms.wav"]
    reason = "the sound is shorter than 5 ms (config.slicing.min_seconds)"
    assert told["click.wav"]["skipped"][0]["reason"] == told["4 ms.wav"]["skipped"][0]["reason"] == reason
    short = {"kind": "one_shot", "min_seconds": 0.0}
    assert prepare(config(short), [str(tmp_path / "in")], tmp_path / "short").counts.used == 3


def test_damaged_files_are_named_and_no_word_lands_on_the_terminal(tmp_path, capfd):
    sound = np.tile(hit(), (5, 1))
    for kind in ("MP3", "OGG"):
        content = bytearray(encoded(sound, kind))
        content[len(content) // 2 : len(content) // 2 + 600] = bytes(600)
        put(tmp_path / "in" / f"damaged.{kind.lower()}", bytes(content))
    put(tmp_path / "in" / "cut.w64", encoded(sound, "W64", "PCM_16")[:40000])
    put(tmp_path / "in" / "good.wav")
    result = prepare(config(), [str(tmp_path / "in")], tmp_path / "out")
    reasons = {path: row["skipped"][0]["reason"] for path, row in rows(result).items() if not row["kept"]}
    assert sorted(reasons) == ["cut.w64", "damaged.mp3", "damaged.ogg"]
    assert all(reasons[name].startswith("unusable: is damaged: ") for name in ("damaged.mp3", "damaged.ogg"))
    assert reasons["cut.w64"].startswith("unusable: is truncated")
    assert capfd.readouterr().err == ""


@pytest.mark.smoke
def test_printable_text_is_one_line_of_unicode():
    odd = "a\nb\r\t\x85\u2028\udce9\ud800 \\ ü鼓"
    assert printable(odd) == "a\\nb\\r\\t\\x85\\u2028\\xe9\\ud800 \\ ü鼓"
    printable(odd).encode()
