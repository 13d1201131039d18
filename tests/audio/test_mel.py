"""Mel filters: librosa's numbers; the way back: non-negative, close, better than the pseudo-inverse."""

import librosa
import numpy as np
import pytest

from drumgan_jax.audio.mel import mel_bands, mel_filterbank, mel_to_magnitude
from drumgan_jax.audio.stft import Framing, stft
from drumgan_jax.core.errors import BadInput


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "num_mels", "fmin", "fmax"),
    [(16000, 1024, 64, 0.0, 8000.0), (16000, 512, 64, 125.0, 7500.0), (44100, 2048, 128, 20.0, 20000.0)],
)
@pytest.mark.smoke
def test_filterbank_agrees_with_librosa(
    htk: bool, sample_rate: int, n_fft: int, num_mels: int, fmin: float, fmax: float
) -> None:
    expected = librosa.filters.mel(
        sr=sample_rate, n_fft=n_fft, n_mels=num_mels, fmin=fmin, fmax=fmax, htk=htk, norm=None if htk else "slaney"
    )
    filters = mel_filterbank(sample_rate, n_fft, num_mels, fmin, fmax, htk)
    assert filters.dtype == np.float32
    np.testing.assert_allclose(filters, expected, rtol=0, atol=1e-6 * expected.max())


def test_filterbank_is_made_once_and_cannot_be_written_to() -> None:
    filters = mel_filterbank(16000, 1024, 64, 0.0, 8000.0)
    assert mel_filterbank(16000, 1024, 64, 0.0, 8000.0) is filters
    with pytest.raises(ValueError, match="read-only"):
        filters[0, 0] = 1.0


def test_inversion_is_close_and_better_than_the_clipped_pseudo_inverse(sounds) -> None:
    filters = mel_filterbank(16000, 1024, 64, 0.0, 8000.0)
    magnitude = np.abs(stft(sounds(16000, 64 * 160), Framing(1024, 160, padding="reflect")))
    bands = mel_bands(magnitude, filters)
    back = np.asarray(mel_to_magnitude(bands, filters))
    assert back.min() >= 0.0

    def distance(estimate: np.ndarray, wanted: np.ndarray) -> float:
        return float(np.linalg.norm(estimate - wanted) / np.linalg.norm(wanted))

    assert distance(mel_bands(back, filters), bands) < 0.03
    pseudo_inverse = np.maximum(bands @ np.linalg.pinv(filters).T, 0.0)
    assert distance(back, magnitude) < distance(pseudo_inverse, magnitude)


def test_inversion_of_silence_is_silence() -> None:
    filters = mel_filterbank(16000, 512, 40, 100.0, 7000.0)
    assert not np.asarray(mel_to_magnitude(np.zeros((2, 3, 40), np.float32), filters)).any()


def test_impossible_filterbanks_are_refused() -> None:
    with pytest.raises(BadInput, match="fmax 9000"):
        mel_filterbank(16000, 512, 40, 0.0, 9000.0)
    with pytest.raises(BadInput, match="fmin 500"):
        mel_filterbank(16000, 512, 40, 500.0, 400.0)
    with pytest.raises(BadInput, match="128 mel bands"):
        mel_filterbank(16000, 256, 128, 0.0, 8000.0)
