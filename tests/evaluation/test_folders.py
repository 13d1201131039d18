"""Folders of audio as one side of a comparison."""

from pathlib import Path

import numpy as np
import pytest

from drumgan_jax.audio.files import write_audio
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.folders import open_folder


def fill(folder: Path) -> None:
    (folder / "below").mkdir(parents=True)
    write_audio(folder / "b.wav", np.full((100, 2), 0.5) * [1.0, 0.5], 16000)
    write_audio(folder / "below" / "a.flac", np.full(50, 0.25), 8000)
    (folder / "broken.wav").write_bytes(b"RIFF and nothing")
    (folder / "notes.txt").write_text("no audio")


def test_unreadable_files_are_left_out_and_told(tmp_path: Path) -> None:
    fill(tmp_path / "sounds")
    folder = open_folder(tmp_path / "sounds")
    stream = folder.stream()
    sounds = list(stream.sounds)
    assert stream.count == 3
    by_rate = {sound.sample_rate: sound for sound in sounds}
    assert {rate: len(sound.waveform) for rate, sound in by_rate.items()} == {16000: 100, 8000: 50}
    np.testing.assert_allclose(by_rate[16000].waveform, 0.375, atol=1e-6)
    left_out, resampled = folder.notes([16000])
    assert left_out.startswith(f"1 of 3 files in {tmp_path / 'sounds'} were left out: ")
    assert "broken.wav" in left_out
    assert resampled.endswith("are resampled to 16000 Hz: 1 at 8000 Hz.")
    assert folder.notes([8000, 16000])[1].endswith("to 8000 and 16000 Hz: 1 at 8000 Hz, 1 at 16000 Hz.")
    assert open_folder(tmp_path / "sounds").files == folder.files
    assert folder.stream(2).count == 2


def test_every_unreadable_file_is_named(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.full(50, 0.25), 8000)
    broken = [tmp_path / f"broken {number}.wav" for number in range(3)]
    for path in broken:
        path.write_bytes(b"RIFF")
    folder = open_folder(tmp_path)
    list(folder.stream().sounds)
    (note,) = folder.notes([8000])
    assert note.startswith(f"3 of 4 files in {tmp_path} were left out: ")
    assert all(str(path) in note for path in broken)
    assert folder.read == [tmp_path / "a.wav"]


@pytest.mark.parametrize("right", [-1.0, -0.9, -0.5, 0.0, 0.5, 1.0])
def test_channels_that_cancel_are_told(tmp_path: Path, right: float) -> None:
    left = np.random.default_rng(0).uniform(-0.5, 0.5, 4000)
    write_audio(tmp_path / "mono.wav", left, 8000)
    write_audio(tmp_path / "stereo.wav", np.stack([left, right * left], axis=1), 8000)
    folder = open_folder(tmp_path)
    sounds = {sound.name: sound.waveform for sound in folder.stream().sounds}
    np.testing.assert_allclose(sounds[str(tmp_path / "stereo.wav")], 0.5 * (1 + right) * left, atol=1e-6)
    if right >= 0.0:
        assert folder.notes([8000]) == []
        return
    # Level of the mix against that of both channels.
    lost = f"loses {10 * np.log10(2 * (1 + right**2) / (1 + right) ** 2):.1f} dB" if right > -1.0 else "is silent"
    (note,) = folder.notes([8000])
    assert note.startswith(f"{tmp_path / 'stereo.wav'}: the channels cancel, so the mono mix (their mean) {lost};")


def test_unrelated_channels_do_not_cancel(tmp_path: Path) -> None:
    write_audio(tmp_path / "wide.wav", np.random.default_rng(0).uniform(-0.5, 0.5, (4000, 2)), 8000)
    folder = open_folder(tmp_path)
    list(folder.stream().sounds)
    assert folder.cancelled == []


def test_folders_without_audio(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere is not a folder"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="has no audio; give a folder with WAV"):
        open_folder(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"no")
    with pytest.raises(BadInput, match=r"none of the 1 audio files .* can be read: .*a\.wav"):
        list(open_folder(tmp_path).stream().sounds)
