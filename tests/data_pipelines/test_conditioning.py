"""Channels, levels, activity, and the running moments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumgan_jax.audio.files import Audio
from drumgan_jax.audio.recordings import held
from drumgan_jax.audio.signal import Signal
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines import conditioning
from drumgan_jax.data_pipelines.conditioning import Preparation, build_preparation, condition, pitched, to_mono
from drumgan_jax.data_pipelines.moments import Moments, merge_all

RATE = 22050


def tone(level, seconds=1.0):
    return (level * np.sin(2 * np.pi * 997 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.mark.smoke
def test_channels_are_mixed_or_picked():
    samples = np.stack([tone(0.5), tone(0.1), np.zeros(RATE, np.float32)], axis=1)
    audio = held(Audio(samples, RATE))
    np.testing.assert_allclose(to_mono(audio, "mix", RATE), samples.mean(1), atol=1e-7)
    np.testing.assert_array_equal(to_mono(audio, "1", RATE), samples[:, 1])
    assert len(to_mono(audio, "mix", 8000)) == 8000
    with pytest.raises(BadInput, match="no channel 3"):
        to_mono(audio, "3", RATE)


def test_long_recordings_are_shifted_in_parts_without_seams(monkeypatch):
    monkeypatch.setattr(conditioning, "_SHIFTED_PART", 1.0)
    sound = tone(0.5, 5.3)
    shifted = pitched(sound, RATE, 7.0)
    assert isinstance(shifted, Signal)
    assert len(shifted) == len(sound)
    shifted = shifted[:]
    # Of the one tone, at its new pitch; a seam would be a click, which the second difference shows.
    spectrum = np.abs(np.fft.rfft(shifted[RATE : 5 * RATE] * np.hanning(4 * RATE)))
    assert np.argmax(spectrum) / 4 == pytest.approx(997 * 2 ** (7 / 12), rel=2e-3)
    bend = np.abs(np.diff(shifted, 2))
    for second in range(1, 5):
        join = bend[second * RATE - 300 : second * RATE + 300]
        assert join.max() < 1.1 * bend[(second - 1) * RATE + 2000 : second * RATE - 2000].max()
    assert pitched(sound, RATE, 0.0) is sound
    monkeypatch.undo()
    assert isinstance(pitched(sound, RATE, 7.0), np.ndarray)


def test_levels():
    peak = condition(tone(0.05), RATE, Preparation(normalization="peak", level=-6.0))
    assert abs(np.abs(peak).max() - 10 ** (-6 / 20)) < 1e-6
    untouched = condition(tone(0.05), RATE, Preparation(normalization="none"))
    np.testing.assert_array_equal(untouched, tone(0.05))
    # A 997 Hz sine of full scale measures -3.01 LUFS (ITU-R BS.1770-4, 3).
    loud = condition(tone(0.05), RATE, Preparation(normalization="loudness", level=-20.0))
    assert abs(20 * np.log10(np.abs(loud).max()) - (-20 + 3.01)) < 0.1
    short = condition(tone(0.05, 0.1), RATE, Preparation(normalization="loudness", level=-20.0))
    assert abs(20 * np.log10(np.abs(short).max()) - (-20 + 3.01)) < 0.5
    limited = condition(tone(0.05), RATE, Preparation(normalization="loudness", level=0.0))
    assert abs(np.abs(limited).max() - 1) < 1e-6


def test_silence_and_too_little_activity_are_skipped():
    assert condition(tone(5e-4), RATE, Preparation()) == "silent"
    click = np.concatenate([tone(0.5, 0.1), np.zeros(round(0.9 * RATE), np.float32)])
    assert condition(click, RATE, Preparation(min_activity=0.2)) == "too little activity"
    assert isinstance(condition(click, RATE, Preparation(min_activity=0.05)), np.ndarray)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("channel", "centre"),
        ("normalization", "max"),
        ("level", 3.0),
        ("pitch_shifts", ()),
        ("pitch_shifts", (40.0,)),
        ("min_activity", 2.0),
        ("activity_db", 1.0),
        ("test_fraction", 1.0),
        ("split_by", "file"),
    ],
)
def test_settings_are_checked(setting, value):
    with pytest.raises(BadInput, match=f"config.preparation.{setting}"):
        build_preparation({setting: value})


def test_unknown_settings_are_told():
    with pytest.raises(BadInput, match="normalisation"):
        build_preparation({"normalisation": "peak"})


@pytest.mark.smoke
@settings(deadline=None, max_examples=30)
@given(
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    offset=st.sampled_from([0.0, 1e4]),
    shape=st.sampled_from([(1, 1, 1), (4, 1, 1), (1, 1, 2)]),
    seed=st.integers(0, 99),
)
def test_moments_are_those_of_float64(counts, offset, shape, seed):
    rng = np.random.default_rng(seed)
    arrays = [(offset + rng.normal(0, 2, (4, 7, 2))).astype(np.float32) for _ in range(sum(counts))]
    total = merge_all((Moments.of(array, shape) for array in arrays), shape)
    stored = Moments.from_json(total.to_json())
    everything = np.stack(arrays).astype(np.float64)
    axes = (0, *(1 + axis for axis, size in enumerate(shape) if size == 1))
    np.testing.assert_allclose(stored.mean, everything.mean(axes).reshape(shape), rtol=1e-12)
    np.testing.assert_allclose(stored.std, everything.std(axes).reshape(shape), rtol=1e-9)
    assert total.count == everything.size // np.prod(shape)
