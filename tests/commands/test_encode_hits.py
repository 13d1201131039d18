"""drumgan encode --hits: a loop is played by an instrument, hit by hit."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from verbs import drumgan

from drumgan_jax.audio.onsets import find_onsets
from drumgan_jax.data.patterns import SAMPLE_RATE, mix, strokes
from drumgan_jax.data_pipelines import synthetic

RATE = SAMPLE_RATE


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A folder of a bar of kicks and snares, a silent file and one that cannot be read; the times of the strokes."""
    folder = tmp_path_factory.mktemp("loops")
    rng = np.random.default_rng(0)
    kit = {voice: synthetic.one_shot(voice, 4) for voice in ("kick", "snare")}
    bar = [stroke for stroke in strokes("half_time", rng, 1, 110.0) if stroke.voice in kit]
    loop = mix(bar, kit, rng, round(240 / 110 * RATE))
    soundfile.write(folder / "bar.wav", 0.5 * loop / np.abs(loop).max(), RATE)
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder, np.array(sorted(stroke.start for stroke in bar))


def read(path: Path) -> np.ndarray:
    waveform, rate = soundfile.read(path)
    assert rate == RATE
    return waveform


def test_a_loop_its_hits_and_their_times_are_written(loops: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    folder, times = loops
    flags = ["--vary=0.4", "--count=2", "--direction=5"]
    said = drumgan("encode", "--hits", f"--audio={folder}", f"--out={tmp_path}", *flags)
    assert "2 of 3 files were left out" in said
    assert "level correlation" in said
    out = tmp_path / "0000_bar"
    saved = json.loads((out / "hits.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    np.testing.assert_allclose([hit["time"] for hit in saved["hits"]], times, atol=0.01)
    recording, loop = read(out / "recording.wav"), read(out / "loop.wav")
    assert len(loop) == len(recording) == saved["samples"]
    assert np.abs(find_onsets(loop.astype(np.float32), RATE)[None] - times[:, None]).min(axis=1).max() < 0.01
    for hit in saved["hits"]:
        start, original = round(hit["time"] * RATE), read(out / hit["original"])
        np.testing.assert_allclose(original, recording[start : start + len(original)], atol=1e-4)
        assert len(original) == round(hit["seconds"] * RATE)
        assert -60.0 < hit["level_db"] < 0.0
        assert read(out / hit["decoded"]).shape == (44_544,)
    assert len(json.loads((out / "decoded" / "latents.json").read_text())["sounds"]) == len(times)
    assert [one["direction"] for one in saved["variations"]] == [5, 6]
    assert min(one["agreement"]["in_time"] for one in saved["variations"]) > 0.5
    varied = [read(out / one["file"]) for one in saved["variations"]]
    assert {len(one) for one in varied} == {len(loop)}
    assert not np.allclose(varied[0], varied[1])
    assert saved["agreement"]["in_time"] == 1.0


def test_an_encoder_of_a_run_does_as_well(run: Path, loops: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    drumgan("encode", "--hits", f"--run={run}", f"--audio={loops[0] / 'bar.wav'}", f"--out={tmp_path}")
    saved = json.loads((tmp_path / "0000_bar" / "hits.json").read_text())
    assert saved["sample_rate"] == 8000
    assert saved["variations"] == []
    np.testing.assert_allclose([hit["time"] for hit in saved["hits"]], loops[1], atol=0.01)


def test_wrong_calls_are_one_sentence(loops: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    place = ["--hits", f"--out={tmp_path / 'out'}"]
    bar, silent = (f"--audio={loops[0] / name}.wav" for name in ("bar", "silent"))
    assert "leave one of them out" in drumgan("encode", *place, "--invert", bar, status=2)
    assert "silent.wav: the recording is silent; give one with hits." in drumgan("encode", *place, silent, status=2)
    assert not (tmp_path / "out").exists()
