"""`drumgan evaluate` of folders: every file's own distance, statistics, and files that are left out."""

import json
from pathlib import Path

import numpy as np
import pytest
from verbs import drumgan

from drumgan_jax.audio.files import write_audio
from drumgan_jax.data_pipelines.synthetic import one_shot

pytestmark = pytest.mark.usefixtures("unoptimized")
RATE = 44_100


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Snares on both sides, and a chord among the measured ones."""
    place = tmp_path_factory.mktemp("folders")
    for side, first in (("reference", 0), ("wavs", 100)):
        (place / side / "snares").mkdir(parents=True)
        for seed in range(first, first + 12):
            write_audio(place / side / "snares" / f"{seed:03d}.wav", one_shot("snare", seed), RATE)
    time = np.arange(2 * RATE) / RATE
    chord = sum(0.1 * np.sign(np.sin(2 * np.pi * hertz * time)) for hertz in (220.0, 277.2, 329.6))
    write_audio(place / "wavs" / "chord.wav", chord, RATE)
    return place


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path / "cache"))


def evaluate(wavs: Path, reference: Path | str, *arguments: str, status: int = 0) -> str:
    metrics = [] if any(one.startswith("--metrics") for one in arguments) else ["--metrics=fid:log_mel"]
    return drumgan("evaluate", f"--wavs={wavs}", f"--reference={reference}", *metrics, *arguments, status=status)


def test_an_alien_is_the_first_of_the_files(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    wavs, reference = folders / "wavs", folders / "reference"
    printed = evaluate(wavs, reference, "--per_song", f"--out={out}", "--metrics=fid:log_mel,fad:drums,kid:drums")
    report = json.loads(out.read_text())
    assert set(report["per_song"]) == {"fid/log_mel", "fad/drums"}
    for name, ranked in report["per_song"].items():
        assert f"{name} of each file" in printed
        assert [len(ranked), ranked[0]["sound"]] == [13, "chord.wav"]
        assert {one["sound"] for one in ranked[1:]} == {f"snares/{seed}.wav" for seed in range(100, 112)}
        distances = [one["distance"] for one in ranked]
        assert distances == sorted(distances, reverse=True)
    assert "sounds have one embedding and no covariance" in printed
    assert "name fid or fad in --metrics" in evaluate(wavs, reference, "--per_song", "--metrics=kid:drums", status=2)


def test_folders_of_classes_are_compared_at_one_mix(tmp_path: Path) -> None:
    for side, kicks, snares in (("reference", 8, 4), ("wavs", 4, 12)):
        for name, count in (("kick", kicks), ("snare", snares)):
            (tmp_path / side / name).mkdir(parents=True)
            for seed in range(count):
                sound = one_shot(name, seed + 100 * (side == "wavs"))
                write_audio(tmp_path / side / name / f"{seed}.wav", sound, RATE)
    wavs, reference = tmp_path / "wavs", tmp_path / "reference"
    said = evaluate(wavs, reference, status=2)
    assert "has kick 67 %, snare 33 % and" in said
    assert said.endswith(f"has kick 25 %, snare 75 %; add --same_mix, which leaves out files of {wavs}.")
    # 4 kicks, and 2 snares for them.
    out = tmp_path / "out.json"
    said = evaluate(wavs, reference, "--same_mix", f"--out={out}")
    assert f"6 of the 16 files of {wavs} have the mix; the others were left out." in said
    assert json.loads(out.read_text())["figures"]["fid/log_mel"]["samples"] == 6
    said = evaluate(wavs / "kick", reference, "--same_mix", status=2)
    assert "are not known, so --same_mix has no meaning; put the files of both in folders of the same classes" in said


def test_statistics_stand_for_the_folder(folders: Path, tmp_path: Path) -> None:
    out, written = tmp_path / "out.json", tmp_path / "statistics.npz"
    values = []
    for name in (str(written), "snares"):
        said = drumgan(
            "evaluate",
            f"--wavs={folders / 'reference'}",
            f"--save_statistics={name}",
            "--metrics=fid:log_mel,kid:drums",
        )
        assert "holds the statistics of 12 sounds by log_mel, 12 sounds by drums." in said
    for reference in (folders / "reference", written, "snares"):
        evaluate(folders / "wavs", reference, "--per_song", f"--out={out}")
        report = json.loads(out.read_text())
        assert report["reference"] == str(reference)
        values.append((report["figures"]["fid/log_mel"]["value"], report["per_song"]["fid/log_mel"][0]["distance"]))
    assert values[1] == values[2] == pytest.approx(values[0], rel=1e-9)
    assert "kid need the reference's embeddings" in evaluate(folders / "wavs", "snares", "--metrics=kid", status=2)
    assert "(there are: snares)" in evaluate(folders / "wavs", "kicks", status=2)
    assert "is neither a folder nor a file of statistics" in evaluate(folders / "wavs", tmp_path / "gone", status=2)


@pytest.mark.parametrize("bad", ["broken", "silent"])
def test_strict_fails_if_a_file_is_left_out(folders: Path, tmp_path: Path, bad: str) -> None:
    out, wavs, reference = tmp_path / "out.json", tmp_path / "wavs", folders / "reference"
    wavs.mkdir()
    for seed in range(4):
        write_audio(wavs / f"{seed}.wav", one_shot("snare", seed), RATE)
    assert "left out" not in evaluate(wavs, reference, "--strict")
    for name in ("x", "y"):
        if bad == "broken":
            (wavs / f"{name}.wav").write_bytes(b"RIFF")
        else:
            tone = 0.5 * np.sin(np.arange(RATE))
            write_audio(wavs / f"{name}.wav", np.stack([tone, -tone], axis=1), RATE)
    printed = evaluate(wavs, reference, f"--out={out}")
    assert all(str(wavs / f"{name}.wav") in printed for name in ("x", "y"))
    figure = json.loads(out.read_text())["figures"]["fid/log_mel"]
    assert (figure["samples"], figure["silent_sounds"]) == (4, 0 if bad == "broken" else 2)
    if bad == "silent":
        assert "2 of 6 measured sounds are silent" in printed
        assert printed.count("the channels cancel, so the mono mix (their mean) is silent") == 2
    out.unlink()
    said = evaluate(wavs, reference, "--strict", f"--out={out}", status=2)
    assert said.startswith("2 files were left out (see the notes), which --strict does not allow")
    # The figures are there all the same.
    assert json.loads(out.read_text())["figures"]["fid/log_mel"] == figure


def test_strict_counts_pairs_too(tmp_path: Path) -> None:
    for side in ("wavs", "reference"):
        (tmp_path / side).mkdir()
        write_audio(tmp_path / side / "a.wav", one_shot("snare", 1)[:8000], RATE)
    sides = (tmp_path / "wavs", tmp_path / "reference", "--metrics=reconstruction", "--strict")
    assert "peaq_odg" in evaluate(*sides)
    (tmp_path / "wavs" / "b.wav").write_bytes(b"RIFF")
    write_audio(tmp_path / "reference" / "b.wav", one_shot("snare", 2)[:8000], RATE)
    assert evaluate(*sides, status=2).startswith("2 files were left out")


def test_wrong_calls_are_one_sentence(folders: Path, tmp_path: Path) -> None:
    wavs, reference = f"--wavs={folders / 'wavs'}", f"--reference={folders / 'reference'}"
    for arguments in ([wavs], [reference], [wavs, reference, "--save_statistics=a"], ["--run=r", wavs, reference], []):
        said = drumgan("evaluate", *arguments, status=2)
        assert said == "give either --run, or --wavs with --reference or --save_statistics."
    for flag in ("--per_song", "--strict", "--save_statistics=a"):
        assert "are for folders: give --wavs" in drumgan("evaluate", "--run=r", flag, status=2)
    said = drumgan("evaluate", wavs, "--save_statistics=a", "--per_song", "--metrics=fid:log_mel", status=2)
    assert "--save_statistics measures nothing" in said
    (tmp_path / "silent").mkdir()
    write_audio(tmp_path / "silent" / "a.wav", np.zeros(8000), RATE)
    said = evaluate(tmp_path / "silent", folders / "reference", status=2)
    assert said.startswith(f"all 1 sounds are silent, such as {tmp_path / 'silent' / 'a.wav'}")
    one = tmp_path / "one"
    one.mkdir()
    write_audio(one / "a.wav", one_shot("snare", 1), RATE)
    assert "fid compares sets, and the measured side is one sound" in evaluate(one, folders / "reference", status=2)
