"""Files of two folders, compared by name."""

from pathlib import Path

import numpy as np
import pytest

from drumgan_jax.audio.files import write_audio
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.pairs import compare_pairs, unlike

RATE = 16000


def sound(seed: int, samples: int = 12000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.5 * rng.standard_normal(samples) * np.exp(-np.arange(samples) / 3000)


def test_means_are_of_the_pairs(tmp_path: Path) -> None:
    reference, decoded = tmp_path / "reference", tmp_path / "decoded"
    (reference / "below").mkdir(parents=True)
    (decoded / "below").mkdir(parents=True)
    for name, seed, level in (("a", 1, 0.01), ("below/b", 2, 0.1)):
        write_audio(reference / f"{name}.wav", sound(seed), RATE)
        write_audio(decoded / f"{name}.flac", sound(seed) + level * sound(seed + 10), RATE)
    write_audio(decoded / "alone.wav", sound(5), RATE)
    write_audio(reference / "c.wav", sound(3), RATE)
    write_audio(decoded / "c.wav", np.append(sound(3), np.zeros(100)), RATE)
    (reference / "d.wav").write_bytes(b"RIFF")
    write_audio(decoded / "d.wav", sound(4), RATE)
    for folder in (reference, decoded):
        (folder / "e.wav").write_bytes(b"RIFF")

    result = compare_pairs(reference, decoded, 100)
    assert sorted(result.files) == ["a", "below/b", "c"]
    # Half as loud a difference is 6 dB less noise.
    ratio = result.files["a"]["snr_db"] - result.files["below/b"]["snr_db"]
    assert ratio == pytest.approx(20.0, abs=1.0)
    assert result.files["c"]["mse"] == 0.0
    for name, figure in result.figures.items():
        values = [file[name] for file in result.files.values() if file[name] is not None]
        assert (figure.value, result.counts[name]) == (pytest.approx(np.mean(values)), len(values))
        assert figure.low <= figure.value <= figure.high
    told = " ".join(result.notes)
    assert "1 files have no file of the same name" in told
    assert "1 of 5 pairs differ in length" in told
    assert "2 of 5 pairs were left out: " in told
    for path in (reference / "d.wav", reference / "e.wav", decoded / "e.wav"):
        assert str(path) in told
    assert result.left_out == 1 + 2 * 2


def test_other_rates_are_resampled_to_the_references(tmp_path: Path) -> None:
    for name, rate in (("reference", RATE), ("decoded", 2 * RATE)):
        (tmp_path / name).mkdir()
        time = np.arange(rate) / rate
        write_audio(tmp_path / name / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time) * np.hanning(rate), rate)
    result = compare_pairs(tmp_path / "reference", tmp_path / "decoded", 1)
    assert result.files["a"]["snr_db"] > 40
    assert result.notes[0] == "1 of 1 decoded sounds were resampled to their reference's rate."


def test_nothing_to_compare(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_audio(tmp_path / name / f"{name}.wav", sound(1), RATE)
    with pytest.raises(BadInput, match="has the name of a file in"):
        compare_pairs(tmp_path / "a", tmp_path / "b", 10)
    write_audio(tmp_path / "a" / "a.flac", sound(1), RATE)
    with pytest.raises(BadInput, match="differ only in their extensions"):
        compare_pairs(tmp_path / "a", tmp_path / "b", 10)


def test_recordings_that_the_instrument_does_not_know_are_named() -> None:
    known, far, silent = ({"spectral_convergence": value} for value in (0.6, 1.4, None))
    assert unlike({"kick": known, "empty": silent}) == []
    (note,) = unlike({"kick": known, "speech": far, "noise": far})
    assert note.startswith("2 of 3 recordings are unlike what this instrument knows: speech, noise.")
    assert "a, b, c and others" in unlike(dict.fromkeys("abcde", far))[0]
