"""The classifiers' front ends against the same bands in NumPy float64."""

import jax
import numpy as np
import pytest

from drumgan_jax.audio.front_end import LogMelFrontEnd, MelFrontEnd
from drumgan_jax.audio.spectrograms import LogMel
from drumgan_jax.core.errors import BadInput

RATE, SAMPLES = 8000, 4096
FRONT_END = MelFrontEnd(sample_rate=RATE, num_samples=SAMPLES, n_fft=256, hop_length=128, num_mels=32)
LOG_MEL = LogMelFrontEnd(
    sample_rate=RATE, num_samples=SAMPLES, n_fft=256, hop_length=128, num_mels=32, mean=-1.0, std=1.5
)


def slaney_edges(low: float, high: float, count: int) -> np.ndarray:
    """Band edges in Hz, evenly spaced on Slaney's scale: linear to 1 kHz, then 27 steps to a factor of 6.4."""
    step = np.log(6.4) / 27
    mel = [hz * 3 / 200 if hz < 1000 else 15 + np.log(hz / 1000) / step for hz in (low, high)]
    mels = np.linspace(*mel, count)
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(step * (np.maximum(mels, 15) - 15)))


def reference(waveform: np.ndarray) -> np.ndarray:
    """Normalised bands [mel, frames] of one waveform, float64."""
    fe = FRONT_END
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fe.n_fft) / fe.n_fft)
    padded = np.pad(waveform.astype(np.float64), fe.n_fft // 2)
    starts = range(0, len(padded) - fe.n_fft + 1, fe.hop_length)
    spectra = np.stack([np.fft.rfft(padded[start : start + fe.n_fft] * window) for start in starts])
    power = np.abs(spectra) ** 2 * 4 / window.sum() ** 2
    edges = slaney_edges(fe.fmin, RATE / 2, fe.num_mels + 2)
    bins = np.arange(fe.n_fft // 2 + 1) * RATE / fe.n_fft
    bands = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        triangle = np.clip(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0, None)
        bands.append(power @ triangle * 2 / (high - low))
    level = 10 * np.log10(np.maximum(np.stack(bands), 10 ** (fe.floor_db / 10)))
    return (level - fe.mean) / fe.std


def log_mel_reference(waveform: np.ndarray) -> np.ndarray:
    """log10 of mel bands of magnitudes [mel, frames] of one waveform, before normalisation, float64."""
    fe = LOG_MEL
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fe.n_fft) / fe.n_fft)
    padded = np.pad(waveform.astype(np.float64), (fe.n_fft - fe.hop_length) // 2, mode="reflect")
    starts = range(0, len(padded) - fe.n_fft + 1, fe.hop_length)
    spectra = np.stack([np.fft.rfft(padded[start : start + fe.n_fft] * window) for start in starts])
    edges = slaney_edges(fe.fmin, RATE / 2, fe.num_mels + 2)
    bins = np.arange(fe.n_fft // 2 + 1) * RATE / fe.n_fft
    triangles = [
        np.clip(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0, None) * 2 / (high - low)
        for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False)
    ]
    return np.log10(np.maximum(np.stack(triangles) @ np.abs(spectra).T, fe.floor))


def sounds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    seconds = np.arange(SAMPLES) / RATE
    return {
        "tone": 0.5 * np.sin(2 * np.pi * 1234.5 * seconds),
        "noise": 0.2 * rng.standard_normal(SAMPLES),
        "hit": rng.standard_normal(SAMPLES) * np.exp(-30 * seconds),
        "silence": np.zeros(SAMPLES),
    }


@pytest.mark.smoke
def test_bands_equal_numpy() -> None:
    waveforms = sounds()
    bands = np.asarray(jax.jit(FRONT_END)(np.stack(list(waveforms.values())).astype(np.float32)))
    assert bands.shape == (4, *FRONT_END.shape)
    for found, (name, waveform) in zip(bands, waveforms.items(), strict=True):
        # A hundredth of a dB; where a tone leaves next to nothing, float32 transforms leave a little more.
        expected = reference(waveform.astype(np.float32))
        loud = expected > FRONT_END.silence + (2.0 if name == "tone" else 0.0)
        np.testing.assert_allclose(found[..., 0][loud], expected[loud], atol=0.01 / FRONT_END.std, err_msg=name)


def test_log_mel_bands_equal_numpy_and_are_what_the_representation_writes() -> None:
    waveforms = np.stack(list(sounds().values())).astype(np.float32)
    bands = np.asarray(jax.jit(LOG_MEL)(waveforms))
    assert bands.shape == (4, *LOG_MEL.shape) == (4, 32, SAMPLES // 128, 1)
    expected = np.stack([log_mel_reference(waveform) for waveform in waveforms])
    # Where a tone leaves next to nothing, float32 transforms leave a little more.
    loud = expected > -3.0
    np.testing.assert_allclose(bands[..., 0][loud], ((expected + 1.0) / 1.5)[loud], atol=5e-4)
    settings = {"sample_rate": RATE, "n_fft": 256, "hop_length": 128, "num_mels": 32, "num_frames": SAMPLES // 128}
    written = np.asarray(jax.jit(LogMel(**settings).transform)(waveforms))
    np.testing.assert_allclose(bands * 1.5 - 1.0, written, atol=1e-6)


def test_silence_is_the_floor_and_half_the_amplitude_six_decibels() -> None:
    noise = sounds()["noise"].astype(np.float32)
    loud, soft, silent = np.asarray(FRONT_END(np.stack([noise, noise / 2, 0 * noise])))
    assert np.all(silent == np.float32(FRONT_END.silence))
    np.testing.assert_allclose((loud - soft) * FRONT_END.std, 20 * np.log10(2), atol=1e-3)


def test_frequencies_rise_to_half_the_sample_rate() -> None:
    assert np.all(np.diff(FRONT_END.frequencies) > 0)
    assert FRONT_END.fmin < FRONT_END.frequencies[0] < FRONT_END.frequencies[-1] < RATE / 2


def test_unfit_sizes_are_told_in_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"takes \[batch, 4096\]"):
        FRONT_END(np.zeros((2, 4000), np.float32))
    with pytest.raises(BadInput, match="mel bands are too many"):
        MelFrontEnd(sample_rate=RATE, num_samples=SAMPLES, n_fft=64, hop_length=32, num_mels=128)
    with pytest.raises(BadInput, match=r"std is 0\.0; it must be a number above 0"):
        MelFrontEnd(sample_rate=RATE, num_samples=SAMPLES, std=0.0)
    settings = {"sample_rate": RATE, "num_samples": SAMPLES, "n_fft": 256, "hop_length": 128, "num_mels": 32}
    for changes, match in (
        ({"num_samples": SAMPLES + 1}, r"front_end.num_samples is 4097; it must be a multiple of hop_length 128"),
        ({"n_fft": 255}, r"front_end.n_fft is 255; it must be even"),
        ({"floor": 0.0}, r"front_end.floor is 0.0; it must be a number above 0"),
        ({"floor": "low"}, r"front_end.floor is 'low'; it must be a number"),
        ({"std": -1.0}, r"std is -1\.0; it must be a number above 0"),
    ):
        with pytest.raises(BadInput, match=match):
            LogMelFrontEnd(**{**settings, **changes})
