"""The log-mel embedding and the distance on it order sounds as ears would."""

import librosa
import numpy as np
import pytest

from drumgan_jax.audio.representations import REPRESENTATIONS
from drumgan_jax.evaluation.log_mel import FLOOR, NUM_MELS, LogMelFrames, log_mel_frechet
from drumgan_jax.evaluation.suite import build_evaluator
from drumgan_jax.parts import build_part

RATE = 16000


def decaying_tones(count: int, low: float, high: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(8000) / RATE
    pitch, decay = rng.uniform(low, high, (count, 1)), rng.uniform(5, 30, (count, 1))
    return (0.8 * np.sin(2 * np.pi * pitch * time) * np.exp(-decay * time)).astype(np.float32)


def test_embedding_equals_librosas_mel_spectrogram() -> None:
    wave = decaying_tones(2, 100, 2000, 0)
    embedder = LogMelFrames(RATE)
    n_fft, hop = embedder.framing.n_fft, embedder.framing.hop_length
    window_sum = librosa.filters.get_window("hann", n_fft).sum()
    mel = librosa.feature.melspectrogram(
        y=wave, sr=RATE, n_fft=n_fft, hop_length=hop, power=1, n_mels=NUM_MELS, fmin=20, htk=True, norm=None
    )
    expected = np.log(mel / window_sum + FLOOR).transpose(0, 2, 1).reshape(-1, NUM_MELS)
    np.testing.assert_allclose(embedder.embed(wave), expected, atol=2e-3)


def test_distance_orders_near_far_and_noise() -> None:
    drums, others, bright = (decaying_tones(64, *spec) for spec in ((60, 200, 1), (60, 200, 2), (2000, 4000, 3)))
    noise = np.random.default_rng(4).standard_normal(drums.shape).astype(np.float32)
    near, far, farthest = (log_mel_frechet([drums], [fake], RATE) for fake in (others, bright, noise))
    assert near < 0.2 * far
    assert far < farthest


@pytest.mark.smoke
def test_evaluator_falls_to_zero_as_the_sampler_becomes_real() -> None:
    representation = build_part(
        REPRESENTATIONS, {"kind": "waveform", "sample_rate": RATE, "num_samples": 8000}, "representation"
    )
    real = decaying_tones(64, 60, 200, 1)
    evaluate = build_evaluator([real[:32], real[32:]], representation, 64)
    shown = iter([real[:32], real[32:]])
    assert evaluate(lambda count: next(shown))["log_mel/frechet"] == pytest.approx(0.0, abs=1e-3)
    assert evaluate(lambda count: 0.1 * real[:count])["log_mel/frechet"] > 1.0
