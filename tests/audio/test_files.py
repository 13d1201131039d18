"""Audio files: every format read as written, damaged ones refused in one sentence, writing whole or not at all."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from drumgan_jax.audio.files import read_audio, resample, write_audio
from drumgan_jax.audio.listing import AUDIO_SUFFIXES
from drumgan_jax.core.errors import BadInput


def tone(frames: int = 4000, channels: int = 2, sample_rate: int = 44100) -> np.ndarray:
    time = np.arange(frames)[:, None] / sample_rate
    return (0.5 * np.sin(2 * np.pi * (220.0 + 110.0 * np.arange(channels)) * time)).astype(np.float32)


def refused(path: Path) -> str:
    """The message with which the file is refused: one sentence that names it."""
    with pytest.raises(BadInput) as caught:
        read_audio(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("suffix", "subtype", "rate", "channels", "error"),
    [
        (".wav", "PCM_U8", 8000, 1, 2**-7),
        (".wav", "PCM_16", 22050, 2, 2**-15),
        (".wav", "PCM_24", 96000, 6, 2**-23),
        (".wav", "FLOAT", 192000, 1, 0.0),
        (".flac", "PCM_24", 96000, 6, 2**-23),
        (".aiff", "PCM_16", 11025, 2, 2**-15),
        (".ogg", "VORBIS", 44100, 2, 0.1),
        (".mp3", "MPEG_LAYER_III", 44100, 2, 0.1),
    ],
)
def test_formats_are_read_as_written(
    tmp_path: Path, suffix: str, subtype: str, rate: int, channels: int, error: float
) -> None:
    assert suffix in AUDIO_SUFFIXES
    path = tmp_path / f"sound{suffix}"
    samples = tone(8000, channels, rate)
    soundfile.write(path, samples, rate, subtype=subtype)
    audio = read_audio(path)
    assert (audio.sample_rate, audio.samples.dtype, audio.samples.shape) == (rate, np.float32, samples.shape)
    np.testing.assert_allclose(audio.samples, samples, rtol=0, atol=error)


@pytest.mark.parametrize("written", ["wav", "flac", "mp3", "ogg", "aiff"])
@pytest.mark.parametrize("named", ["wav", "flac", "mp3", "ogg", "aiff", "raw"])
def test_the_content_decides_not_the_ending(tmp_path: Path, written: str, named: str) -> None:
    truth = tmp_path / f"truth.{written}"
    soundfile.write(truth, tone(), 44100)
    path = tmp_path / f"named.{named}"
    path.write_bytes(truth.read_bytes())
    np.testing.assert_array_equal(read_audio(path).samples, read_audio(truth).samples)


def test_spaces_and_letters_of_any_script(tmp_path: Path) -> None:
    path = tmp_path / "большой барабан 大鼓 ü" / "snäre 1 (ドラム).wav"
    path.parent.mkdir()
    write_audio(path, tone(), 44100)
    assert read_audio(str(path)).samples.shape == (4000, 2)


def test_silence_is_read(tmp_path: Path) -> None:
    write_audio(tmp_path / "silence.wav", np.zeros(100), 44100)
    assert not read_audio(tmp_path / "silence.wav").samples.any()


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"cut{suffix}"
    # Noise, and long enough that every codec writes several of its blocks.
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, (60000, 2)), 44100)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "truncated" in refused(path) or "decoded" in refused(path)


def test_wav_of_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    soundfile.write(path, tone(), 44100, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    size = content.index(b"data") + 4
    content[size : size + 4] = content[4:8] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert read_audio(path).samples.shape == (4000, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    samples = tone()
    samples[1234, 1] = value
    soundfile.write(tmp_path / "bad.wav", samples, 44100, subtype="FLOAT")
    assert "NaN or infinite" in refused(tmp_path / "bad.wav")


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    assert "0 bytes" in refused(tmp_path / "empty.wav")
    (tmp_path / "text.mp3").write_text("not a sound\n" * 500)
    assert "decoded" in refused(tmp_path / "text.mp3")
    (tmp_path / "noise.flac").write_bytes(np.random.default_rng(0).bytes(20000))
    assert "decoded" in refused(tmp_path / "noise.flac")
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 2)), 44100)
    assert "no samples" in refused(tmp_path / "none.wav")
    assert "No such file" in refused(tmp_path / "missing.wav")
    assert "directory" in refused(tmp_path)
    soundfile.write(tmp_path / "slow.wav", tone(), 3)
    assert "3 Hz" in refused(tmp_path / "slow.wav")


@settings(max_examples=40, deadline=None)
@given(position=st.integers(0, 2000), value=st.integers(0, 255), suffix=st.sampled_from(["WAV", "FLAC", "AIFF", "OGG"]))
def test_a_damaged_byte_is_read_or_refused_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, suffix: str
) -> None:
    encoded = io.BytesIO()
    soundfile.write(encoded, tone(1000), 44100, format=suffix)
    content = bytearray(encoded.getvalue())
    content[position % len(content)] = value
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix.lower()}"
    path.write_bytes(content)
    try:
        audio = read_audio(path)
    except BadInput:
        return
    assert len(audio.samples)
    assert np.isfinite(audio.samples).all()


@pytest.mark.parametrize(("start", "end"), [(44100, 16000), (22050, 44100), (96000, 44100), (12345, 22050)])
def test_resampling_keeps_a_tone(start: int, end: int) -> None:
    samples = tone(start // 4, 2, start)
    resampled = resample(samples, start, end)
    assert resampled.dtype == np.float32
    expected = tone(len(resampled), 2, end)
    assert abs(len(resampled) - end / 4) <= 1
    middle = slice(len(expected) // 10, -len(expected) // 10)
    np.testing.assert_allclose(resampled[middle], expected[middle], rtol=0, atol=1e-3)


def test_resampling_edges() -> None:
    samples = tone(100, 1)
    assert resample(samples, 44100, 44100) is samples
    assert resample(samples[:1], 96000, 8000).shape == (1, 1)
    assert resample(samples[:, 0], 44100, 22050).shape == (50,)


@pytest.mark.parametrize("suffix", [".wav", ".FLAC"])
def test_written_files_have_24_bits_and_are_clipped(tmp_path: Path, suffix: str) -> None:
    waveform = np.array([0.25, -3.0, 2.0, 0.0])
    write_audio(tmp_path / f"out{suffix}", waveform, 22050)
    assert soundfile.info(tmp_path / f"out{suffix}").subtype == "PCM_24"
    audio = read_audio(tmp_path / f"out{suffix}")
    assert audio.sample_rate == 22050
    np.testing.assert_allclose(audio.samples[:, 0], [0.25, -1.0, 1.0, 0.0], rtol=0, atol=2**-22)
    assert os.listdir(tmp_path) == [f"out{suffix}"]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.wav"
    write_audio(path, tone(), 44100)
    before = path.read_bytes()
    write = Path.write_bytes

    def disk_is_full(self: Path, data: bytes) -> int:
        write(self, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_is_full)
    with pytest.raises(BadInput, match="No space left"):
        write_audio(path, tone() / 2, 44100)
    assert os.listdir(tmp_path) == ["out.wav"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "waveform", "rate", "word"),
    [
        ("out.mp3", np.zeros(10), 44100, "must end in"),
        ("out", np.zeros(10), 44100, "must end in"),
        ("out.wav", np.zeros(0), 44100, "empty"),
        ("out.wav", np.array([0.0, np.nan]), 44100, "NaN"),
        ("out.flac", np.zeros((10, 9)), 44100, "shape"),
        ("out.wav", np.zeros((2, 3, 4)), 44100, "shape"),
        ("out.wav", np.zeros(10), 0, "0 Hz"),
        ("missing/out.wav", np.zeros(10), 44100, "No such file"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, name: str, waveform: np.ndarray, rate: int, word: str
) -> None:
    with pytest.raises(BadInput, match=word):
        write_audio(tmp_path / name, waveform, rate)
    assert not os.listdir(tmp_path)
