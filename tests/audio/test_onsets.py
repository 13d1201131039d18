"""Onsets of played patterns are where the strokes are; what does not strike has none."""

import numpy as np
import pytest

from drumgan_jax.audio.onsets import SHORTEST_GAP, find_onsets
from drumgan_jax.data.patterns import GENRES, SAMPLE_RATE, at_peak, complete, mix, strokes
from drumgan_jax.data_pipelines import synthetic

BPM = 96.0


def played(genre: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Kicks and snares of a procedural kit, a bar without hats, and the times at which they are struck."""
    rng = np.random.default_rng(seed)
    kit = complete({voice: synthetic.one_shot(voice, seed) for voice in ("kick", "snare")})
    kit = {voice: kit[voice] for voice in ("kick", "snare")}
    bar = [stroke for stroke in strokes(genre, rng, 1, BPM) if stroke.voice in kit]
    times = sorted(stroke.start for stroke in bar)
    return at_peak(mix(bar, kit, rng, round(240 / BPM * SAMPLE_RATE)), 0.9), np.array(times)


@pytest.mark.parametrize("genre", ["breakbeat", "half_time", "hip_hop", "rock", "dembow"])
def test_strokes_are_found_where_they_are_struck(genre: str) -> None:
    for seed in range(3):
        bar, times = played(genre, seed)
        apart = times[np.diff(times, prepend=-1.0) > SHORTEST_GAP]
        found = find_onsets(bar, SAMPLE_RATE)
        distances = np.abs(found[None] - apart[:, None]).min(axis=1)
        assert distances.max() < 0.01
        assert len(found) == len(apart)


def test_every_genre_is_played_without_onsets_that_are_no_strokes() -> None:
    for number, genre in enumerate(GENRES):
        rng = np.random.default_rng(number)
        kit = complete({voice: synthetic.one_shot(voice, number) for voice in ("kick", "snare", "tom")})
        bar = [stroke for stroke in strokes(genre, rng, 1, BPM) if stroke.voice in kit]
        times = np.array([stroke.start for stroke in bar])
        found = find_onsets(at_peak(mix(bar, kit, rng, round(240 / BPM * SAMPLE_RATE)), 0.9), SAMPLE_RATE)
        assert np.abs(found[:, None] - times[None]).min(axis=1).max() < 0.02


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_the_first_sample_and_any_rate(rate: int) -> None:
    click = np.zeros(rate, np.float32)
    for start in (0.0, 0.2, 0.27, 0.6):
        click[round(start * rate) : round((start + 0.01) * rate)] = 0.5
    np.testing.assert_allclose(find_onsets(click, rate), [0.0, 0.2, 0.27, 0.6], atol=0.003)


def test_what_does_not_strike_has_no_onset_but_where_it_begins() -> None:
    t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 220 * t).astype(np.float32)
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(t)).astype(np.float32)
    assert len(find_onsets(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)) == 0
    assert len(find_onsets((tone * t / 2).astype(np.float32), SAMPLE_RATE)) == 0
    for steady in (tone, noise):
        np.testing.assert_allclose(find_onsets(steady, SAMPLE_RATE), [0.0], atol=0.002)


def test_strokes_nearer_than_the_gap_are_one() -> None:
    rng = np.random.default_rng(0)
    burst = np.exp(-np.arange(2000) / 200) * rng.standard_normal(2000)
    flam = np.zeros(SAMPLE_RATE)
    for start in (0.3, 0.3 + 0.6 * SHORTEST_GAP):
        flam[round(start * SAMPLE_RATE) :][:2000] += burst
    assert len(find_onsets(flam.astype(np.float32), SAMPLE_RATE)) == 1
