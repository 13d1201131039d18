"""Recordings are brought to what a system was trained on, or refused in one sentence."""

from typing import Any

import numpy as np
import pytest
from instrument_cases import RATE, drum

from drumgan_jax.audio.files import Audio
from drumgan_jax.audio.recordings import held
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.conditioning import build_preparation, condition, to_mono
from drumgan_jax.data_pipelines.slicing import build_slicing
from drumgan_jax.latents import recordings
from drumgan_jax.latents.recordings import CutWarning, as_trained

SAMPLES = 800
CONFIG = {"preparation": {"normalization": "peak", "level": -6.0}}


def heard(audio: Any, rate: int = RATE, config: dict[str, Any] = CONFIG) -> np.ndarray:
    return as_trained(audio, rate, RATE, SAMPLES, config)


@pytest.mark.smoke
def test_a_recording_gets_length_level_rate_and_channel() -> None:
    plain = heard(drum())
    assert plain.shape == (1, SAMPLES)
    assert plain.dtype == np.float32
    assert np.abs(plain).max() == pytest.approx(10 ** (-6 / 20), rel=1e-5)
    np.testing.assert_array_equal(plain[0, 400:], 0.0)
    np.testing.assert_allclose(plain[0, :400], drum() * (plain.max() / drum().max()), rtol=1e-5)
    stereo = np.stack([drum(), 3 * drum()], axis=1)
    np.testing.assert_allclose(heard(stereo), plain, atol=1e-6)
    np.testing.assert_allclose(heard(drum(rate=32000), 32000), plain, atol=0.05)
    np.testing.assert_allclose(heard([drum(), 0.01 * drum()]), np.repeat(plain, 2, axis=0), atol=1e-6)


def test_the_level_is_the_trainings_and_the_start_is_kept() -> None:
    for config in ({}, {"preparation": {"normalization": "loudness", "level": -20.0}}):
        assert np.abs(heard(drum(), config=config)).max() == pytest.approx(10 ** (-1 / 20), rel=1e-5)
    unchanged = {"preparation": {"normalization": "none"}}
    np.testing.assert_allclose(heard(0.1 * drum(), config=unchanged)[0, :400], 0.1 * drum(), rtol=1e-5)
    assert np.abs(heard(10 * drum(), config=unchanged)).max() == 1.0
    late = np.concatenate([np.zeros(200, np.float32), drum()])
    np.testing.assert_array_equal(heard(late)[0, :200], 0.0)


def test_a_long_recording_is_cut_faded_and_told() -> None:
    long = np.sin(np.arange(2 * SAMPLES) / 5).astype(np.float32)
    with pytest.warns(CutWarning, match=r"the recording lasts 0.20 s, and this instrument's sounds 0.10 s"):
        cut = heard(long, config={**CONFIG, "slicing": {**ONE_SHOT, "pre_roll": 1.0}})
    ramp = np.arange(80, 0, -1) / 81
    np.testing.assert_allclose(cut[0, -80:], cut[0, 31] / long[31] * long[SAMPLES - 80 : SAMPLES] * ramp, atol=1e-5)


ONE_SHOT = {"kind": "one_shot", "onset_db": -30.0, "pre_roll": 0.003, "fade_in": 0.001, "fade_out": 0.01}


@pytest.mark.parametrize("rate", [RATE, 11025, 44100, 47999])
@pytest.mark.parametrize("silence", [0.0, 0.001, 0.7131])
@pytest.mark.parametrize("seconds", [0.05, 0.3])
@pytest.mark.filterwarnings("ignore::drumgan_jax.latents.recordings.CutWarning")
def test_one_shots_are_conditioned_as_in_preparing_data(rate: int, silence: float, seconds: float) -> None:
    rng = np.random.default_rng(0)
    sound = np.concatenate([np.zeros(round(silence * rate), np.float32), drum(seconds, rate)])
    floor = 1e-4 * rng.standard_normal(len(sound))
    audio = np.stack([sound + floor, 0.5 * sound - floor], axis=1).astype(np.float32)
    samples = to_mono(held(Audio(audio, rate)), "mix", RATE)
    (piece,) = build_slicing(ONE_SHOT).slices(samples, RATE, SAMPLES, None)
    expected = condition(piece.waveform, RATE, build_preparation(CONFIG["preparation"]))
    found = heard(audio, rate, {**CONFIG, "slicing": ONE_SHOT})[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_only_what_is_needed_of_a_long_recording_is_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths, real = [], recordings.resample
    monkeypatch.setattr(recordings, "resample", lambda x, *rates: lengths.append(len(x)) or real(x, *rates))
    minute = np.concatenate([np.zeros(30 * 16000, np.float32), drum(30.0, 16000)])
    with pytest.warns(CutWarning, match="lasts 30.00 s"):
        heard(minute, 16000, {**CONFIG, "slicing": ONE_SHOT})
    with pytest.warns(CutWarning, match="lasts 30.00 s"):
        heard(minute[30 * 16000 :], 16000, {**CONFIG, "slicing": {"kind": "loop"}})
    assert max(lengths) < 0.2 * 16000


def test_what_is_wrong_with_one_of_several_has_its_number() -> None:
    with pytest.raises(BadInput, match="recording 2 is silent"):
        heard([drum(), drum(), np.zeros(400, np.float32)])
    with pytest.raises(BadInput, match="recording 0 is int16"):
        heard([np.ones(400, np.int16), drum()])


@pytest.mark.parametrize(
    ("audio", "rate", "match"),
    [
        (np.zeros(400, np.float32), RATE, "silent"),
        (np.full(400, 1e-4, np.float32), RATE, "silent"),
        (np.full(400, np.nan, np.float32), RATE, "NaN or infinite"),
        (np.zeros(0, np.float32), RATE, "0.0 ms long"),
        (drum()[:30], RATE, "3.8 ms long; give one of 5 ms"),
        (np.ones(400, np.int16), RATE, "int16"),
        (np.ones((2, 400), np.float32), RATE, r"\(2, 400\); give \[samples\]"),
        (np.ones((2, 2, 2), np.float32), RATE, r"\(2, 2, 2\)"),
        ([], RATE, "no recording"),
        (drum(), 0, "rate of 0 Hz"),
        (drum(), 44100.5, "rate of 44100.5 Hz"),
    ],
)
def test_what_cannot_be_encoded_is_told(audio: Any, rate: Any, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        heard(audio, rate)
