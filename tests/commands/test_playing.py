"""The verbs that play a run: generate, encode, interpolate, explore; and the run as one packed file."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from verbs import CLASSES, drumgan, verb_alone

from drumgan_jax.commands.sounds import cuts
from drumgan_jax.core.weight_file import read_weights
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.load import FORMAT, load
from drumgan_jax.play.quality import encoder_rows

pytestmark = pytest.mark.usefixtures("unoptimized")
SAMPLES = 992
RATE = 8000


def read(path: Path) -> np.ndarray:
    waveform, rate = soundfile.read(path)
    assert rate == RATE
    assert waveform.shape == (SAMPLES,)
    return waveform


@pytest.fixture(scope="module")
def packed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "toy.npz"
    assert "of step 6, kick, snare." in drumgan("pack", f"--run={run}", f"--out={path}", "--step=last")
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of another rate, stereo, and longer than the instrument's; one that cannot be read, and one silent."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for name, length in (("a", 1900), ("b", 5000)):
        decaying = rng.standard_normal((length, 2)) * np.exp(-np.arange(length) / 400)[:, None]
        soundfile.write(folder / f"{name}.wav", 0.1 * decaying, 16000)
    (folder / "broken.wav").write_bytes(b"RIFF")
    soundfile.write(folder / "silent.wav", np.zeros(3000), 16000)
    return folder


def test_generate_with_soft_labels_and_noise_gain_and_again_from_w(run: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    drumgan("generate", f"--run={run}", f"--out={one}", "--count=2", "--label=kick=3,snare=1", "--noise_gain=0.5")
    drumgan("generate", f"--run={run}", f"--out={other}", f"--latents={one / 'latents.json'}")
    saved = json.loads((one / "latents.json").read_text())
    assert saved["noise"] == 0.5
    assert saved["sounds"][1]["labels"] == {"kick": 0.75, "snare": 0.25}
    assert saved == json.loads((other / "latents.json").read_text())
    for sound in saved["sounds"]:
        np.testing.assert_array_equal(read(one / sound["file"]), read(other / sound["file"]))
    # Noise may be another; all else is in the file.
    drumgan("generate", f"--run={run}", f"--out={other}", f"--latents={one / 'latents.json'}", "--nonoise")
    assert json.loads((other / "latents.json").read_text()) == {**saved, "noise": False}
    # A way keeps the noise of its ends.
    ends = [f"--a={one / 'latents.json'}", f"--b={one / 'latents.json'}:1"]
    drumgan("interpolate", f"--run={run}", *ends, f"--out={tmp_path / 'way'}", "--count=2")
    # Another program, whose sums may be rounded otherwise; another noise would be far off.
    np.testing.assert_allclose(read(tmp_path / "way" / "sound_0001.wav"), read(one / "sound_0001.wav"), atol=1e-5)
    assert json.loads((tmp_path / "way" / "latents.json").read_text())["noise"] == 0.5
    ends[1] = f"--b={other / 'latents.json'}"
    said = drumgan("interpolate", f"--run={run}", *ends, f"--out={tmp_path / 'way'}", status=2)
    assert "a was made with the noise 0.5 and b with False" in said
    for flag in ("--label=kick", "--truncation=1", "--seed=0", "--count=2"):
        said = drumgan(
            "generate", f"--run={run}", f"--out={other}", f"--latents={one / 'latents.json'}", flag, status=2
        )
        assert f"leave out {flag.split('=')[0]}." in said


def test_pack_makes_one_file_that_plays(packed: Path, tmp_path: Path) -> None:
    instrument = load(packed)
    assert instrument.label_names == CLASSES
    assert instrument.encoding is not None
    card = read_weights(packed, FORMAT, "an instrument").header["card"]
    assert (card["encoder"], card["vocoder"]) == (True, False)
    assert (card["step"], card["images"]) == (6, 48)
    assert "1 sounds" in drumgan("generate", f"--run={packed}", f"--out={tmp_path}", "--count=1", "--nonoise")
    said = drumgan("evaluate", f"--run={packed}", status=2)
    assert "compare it with a data set of its own length: give --data." in said


def test_encode_writes_both_sides_and_how_near_they_are(run: Path, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    place = [f"--run={run}", f"--audio={recordings}", f"--out={out}"]
    said = drumgan("encode", *place, "--vary=0.5", "--count=3", "--direction=7")
    assert "2 of 4 files were left out" in said
    assert "1 of 4 recordings are longer" in said
    names, instrument = ["0000_a", "0001_b"], load(run)
    report = json.loads((out / "reconstruction.json").read_text())
    assert set(report["files"]) == set(names)
    assert {"mse", "log_spectral_distance", "snr_db", "peaq_di", "peaq_odg"} <= set(report["files"]["0000_a"])
    for name in names:
        original, heard = read(out / "original" / f"{name}.wav"), read(out / "decoded" / f"{name}.wav")
        latents = instrument.encode_waveforms(original[None])
        # What is compared has not seen the last step, and what is heard has.
        decoded = np.clip(instrument.render(latents, finished=False).waveforms[0], -1.0, 1.0)
        assert report["files"][name]["mse"] == pytest.approx(np.mean(np.square(original - decoded)), rel=1e-3)
        np.testing.assert_allclose(heard, instrument.render(latents).waveforms[0], atol=1e-4)
        assert name in said
    assert len(json.loads((out / "decoded" / "latents.json").read_text())["sounds"]) == 2
    with Image.open(out / "grid.png") as grid:
        assert grid.size[0] > grid.size[1]
    varied = sorted(path.name for path in (out / "variations").glob("*.wav"))
    assert varied == sorted(f"{name}_{number:04d}.wav" for name in names for number in (7, 8, 9))
    assert not np.allclose(read(out / "variations" / varied[0]), read(out / "variations" / varied[1]))


def test_an_encoder_that_cannot_be_used_is_left_out_of_the_table(run: Path, tmp_path: Path) -> None:
    """As of one whose training has just begun, and one of another generator; a run without one has no such rows."""
    ground: Any = object()  # Nothing is measured.
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "encoder" / "checkpoints")
    rows, notes = encoder_rows(load(tmp_path / "run"), ground, "run", None)
    assert rows == {}
    assert notes == [
        f"the encoder's rows are left out: {tmp_path}/run/encoder has no complete checkpoint; give a run directory that"
        " training has saved to."
    ]
    other = dataclasses.replace(load(run), model="0" * 64)
    rows, (note,) = encoder_rows(other, ground, "run", None)
    assert note.startswith(f"the encoder's rows are left out: {run}/encoder is an encoder of another generator")
    shutil.rmtree(tmp_path / "run" / "encoder")
    assert encoder_rows(load(tmp_path / "run"), ground, "run", None) == ({}, [])


def test_a_missing_encoder_is_told_before_files_are_read(run: Path, recordings: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run, bare, ignore=shutil.ignore_patterns("encoder"))
    place = [f"--run={bare}", f"--out={tmp_path / 'out'}"]
    assert drumgan("encode", *place, f"--audio={recordings / 'broken.wav'}", status=2).startswith("this run has no enc")
    assert "no encoder" in drumgan("interpolate", *place, "--a=1", f"--b={recordings / 'broken.wav'}", status=2)


def test_encode_conditions_each_file_once(
    run: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []
    real = Instrument.preprocess
    monkeypatch.setattr(Instrument, "preprocess", lambda self, *audio: heard.append(audio) or real(self, *audio))
    found = lambda self, waveforms: self.draw([len(heard)])  # noqa: E731
    monkeypatch.setattr(Instrument, "invert_waveforms", found)
    done = []
    with verb_alone("encode") as verb, cuts():
        for inverted in (False, True):
            heard.clear()
            files = [recordings / "a.wav", recordings / "silent.wav"]
            names, originals, latents, _ = verb.encode_files(load(run), files, inverted, done.append)
            assert (names, len(originals), len(latents), len(heard)) == (["0000_a"], 1, 1, 2)
    assert done == [0, 1, 2] * 2


def test_interpolate_goes_from_a_recording_to_a_seed(run: Path, recordings: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    ends = [f"--a={recordings / 'a.wav'}", "--b=5", "--label_b=snare"]
    drumgan("interpolate", f"--run={run}", *ends, f"--out={out}", "--count=3", "--how=spherical")
    sounds = [read(path) for path in sorted(out.glob("*.wav"))]
    assert len(sounds) == 3
    assert not np.allclose(sounds[1], sounds[0])
    # The ends are sounds of their own: the same way back, from what was written of it.
    ends = [f"--a={out / 'latents.json'}:2", f"--b={out / 'latents.json'}"]
    drumgan("interpolate", f"--run={run}", *ends, f"--out={again}", "--count=2")
    np.testing.assert_array_equal(read(again / "sound_0000.wav"), sounds[2])
    np.testing.assert_array_equal(read(again / "sound_0001.wav"), sounds[0])


def test_explore_writes_components_by_amounts(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ["--components=2", "--amounts=-2,0,2", "--num_seeds=3", "--layers=0:2", "--label=kick"]
    said = drumgan("explore", f"--run={run}", f"--out={out}", *flags)
    assert {"brightness", "level", "decay", "pitch", "noisiness"} <= set(said.split())
    index = json.loads((out / "index.json").read_text())
    assert index["amounts"] == [-2.0, 0.0, 2.0]
    assert index["labels"] == {"kick": 1.0, "snare": 0.0}
    assert [one["component"] for one in index["components"]] == [0, 1]
    for one in index["components"]:
        assert [read(out / file).shape for file in one["files"]] == 3 * [(SAMPLES,)]
        assert 0.0 < one["share"] <= 1.0
        assert all(value is None or -1.0 <= value <= 1.0 for value in one["correlations"].values())
    assert index["components"][0]["files"] == [f"component_00_{amount}.wav" for amount in ("-2", "+0", "+2")]
    # Nothing is edited at amount 0, along any component.
    np.testing.assert_array_equal(read(out / "component_00_+0.wav"), read(out / "component_01_+0.wav"))
    with Image.open(out / "grid.png") as grid:
        assert grid.size[0] > 300


def test_wrong_calls_are_one_sentence(run: Path, packed: Path, recordings: Path, tmp_path: Path) -> None:
    out, place = f"--out={tmp_path / 'out'}", f"--run={run}"
    calls = {
        ("generate", place, out, "--label=kick=-1"): "negative",
        ("generate", place, out, "--noise_gain=1,2"): "noise gains do not fit",
        ("encode", place, out, f"--audio={recordings / 'silent.wav'}"): "silent.wav: the recording is silent",
        ("interpolate", place, out, "--a=1", f"--b={recordings / 'silent.wav'}"): "silent.wav: the recording is silent",
        ("interpolate", place, out, "--a=1", "--b=x.wav"): "--b is 'x.wav', neither a seed",
        ("explore", place, out, "--components=99"): "components, not 99",
    }
    for call, expected in calls.items():
        assert expected in drumgan(*call, status=2)
    # A packed instrument has the rounded parameters: its latents are not the run's.
    drumgan("generate", f"--run={packed}", f"--out={tmp_path / 'packed'}", "--count=1")
    said = drumgan("generate", place, out, f"--latents={tmp_path / 'packed' / 'latents.json'}", status=2)
    assert "is of another run or step" in said
    assert not (tmp_path / "out").exists()
