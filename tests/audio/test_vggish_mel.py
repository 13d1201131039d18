"""VGGish's front end against NumPy float64, written out from its definition."""

import numpy as np
import pytest

from drumgan_jax.audio.vggish_mel import vggish_log_mel
from drumgan_jax.core.errors import BadInput

WINDOW = 15_600


def reference(waveform):
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    count = 1 + (len(waveform) - 400) // 160
    frames = np.stack([waveform[160 * t : 160 * t + 400] * hann for t in range(count)])
    magnitude = np.abs(np.fft.rfft(frames, 512))
    mels = 1127 * np.log(1 + np.arange(257) * (16000 / 512) / 700)
    edges = np.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), 66)
    bands = np.zeros((257, 64))
    for band in range(64):
        lower, centre, upper = edges[band : band + 3]
        bands[:, band] = np.maximum(0, np.minimum((mels - lower) / (centre - lower), (upper - mels) / (upper - centre)))
    bands[0] = 0
    return np.log(magnitude @ bands + 0.01)


@pytest.mark.smoke
@pytest.mark.parametrize("sound", ["tones", "noise", "quiet noise", "click"])
def test_the_front_end_is_the_definition(sound):
    time = np.arange(WINDOW) / 16000
    waveform = {
        "tones": 0.6 * np.sin(2 * np.pi * 440 * time) + 0.3 * np.sin(2 * np.pi * 6000 * time),
        "noise": np.random.default_rng(0).uniform(-1, 1, WINDOW),
        "quiet noise": 1e-4 * np.random.default_rng(1).normal(size=WINDOW),
        "click": np.eye(1, WINDOW, 7000)[0],
    }[sound].astype(np.float32)
    patch = np.asarray(vggish_log_mel(waveform[None]))
    assert patch.shape == (1, 96, 64)
    expected = reference(waveform.astype(np.float64))
    # A float32 transform errs in proportion to its loudest bin; the logarithm of an empty band, where the offset of
    # 0.01 rules, shows that a hundredfold.
    bands = np.exp(expected)
    np.testing.assert_allclose(np.exp(patch[0].astype(np.float64)), bands, rtol=1e-6, atol=1e-7 * bands.max())
    np.testing.assert_allclose(patch[0], expected, rtol=0, atol=1e-3)


def test_silence_is_the_logarithm_of_the_offset():
    patch = np.asarray(vggish_log_mel(np.zeros((2, WINDOW), np.float32)))
    np.testing.assert_allclose(patch, -4.60517, atol=1e-5)


def test_windows_a_patch_apart_have_the_frames_of_the_whole_sound():
    waveform = np.random.default_rng(2).uniform(-1, 1, (1, WINDOW + 15_360)).astype(np.float32)
    windows = np.concatenate([waveform[:, :WINDOW], waveform[:, 15_360:]])
    whole = np.asarray(vggish_log_mel(waveform)).reshape(2, 96, 64)
    np.testing.assert_allclose(vggish_log_mel(windows), whole, rtol=0, atol=1e-5)


def test_less_than_a_frame_is_refused():
    with pytest.raises(BadInput, match="399 samples"):
        vggish_log_mel(np.zeros((1, 399), np.float32))
