"""Hits of a recording come back at their times and levels, played by any instrument that encodes."""

import dataclasses
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drumgan_jax.audio.files import read_audio
from drumgan_jax.audio.onsets import find_onsets
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.patterns import SAMPLE_RATE, at_peak, mix, strokes
from drumgan_jax.data_pipelines import synthetic
from drumgan_jax.latents.latents import Latents, Sounds
from drumgan_jax.play.hits import agreement, encode_hits, find_hits, put_back, transform
from drumgan_jax.play.load import load
from drumgan_jax.play.playable import Playable

BPM = 100.0
RATE, SAMPLES = SAMPLE_RATE, 12_000


@dataclasses.dataclass
class Echo:
    """An instrument whose w are the sounds themselves: at their trained level, late by `late` samples."""

    late: int = 0
    kind = "echo"
    sample_rate = RATE
    num_samples = SAMPLES

    def preprocess(self, audio: Any, sample_rate: int) -> np.ndarray:
        assert sample_rate == RATE
        padded = np.stack([np.pad(one, (self.late, SAMPLES))[:SAMPLES] for one in audio])
        return padded / np.abs(padded).max(axis=1, keepdims=True)

    def encode_waveforms(self, waveforms: np.ndarray) -> Latents:
        return Latents(np.zeros(len(waveforms), np.uint32), waveforms[:, None], None, None, None, "echo")

    def encode(self, audio: Any, sample_rate: int) -> Latents:
        return self.encode_waveforms(self.preprocess(audio, sample_rate))

    def render(self, latents: Latents) -> Sounds:
        return Sounds(latents.ws[:, 0], RATE, latents)


@pytest.fixture(scope="module")
def packaged() -> Playable:
    return load()


