"""Reconstruction metrics against their definitions in NumPy float64, on sounds with tails and offsets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.audio import phase
from drumgan_jax.audio.stft import Framing, stft
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.peaq import peaq
from drumgan_jax.evaluation.reconstruction import (
    centred_signal_to_noise,
    log_spectral_distance,
    mean_squared_error,
    multi_scale_spectral_loss,
    reconstruction_metrics,
    signal_to_noise,
)

RATE = 44100
SAMPLES = 30000


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Decaying sweeps and noise [4, samples], and the same after a small error, an offset, a filter and silence."""
    rng = np.random.default_rng(11)
    time = np.arange(SAMPLES) / RATE
    decay = np.exp(-time * np.array([[5.0], [12.0], [25.0], [8.0]]))
    tone = np.sin(2.0 * np.pi * np.array([[60.0], [180.0], [900.0], [4000.0]]) * time)
    sound = (0.5 * decay * (tone + 0.3 * rng.standard_normal((4, SAMPLES)))).astype(np.float32)
    decoded = sound + 1e-3 * rng.standard_normal(sound.shape).astype(np.float32)
    decoded[1] += 0.05
    decoded[2, 1:] = 0.5 * (sound[2, 1:] + sound[2, :-1])
    decoded[3] = 0.0
    return sound, decoded.astype(np.float32)


