"""The last step of every sound: what it removes, what it keeps, and that its limits hold."""

import numpy as np
import pytest
from scipy.signal import resample

from drumgan_jax.configs import drumgan_vst, pjloopgan
from drumgan_jax.play.finish import finish, true_peaks

RATE, SAMPLES = 22_050, 12_032
ONE_SHOTS = drumgan_vst.packaged().to_dict()
LOOPS = pjloopgan.tiny().to_dict()


def sounds(count, seed=0):
    """Noises and tones that start and end at once, of many levels and offsets."""
    random = np.random.default_rng(seed)
    seconds = np.arange(SAMPLES) / RATE
    tones = np.sin(2 * np.pi * random.uniform(40, 9_000, (count, 1)) * seconds + random.uniform(0, 6, (count, 1)))
    noises = random.normal(size=(count, SAMPLES))
    mixed = (tones + random.uniform(0, 1, (count, 1)) * noises) * np.exp(-seconds * random.uniform(0, 60, (count, 1)))
    return (mixed * 10 ** random.uniform(-2, 1, (count, 1)) + random.uniform(-0.2, 0.2, (count, 1))).astype(np.float32)


@pytest.mark.parametrize("count", [500, pytest.param(5_000, marks=pytest.mark.slow)])
def test_no_click_no_offset_no_clipping(count):
    finished = np.concatenate([finish(sounds(500, seed), RATE, ONE_SHOTS) for seed in range(count // 500)])
    assert finished.dtype == np.float32
    peaks = np.abs(finished).max(axis=1)
    assert not finished[:, 0].any()
    assert (np.abs(finished[:, -1]) < 0.01 * peaks).all()
    # A hundredth of the greatest offset before.
    assert np.abs(finished.mean(axis=1)).max() < 2e-3
    assert 20 * np.log10(true_peaks(finished).max()) <= -0.3 + 1e-4
    # All are at the level of the recordings, but for those whose true peak is higher.
    lowered = peaks < 10 ** (-1 / 20) - 1e-4
    assert lowered.mean() < 0.5
    np.testing.assert_allclose(true_peaks(finished[lowered]), 10 ** (-0.3 / 20), atol=1e-4)


def test_a_drum_stays_what_it_is():
    seconds = np.arange(SAMPLES) / RATE
    kick = np.sin(2 * np.pi * 60 * seconds) * np.exp(-seconds * 20) * np.minimum(1, seconds / 0.003)
    kick = (0.5 * kick / np.abs(kick).max()).astype(np.float32)
    finished = finish(kick[None], RATE, ONE_SHOTS)[0]
    assert np.corrcoef(kick, finished)[0, 1] > 0.99
    assert 20 * np.log10(np.abs(finished).max()) == pytest.approx(-1.0, abs=0.01)


def test_true_peaks_are_those_of_a_finer_sampling():
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=(3, 512)))
    spectrum[:, 200:] = 0
    random = np.fft.irfft(spectrum) * np.hanning(512)
    np.testing.assert_allclose(true_peaks(random), np.abs(resample(random, 512 * 16, axis=1)).max(axis=1), rtol=0.05)
    halfway = np.sin(2 * np.pi * np.arange(512) / 4 + np.pi / 4)[None] * np.hanning(512)
    assert np.abs(halfway).max() < 0.72
    assert true_peaks(halfway)[0] == pytest.approx(1.0, abs=0.02)


def test_loops_have_no_fades_and_silence_stays_silent():
    loop = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4_096) / 8_000 + 1.0).astype(np.float32)[None]
    finished = finish(loop, 8_000, LOOPS)
    gain = np.abs(finished).max() / np.abs(loop).max()
    np.testing.assert_allclose(finished[0, -20:], gain * loop[0, -20:], atol=0.05)
    assert not finish(np.zeros((2, 4_096), np.float32), 8_000, ONE_SHOTS).any()