def pattern(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bar of kicks and snares, the times of its strokes, and their levels (RMS of the loudest 50 ms, in dB)."""
    rng = np.random.default_rng(seed)
    kit = {voice: synthetic.one_shot(voice, seed) for voice in ("kick", "snare")}
    bar = [stroke for stroke in strokes("breakbeat", rng, 1, BPM) if stroke.voice in kit]
    loop = at_peak(mix(bar, kit, rng, round(240 / BPM * RATE)), 0.9)
    times = np.array(sorted(stroke.start for stroke in bar))
    return loop, times, levels(loop, times)


def levels(loop: np.ndarray, times: np.ndarray) -> np.ndarray:
    width, found = round(0.05 * RATE), []
    for start, stop in zip(times, [*times[1:], len(loop) / RATE], strict=True):
        heard = loop[round(start * RATE) : round(stop * RATE)].astype(np.float64)
        found.append(np.convolve(heard**2, np.ones(width) / width, "valid").max())
    return 10 * np.log10(found)


@pytest.mark.parametrize("late", [0, 300])
def test_an_instrument_that_repeats_what_it_hears_gives_the_recording_back(late: int) -> None:
    loop, times, _ = pattern(1)
    made = transform(Echo(late), loop, RATE)
    assert made.loop.shape == loop.shape
    np.testing.assert_allclose(made.hits.times, times, atol=0.01)
    # Whatever an instrument adds before the attack, the sounds are where the hits were.
    for start, sound in zip(made.hits.starts, made.hits.sounds, strict=True):
        length = min(len(sound), SAMPLES - late)
        if start + length < len(loop) - 0.01 * RATE:
            np.testing.assert_allclose(made.loop[start : start + length], sound[:length], atol=2e-3)


@pytest.mark.parametrize("vary", [0.0, 0.5])
def test_the_packaged_instrument_plays_a_pattern_at_its_times_and_levels(packaged: Playable, vary: float) -> None:
    loop, times, wanted = pattern(2)
    made = transform(packaged, np.stack([loop, 0.5 * loop], axis=1), RATE, vary, direction=3)
    assert made.loop.shape == loop.shape
    assert made.loop.dtype == np.float32
    found = find_onsets(made.loop, RATE)
    assert np.abs(found[None] - times[:, None]).min(axis=1).max() < 0.01
    heard = levels(made.loop, times)
    # Loud strokes stay loud and soft ones soft: in the recording's order, where two differ by 1 dB or more.
    softer, louder = np.nonzero(wanted[None] - wanted[:, None] >= 1.0)
    assert len(softer) > 5
    assert (heard[louder] > heard[softer]).all()
    near = agreement(made.hits, made.loop)
    assert (near.hits, near.onsets, near.heard, near.in_time) == (*3 * [len(times)], 1.0)
    assert near.error_ms is not None
    assert near.error_ms < 10
    assert near.level_correlation is not None
    assert near.level_correlation > 0.95


def test_all_hits_vary_alike(packaged: Any) -> None:
    """One step for every hit, whatever it is, and another in another direction."""
    loop, _, _ = pattern(3)
    plain, one, other = (transform(packaged, loop, RATE, *how).sounds.latents.ws for how in ((), (0.5, 1), (0.5, 2)))
    steps = [ws - plain for ws in (one, other)]
    for step in steps:
        np.testing.assert_allclose(step, np.broadcast_to(step[:1], step.shape), atol=1e-4)
        assert np.linalg.norm(step[0]) > 0
    assert np.linalg.norm(steps[0][0] - steps[1][0]) > 0.1 * np.linalg.norm(steps[0][0])


def test_a_recorded_breakbeat_is_played_in_time(packaged: Any, recordings: Path) -> None:
    audio = read_audio(recordings / "drums" / "loops" / "sonic-pi" / "loop_breakbeat.flac")
    near = [agreement(made.hits, made.loop) for made in (transform(packaged, *audio, vary) for vary in (0.0, 0.3))]
    assert near[0].hits > 4
    assert min(one.in_time for one in near) >= 0.9
    assert min(one.level_correlation or 0.0 for one in near) > 0.9


def test_five_hundred_hits_are_no_trouble() -> None:
    rng = np.random.default_rng(0)
    burst = np.exp(-np.arange(3000) / 400) * rng.standard_normal(3000)
    starts = np.arange(500) * round(0.1 * RATE)
    loop = np.zeros(starts[-1] + 10_000, np.float32)
    for start in starts:
        loop[start : start + 3000] += rng.uniform(0.1, 0.3) * burst
    made = transform(Echo(), loop, RATE)
    assert len(made.hits) == 500
    near = agreement(made.hits, made.loop)
    assert (near.in_time, near.onsets) == (1.0, 500)
    assert near.level_correlation is not None
    assert near.level_correlation > 0.99


def test_a_hit_has_at_most_an_instruments_length_and_the_rate_is_the_instruments() -> None:
    sparse = np.zeros(3 * 22_050, np.float32)
    for start in (0, 22_050, 44_100):
        sparse[start : start + 15_000] = np.random.default_rng(start).standard_normal(15_000) * 0.1
    hits = find_hits(Echo(), sparse, 22_050)
    assert len(hits.recording) == 3 * RATE
    assert [len(sound) for sound in hits.sounds] == [SAMPLES] * 3
    np.testing.assert_allclose(hits.times, [0.0, 1.0, 2.0], atol=0.005)


def test_a_loud_sum_stays_within_full_scale_and_the_end_is_faded() -> None:
    loop, _, _ = pattern(1)
    hits = find_hits(Echo(), loop, RATE)
    ringing = Sounds(np.full((len(hits), SAMPLES), 0.9, np.float32), RATE, Echo().encode(hits.sounds, RATE))
    made = put_back(hits, ringing)
    assert np.abs(made).max() <= 10 ** (-0.3 / 20)
    assert made[-1] == 0.0


@pytest.mark.parametrize(
    ("audio", "rate", "match"),
    [
        (np.zeros(RATE, np.float32), RATE, "the recording is silent; give one with hits"),
        (1e-4 * np.ones(RATE, np.float32), RATE, "the recording is silent"),
        ((np.arange(RATE) / RATE * np.sin(np.arange(RATE) / 30)).astype(np.float32), RATE, "no onset was found"),
        (np.ones(900, np.float32), RATE, r"20\.4 ms long; give one of 30 ms or more"),
        (np.ones(10, np.float32), RATE, "0.2 ms long; give one of 5 ms"),
        (np.full(RATE, np.nan, np.float32), RATE, "NaN or infinite"),
        (np.ones(RATE, np.int16), RATE, "int16"),
        (np.ones(RATE, np.float32), 0, "rate of 0 Hz"),
    ],
)
def test_a_recording_without_hits_is_told(audio: np.ndarray, rate: int, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        transform(Echo(), audio, rate)


def test_what_an_instrument_cannot_do_is_told() -> None:
    loop, _, _ = pattern(1)
    with pytest.raises(BadInput, match="'echo' cannot vary sounds; leave the amount at 0"):
        transform(Echo(), loop, RATE, vary=0.5)
    hits = find_hits(Echo(), loop, RATE)
    one = Echo().render(Echo().encode(hits.sounds[:1], RATE))
    with pytest.raises(BadInput, match="1 sounds do not fit"):
        put_back(hits, one)
    with pytest.raises(BadInput, match="'mute' does not encode"):
        encode_hits(types.SimpleNamespace(kind="mute"), hits)
