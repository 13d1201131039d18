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
    assert left_out.startswith(f"1 of 3 files in {tmp_path / 'sounds'} were left out; the first: ")
    assert "broken.wav" in left_out
    assert resampled.endswith("are resampled to 16000 Hz: 1 at 8000 Hz.")
    assert folder.notes([8000, 16000])[1].endswith("to 8000 and 16000 Hz: 1 at 8000 Hz, 1 at 16000 Hz.")
    assert open_folder(tmp_path / "sounds").files == folder.files
    assert folder.stream(2).count == 2


def test_folders_without_audio(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere is not a folder"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="has no audio; give a folder with WAV"):
        open_folder(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"no")
    with pytest.raises(BadInput, match=r"none of the 1 audio files .* can be read: .*a\.wav"):
        list(open_folder(tmp_path).stream().sounds)
