"""Beats and stretching, measured on synthesised loops of known tempo.

`python tests/data_pipelines/test_beats.py` prints the table.
"""

import numpy as np
import pytest
import soxr

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.patterns import GENRES
from drumgan_jax.data_pipelines import stretch, synthetic
from drumgan_jax.data_pipelines.beats import ANALYSIS_RATE, find_beats, loop_grid
from drumgan_jax.data_pipelines.downbeats import bar_starts

RATE = synthetic.SAMPLE_RATE


# Genres with strokes on every beat; in the others even listeners may count another tempo.
STEADY = ("house", "techno", "rock")
# Genres whose two halves of a bar are not alike.
ONE_SIDED = ("breakbeat", "half_time", "hip_hop")


def measure(count: int, bars: int, genres: tuple[str, ...], known: bool) -> dict[str, float]:
    """Errors of the beat of loops of known tempo or not that start at a random moment, over `count` loops."""
    tempo_errors, beat_errors, downbeats = [], [], []
    for index in range(count):
        samples, bpm = synthetic.bars(index, count=bars, genre=genres[index % len(genres)])
        skipped = round(np.random.default_rng(index).uniform(0, 1.5) * RATE)
        grid = find_beats(samples[skipped:], RATE, prior=bpm if known else 120.0, known=known)
        beats = grid.first + grid.period * np.arange(int((len(samples) - skipped) / RATE / grid.period))
        position = (beats + skipped / RATE) * bpm / 60
        assert grid.clarity > 3.5
        tempo_errors.append(abs(grid.tempo / bpm - 1))
        beat_errors.append(np.median(np.abs(position - np.round(position))) * 60 / bpm)
        downbeats.append(round((grid.first_downbeat + skipped / RATE) * bpm / 60) % 4 == 0)
    return {
        "tempo error, median, %": 100 * float(np.median(tempo_errors)),
        "tempo right within 0.1 %": float(np.mean(np.array(tempo_errors) < 1e-3)),
        "beat error, median, ms": 1000 * float(np.median(beat_errors)),
        "beats right within 20 ms": float(np.mean(np.array(beat_errors) < 0.02)),
        "downbeat right": float(np.mean(downbeats)),
    }


def test_beats_of_known_loops():
    errors = measure(12, 8, STEADY, known=False)
    assert errors["tempo error, median, %"] < 0.02
    assert errors["beat error, median, ms"] < 2
    assert errors["tempo right within 0.1 %"] >= 0.8  # The rest are octaves: half the tempo.
    assert errors["beats right within 20 ms"] >= 0.9


def test_downbeats_of_known_loops():
    errors = measure(12, 8, ONE_SIDED, known=True)
    assert errors["tempo right within 0.1 %"] == 1
    assert errors["downbeat right"] >= 0.9  # Chance is 0.25; bars whose halves are alike do not tell.


def test_the_likeliest_step_moves_with_the_music():
    samples, bpm = synthetic.bars(3, seed=9, count=4, bpm=120, genre="half_time")
    audio = soxr.resample(samples, RATE, ANALYSIS_RATE)
    step = 60 / bpm / 4
    for turned in (0, 3, 4, 10):
        rotated = np.roll(audio, round(turned * step * ANALYSIS_RATE))
        assert np.argmax(bar_starts(rotated, ANALYSIS_RATE, 0.0, step)) == turned


def test_other_meters_have_beats_too():
    samples, bpm = synthetic.bars(0, count=8, genre="rock")
    grid = find_beats(samples, RATE, bpm, known=True, meter=3)
    assert abs(grid.tempo / bpm - 1) < 1e-3
    assert grid.downbeat in range(3)


def test_a_known_tempo_keeps_its_octave():
    for index, bpm in enumerate((70, 100, 174)):
        samples, _ = synthetic.bars(index, count=8, bpm=bpm)
        grid = find_beats(samples, RATE, prior=float(bpm), known=True)
        assert abs(grid.tempo / bpm - 1) < 1e-3


def test_no_beat_in_noise_or_silence():
    noise = np.random.default_rng(0).normal(0, 0.1, 20 * RATE).astype(np.float32)
    for seconds in (5, 10, 20):
        assert find_beats(noise[: seconds * RATE], RATE, 120.0).clarity < 3.5
    assert find_beats(np.zeros(20 * RATE, np.float32), RATE, 120.0) is None
    assert find_beats(noise[: RATE // 2], RATE, 120.0) is None


def test_loop_grid_takes_whole_bars_only():
    assert loop_grid(4.0, 121.0, 4).tempo == 120
    assert loop_grid(4.5, 120.0, 4) is None
    assert loop_grid(0.5, 120.0, 4) is None


@pytest.mark.parametrize("speed", [0.9, 1.08, 1.25])
def test_stretching_keeps_beats_in_place_and_onsets_sharp(speed):
    period, hits = 0.5, 60
    sound = synthetic.one_shot("snare", 1)[:8000]
    samples = np.zeros(round(period * hits * RATE), np.float32)
    for hit in range(hits):
        start = round(hit * period * RATE)
        samples[start : start + len(sound)] += sound[: len(samples) - start]
    stretched = stretch.time_stretch(samples, RATE, speed)
    assert len(stretched) == round(len(samples) / speed)
    errors, rises = [], []
    for hit in range(1, hits - 1):
        window = np.abs(stretched[round((hit * period / speed - 0.05) * RATE) :][: round(0.15 * RATE)])
        onset, top = np.argmax(window > 0.1 * window.max()), np.argmax(window > 0.7 * window.max())
        errors.append(onset / RATE - 0.05)
        rises.append((top - onset) / RATE)
    assert np.max(np.abs(errors)) < 0.003
    assert abs(np.polyfit(np.arange(len(errors)) * period, errors, 1)[0]) < 5e-5, "a drift, in seconds a second"
    assert np.median(rises) < 0.002


def test_pitch_shift_moves_a_tone_and_keeps_the_length():
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    shifted = stretch.pitch_shift(tone, RATE, 3)
    assert len(shifted) == len(tone)
    peak = np.argmax(np.abs(np.fft.rfft(shifted[8192 : 8192 + 16384] * np.hanning(16384)))) * RATE / 16384
    assert abs(peak / (440 * 2 ** (3 / 12)) - 1) < 0.01
    assert stretch.pitch_shift(tone, RATE, 0) is tone


@pytest.mark.usefixtures("no_pedalboard")
def test_without_the_library_the_extra_is_named():
    with pytest.raises(BadInput, match=r"drumgan-jax\[stretch\]"):
        stretch.require()


if __name__ == "__main__":
    for genre in GENRES:
        for known in (False, True):
            for bars in (4, 8, 30):
                print(f"{genre}, {bars} bars, tempo {'' if known else 'un'}known")
                for name, value in measure(20, bars, (genre,), known).items():
                    print(f"  {name:<28} {value:.4g}")