def magnitudes(sound: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)
    padded = np.pad(sound.astype(np.float64), n_fft // 2)
    return np.stack(
        [np.abs(np.fft.rfft(window * padded[s : s + n_fft])) for s in range(0, len(padded) - n_fft + 1, hop)]
    )


@pytest.mark.smoke
def test_waveform_distances_are_their_formulas(pair: tuple[np.ndarray, np.ndarray]) -> None:
    reference, decoded = (sound.astype(np.float64) for sound in pair)
    squared = np.mean((reference - decoded) ** 2, axis=1)
    np.testing.assert_allclose(mean_squared_error(*pair), squared, rtol=1e-5)

    def ratio(r: np.ndarray, d: np.ndarray) -> np.ndarray:
        return 10.0 * np.log10((np.sum(r**2, axis=1) + 1e-10) / (np.sum((r - d) ** 2, axis=1) + 1e-10))

    plain, centred = jax.jit(signal_to_noise)(*pair), jax.jit(centred_signal_to_noise)(*pair)
    np.testing.assert_allclose(plain, ratio(reference, decoded), rtol=0, atol=1e-4)
    means_off = [sound - sound.mean(axis=1, keepdims=True) for sound in (reference, decoded)]
    np.testing.assert_allclose(centred, ratio(*means_off), rtol=0, atol=1e-4)
    # An offset counts as noise in one and not in the other; silence in place of a sound is 0 dB.
    assert centred[1] > plain[1] + 20.0
    assert plain[3] == pytest.approx(0.0, abs=1e-4)


def test_signal_to_noise_of_equal_and_of_silent_sounds_is_finite() -> None:
    sound = np.full((1, 1000), 0.1, np.float32)
    assert signal_to_noise(sound, sound)[0] == pytest.approx(10.0 * np.log10(10.0 / 1e-10), abs=1e-3)
    assert signal_to_noise(0 * sound, 0 * sound)[0] == 0.0


def test_log_spectral_distance_is_its_definition(pair: tuple[np.ndarray, np.ndarray]) -> None:
    expected = [float64_metrics(*sounds)["log_spectral_distance"] for sounds in zip(*pair, strict=True)]
    np.testing.assert_allclose(jax.jit(log_spectral_distance)(*pair), expected, rtol=1e-5)
    # Twice the amplitude is 6 dB everywhere, so is the distance.
    noise = np.random.default_rng(0).standard_normal((1, 9000)).astype(np.float32)
    assert log_spectral_distance(noise, 2 * noise)[0] == pytest.approx(2.0 * np.log10(2.0), rel=1e-5)


def test_multi_scale_spectral_loss_is_its_definition(pair: tuple[np.ndarray, np.ndarray]) -> None:
    expected = [float64_metrics(*sounds)["multi_scale_spectral"] for sounds in zip(*pair, strict=True)]
    np.testing.assert_allclose(jax.jit(multi_scale_spectral_loss)(*pair), expected, rtol=1e-5)


@pytest.mark.smoke
def test_all_metrics_of_each_pair(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = reconstruction_metrics(*pair, RATE)
    assert all(value.shape == (4,) and value.dtype == np.float64 for value in found.values())
    framing = Framing(2048, 512)
    wanted = jnp.abs(stft(jnp.asarray(pair[0]), framing))
    convergence = phase.spectral_convergence(wanted, jnp.asarray(pair[1]), framing=framing)
    np.testing.assert_allclose(found["spectral_convergence"], convergence, rtol=1e-5)
    np.testing.assert_allclose(found["mse"], mean_squared_error(*pair), rtol=1e-6)
    np.testing.assert_allclose(found["snr_centred_db"], centred_signal_to_noise(*pair), rtol=0, atol=1e-4)
    graded = [peaq(a, b, RATE) for a, b in zip(*pair, strict=True)]
    assert graded[3].odg is None
    for i in range(3):
        assert (found["peaq_odg"][i], found["peaq_di"][i]) == (graded[i].odg, graded[i].di)
    np.testing.assert_array_equal(found["peaq_missing"], [len(grade.missing) for grade in graded])
    assert np.isnan(found["peaq_odg"][3])
    assert found["peaq_missing"][3] == 11


@pytest.mark.parametrize("samples", [700, 29000])
def test_sounds_of_every_length_are_measured_without_their_padding(
    pair: tuple[np.ndarray, np.ndarray], samples: int
) -> None:
    reference, decoded = (sound[:, :samples] for sound in pair)
    found = reconstruction_metrics(reference, decoded, RATE)
    expected: dict[str, list[float]] = {}
    for r, d in zip(reference.astype(np.float64), decoded.astype(np.float64), strict=True):
        for name, value in float64_metrics(r, d).items():
            expected.setdefault(name, []).append(value)
    for name, value in expected.items():
        tolerance = {"rtol": 0, "atol": 1e-4} if "snr" in name else {"rtol": 1e-5}
        np.testing.assert_allclose(found[name], value, **tolerance, err_msg=name)


def float64_metrics(r: np.ndarray, d: np.ndarray) -> dict[str, float]:
    noise = np.sum((r - r.mean() - d + d.mean()) ** 2)
    a, b = magnitudes(r, 2048, 512), magnitudes(d, 2048, 512)
    logarithms = np.log10(np.maximum(a**2, 1e-6)) - np.log10(np.maximum(b**2, 1e-6))
    scales = 0.0
    for n in (2048, 1024, 512, 256, 128, 64):
        at, bt = magnitudes(r, n, n // 4), magnitudes(d, n, n // 4)
        scales += np.abs(at - bt).mean() + np.abs(np.log(np.maximum(at, 1e-3) / np.maximum(bt, 1e-3))).mean()
    return {
        "mse": np.mean((r - d) ** 2),
        "snr_db": 10.0 * np.log10((np.sum(r**2) + 1e-10) / (np.sum((r - d) ** 2) + 1e-10)),
        "snr_centred_db": 10.0 * np.log10((np.sum((r - r.mean()) ** 2) + 1e-10) / (noise + 1e-10)),
        "log_spectral_distance": np.sqrt((logarithms**2).mean(axis=1)).mean(),
        "spectral_convergence": np.linalg.norm(b - a) / np.linalg.norm(a),
        "multi_scale_spectral": scales,
    }


def test_equal_sounds_have_no_distance(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = reconstruction_metrics(pair[0], pair[0], RATE)
    for name in ("mse", "log_spectral_distance", "spectral_convergence", "multi_scale_spectral"):
        np.testing.assert_allclose(found[name], 0.0, atol=1e-6, err_msg=name)
    assert (found["snr_db"] > 100.0).all()
    assert (found["peaq_odg"] > 0.0).all()


@pytest.mark.parametrize(
    ("reference", "decoded", "word"),
    [
        (np.zeros((2, 9)), np.zeros((2, 8)), r"\(2, 9\)"),
        (np.zeros(9), np.zeros(9), r"\[batch, samples\]"),
        (np.zeros((0, 9)), np.zeros((0, 9)), r"\(0, 9\)"),
        (np.zeros((2, 9)), np.array([[0.0] * 9, [0.0] * 8 + [np.nan]]), "decoded waveform 1"),
    ],
)
def test_waveforms_that_cannot_be_compared_are_refused(reference: np.ndarray, decoded: np.ndarray, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        reconstruction_metrics(reference, decoded, RATE)
