"""Augmentation of recordings: each change against its formula, and what must stay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumgan_jax.audio.data_augmentation import DrumAugmentation, NoDataAugmentation, play_at_speed, tilted
from drumgan_jax.core.errors import BadInput

RATE, SAMPLES = 8_000, 2_048
NOTHING = {"speed_probability": 0.0, "decay_probability": 0.0, "tilt_probability": 0.0, "fade": 0.0}


def tone(frequency):
    return np.sin(2 * np.pi * frequency * np.arange(SAMPLES) / RATE).astype(np.float32)


@pytest.fixture
def sounds():
    noise = np.random.default_rng(0).normal(size=(4, SAMPLES)) * np.exp(-np.arange(SAMPLES) / 500)
    return (0.8 * noise / np.abs(noise).max(axis=1, keepdims=True)).astype(np.float32)


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


@settings(max_examples=10, deadline=None)
@given(semitones=st.floats(-3, 3), frequency=st.floats(100, 2_000))
def test_speed_changes_the_pitch_of_a_tone(semitones, frequency):
    speed = 2 ** (semitones / 12)
    played = np.asarray(play_at_speed(jnp.asarray(tone(frequency)), jnp.float32(speed)))
    positions = np.arange(SAMPLES) * speed
    inside = (positions > 10) & (positions < SAMPLES - 10)
    np.testing.assert_allclose(played[inside], np.sin(2 * np.pi * frequency * positions / RATE)[inside], atol=0.01)
    assert not played[positions > SAMPLES + 10].any()


@pytest.mark.parametrize("tilt", [-3.0, 0.0, 2.0])
def test_tilt_is_decibels_per_octave_around_1_khz(tilt):
    for frequency in (500, 1_000, 2_000):
        changed = np.asarray(tilted(jnp.asarray(tone(frequency)), jnp.float32(tilt), RATE))[500:1_500]
        level = 20 * np.log10(np.sqrt(np.mean(changed**2)) / np.sqrt(0.5))
        assert level == pytest.approx(tilt * np.log2(frequency / 1_000), abs=0.1)


def test_decay_is_an_exponential_of_a_rate_below_the_greatest(sounds):
    augmentation = DrumAugmentation(**{**NOTHING, "decay_probability": 1.0, "decay": 5.0})
    changed = np.asarray(augmentation(jnp.asarray(sounds), RATE, keys(4), None))
    seconds = np.arange(SAMPLES) / RATE
    for before, after in zip(sounds, changed, strict=True):
        loud = np.abs(before) > 1e-3
        slope, offset = np.polyfit(seconds[loud], np.log(np.abs(after[loud] / before[loud])), 1)
        assert -5.0 <= slope <= 0.0
        np.testing.assert_allclose(after[loud], before[loud] * np.exp(offset + slope * seconds[loud]), rtol=1e-3)


def test_the_peak_stays_and_the_end_fades(sounds):
    changed = np.asarray(DrumAugmentation(tilt_probability=0.5)(jnp.asarray(sounds), RATE, keys(4), None))
    np.testing.assert_allclose(np.abs(changed).max(axis=1), np.abs(sounds).max(axis=1), rtol=1e-5)
    assert np.abs(changed[:, -1]).max() < 1e-6
    assert np.abs(changed - sounds).max() > 0.01


def test_a_sound_depends_on_its_key_alone(sounds):
    augmentation = DrumAugmentation()
    whole = augmentation(jnp.asarray(sounds), RATE, keys(4), None)
    np.testing.assert_allclose(augmentation(jnp.asarray(sounds[2:3]), RATE, keys(4)[2:3], None)[0], whole[2], atol=1e-6)
    assert np.abs(augmentation(jnp.asarray(sounds), RATE, keys(4, seed=1), None) - whole).max() > 0.01


def test_without_changes_and_for_silence_nothing_happens(sounds):
    np.testing.assert_allclose(DrumAugmentation(**NOTHING)(jnp.asarray(sounds), RATE, keys(4), None), sounds, atol=1e-6)
    assert NoDataAugmentation()(sounds, RATE, keys(4), None) is sounds
    assert not np.asarray(DrumAugmentation()(jnp.zeros((2, SAMPLES)), RATE, keys(2), None)).any()


def test_layers_are_of_the_same_class_and_softer(sounds):
    augmentation = DrumAugmentation(**NOTHING, layer_probability=1.0, layer=-12.0)
    labels = np.eye(3, dtype=np.float32)[[0, 1, 0, 2]]
    changed = np.asarray(augmentation(jnp.asarray(sounds), RATE, keys(4), jnp.asarray(labels)))
    np.testing.assert_allclose(changed[[1, 3]], sounds[[1, 3]], atol=1e-6)
    for own, other in ((0, 2), (2, 0)):
        (kept, added), residual, *_ = np.linalg.lstsq(sounds[[own, other]].T, changed[own], rcond=None)
        assert residual < 1e-8
        assert -12.01 <= 20 * np.log10(added / kept) <= -5.99


def test_start_is_a_delay_of_whole_samples(sounds):
    changed = np.asarray(
        DrumAugmentation(**NOTHING, start_probability=1.0, start=0.01)(jnp.asarray(sounds), RATE, keys(4), None)
    )
    delays = [np.flatnonzero(row)[0] for row in changed]
    assert all(0 <= delay <= 80 for delay in delays)
    assert len(set(delays)) > 1
    for before, after, delay in zip(sounds, changed, delays, strict=True):
        np.testing.assert_allclose(after[delay:], before[: SAMPLES - delay], atol=1e-6)


def test_gain_lowers_the_peak_alone(sounds):
    augmentation = DrumAugmentation(**NOTHING, gain_probability=1.0, gain=20.0)
    changed = np.asarray(augmentation(jnp.asarray(sounds), RATE, keys(4), None))
    gains = np.abs(changed).max(axis=1) / np.abs(sounds).max(axis=1)
    assert len(np.unique(gains)) == 4
    assert all(0.1 <= gain <= 1.0 for gain in gains)
    np.testing.assert_allclose(changed, gains[:, None] * sounds, atol=1e-6)


def test_bad_settings_are_named():
    with pytest.raises(BadInput, match=r"config\.data_augmentation\.speed_probability is 2"):
        DrumAugmentation(speed_probability=2.0)
