"""Descriptors of signals of which they are known."""

import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.audio.descriptors import UNITS, describe

RATE = 16000
SECONDS = np.arange(RATE // 2) / RATE


def of(*waveforms: np.ndarray) -> dict[str, np.ndarray]:
    """Descriptors of some waveforms of one length."""
    stacked = jnp.asarray(np.stack(waveforms), jnp.float32)
    return {name: np.asarray(values) for name, values in describe(stacked, RATE).items()}


@pytest.mark.smoke
def test_sines() -> None:
    hertz = np.asarray([50.0, 87.3, 220.0, 441.0, 930.0])
    found = of(*(0.5 * np.sin(2 * np.pi * f * SECONDS) for f in hertz))
    assert set(found) == set(UNITS)
    np.testing.assert_allclose(found["pitch"], hertz, rtol=0.01)
    np.testing.assert_allclose(found["brightness"], hertz, rtol=0.05, atol=5.0)
    np.testing.assert_allclose(found["level"], 20 * np.log10(0.5 / np.sqrt(2)), atol=0.05)
    assert (found["confidence"] > 0.95).all()
    assert (found["noisiness"] < 1e-3).all()


def test_the_stronger_of_two_tones_is_the_pitch_and_a_higher_one_makes_it_brighter() -> None:
    low, high = (np.sin(2 * np.pi * f * SECONDS) for f in (80.0, 3000.0))
    found = of(low, low + 0.5 * high, low + 2.0 * high)
    np.testing.assert_allclose(found["pitch"], 80.0, rtol=0.02)
    # Powers 1 and 0, 1 and 1/4, 1 and 4.
    np.testing.assert_allclose(found["confidence"], [1.0, 0.8, 0.2], atol=0.03)
    np.testing.assert_allclose(found["brightness"], [80.0, 80 + 0.2 * 2920, 80 + 0.8 * 2920], rtol=0.03)


def test_decay_is_that_of_exponentials_wherever_they_begin_and_however_loud() -> None:
    taus = np.asarray([0.01, 0.03, 0.06])
    carrier = np.random.default_rng(0).standard_normal(len(SECONDS))
    sounds = [np.exp(-SECONDS / tau) * np.sign(carrier) for tau in taus]
    # Energy e^(-2 t / tau): 1 % has come at -tau ln(0.99) / 2, and 1 % is left at -tau ln(0.01) / 2.
    expected = 0.5 * taus * np.log(0.99 / 0.01)
    np.testing.assert_allclose(of(*sounds)["decay"], expected, rtol=0.02)
    late = [0.01 * np.roll(np.where(SECONDS < 0.4, sound, 0.0), 1500) for sound in sounds]
    np.testing.assert_allclose(of(*late)["decay"], expected, rtol=0.02)


def test_noise_is_flat_and_has_no_pitch_to_trust() -> None:
    rng = np.random.default_rng(0)
    white = rng.standard_normal(len(SECONDS))
    found = of(0.1 * white, np.convolve(white, np.ones(16) / 16, "same"), 0.1 * white + np.sin(1000 * SECONDS))
    assert found["noisiness"][0] > 0.85
    assert found["noisiness"][0] > found["noisiness"][1]
    assert found["noisiness"][0] > 10 * found["noisiness"][2]
    assert found["confidence"][0] < 0.05
    np.testing.assert_allclose(found["level"][0], -20.0, atol=0.3)
    np.testing.assert_allclose(found["brightness"][0], RATE / 4, rtol=0.05)


def test_silence_constants_clicks_and_short_sounds_are_defined() -> None:
    click = np.eye(1, 300, 7)[0]
    found = of(np.zeros(300), np.full(300, 0.5), click, 1e-18 * click)
    assert all(np.isfinite(values).all() for values in found.values())
    assert {name: values[0] for name, values in found.items() if name != "level"} == dict.fromkeys(
        set(UNITS) - {"level"}, 0.0
    )
    assert found["level"][0] == pytest.approx(-120.0)
    assert found["decay"][2] == pytest.approx(0.0, abs=1e-6)
