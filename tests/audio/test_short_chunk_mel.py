"""The short-chunk CNN's front end against NumPy float64, written out from its definition."""

import numpy as np

from drumgan_jax.audio.short_chunk_mel import decibel_mel


def test_decibel_mel_is_the_definition():
    waveform = np.random.default_rng(0).normal(size=(2, 5000)).astype(np.float32)
    waveform[1, 1000:] = 0
    padded = np.pad(waveform.astype(np.float64), ((0, 0), (256, 256)), mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    frames = np.stack([padded[:, 256 * t : 256 * t + 512] * hann for t in range(1 + 5000 // 256)], axis=1)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 130) / 2595) - 1)
    filters = np.zeros((257, 128))
    for band in range(128):
        lower, centre, upper = edges[band : band + 3]
        bins = np.arange(257) * 16000 / 512
        rising, falling = (bins - lower) / (centre - lower), (upper - bins) / (upper - centre)
        filters[:, band] = np.maximum(0, np.minimum(rising, falling))
    # The published network was trained with these, some of which are empty.
    assert (filters.max(axis=0) == 0).any()
    power = np.abs(np.fft.rfft(frames)) ** 2 @ filters
    expected = 10 * np.log10(np.maximum(power, 1e-10)).swapaxes(1, 2)
    found = np.asarray(decibel_mel(waveform))
    assert found.shape == (2, 128, 20)
    assert found.min() == -100
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
