"""Descriptors of loops on loops whose rhythm is known."""

import numpy as np
import pytest

from drumgan_jax.audio.loop_descriptors import STEPS, UNITS, describe_loops

RATE = 22050
BAR = 2.0
STEP = BAR / STEPS


def clicks(steps: list[float], bar: float = BAR, bars: int = 1) -> np.ndarray:
    """Decaying noises at steps of each bar [samples]."""
    rng, step = np.random.default_rng(0), bar / STEPS
    samples = np.zeros(round(bars * bar * RATE) + RATE)
    for number in range(bars):
        for position in steps:
            start = round((number * STEPS + position) * step * RATE)
            samples[start : start + 1000] += rng.standard_normal(1000) * np.exp(-np.arange(1000) / 200)
    return samples[: round(bars * bar * RATE)]


def one(waveform: np.ndarray, bar: float | None = BAR) -> dict[str, float]:
    return {name: float(values[0]) for name, values in describe_loops(waveform[None], RATE, bar).items()}


@pytest.mark.parametrize("count", [1, 4, 8, 16])
def test_onsets_are_counted(count: int) -> None:
    steps = [float(step) for step in range(0, STEPS, STEPS // count)]
    assert one(clicks(steps))["onset_density"] == pytest.approx(count / BAR)


def test_louder_is_the_same_rhythm() -> None:
    loop = clicks([0, 3, 6, 10, 12])
    for name, value in one(10 * loop).items():
        assert value == pytest.approx(one(loop)[name], rel=1e-6), name


def test_syncopation_is_that_of_the_metrical_tree() -> None:
    assert one(clicks([0, 4, 8, 12]))["syncopation"] == 0
    assert one(clicks([0, 2, 4, 6, 8, 10, 12, 14]))["syncopation"] == 1 * 0
    # 0 none; 3 (-4) passes over 4 (-2): 2; 6 (-3) over 8 (-1): 2; 10 (-3) over 12 (-2) and the end: 1.
    assert one(clicks([0, 3, 6, 10]))["syncopation"] == pytest.approx((0 + 2 + 2 + 1) / 4)


@pytest.mark.parametrize("swing", [0.0, 0.2, 1 / 3])
def test_swing_is_the_delay_of_odd_steps(swing: float) -> None:
    steps = [step + swing * (step % 2) for step in range(STEPS)]
    assert one(clicks(steps))["swing"] == pytest.approx(swing, abs=0.03)


@pytest.mark.parametrize("tempo", [90.0, 120.0, 150.0])
def test_tempo_is_found_or_an_octave_of_it(tempo: float) -> None:
    found = one(clicks([0, 4, 8, 12], 240 / tempo, 3), None)
    octaves = np.log2(found["tempo"] / tempo)
    assert abs(octaves - round(octaves)) < 0.03
    assert found["syncopation"] == 0


@pytest.mark.parametrize(("hertz", "name"), [(60.0, "low_share"), (1000.0, "snare_share"), (8000.0, "hat_share")])
def test_shares_are_of_bands(hertz: float, name: str) -> None:
    tone = np.sin(2 * np.pi * hertz * np.arange(round(BAR * RATE)) / RATE)
    found = one(tone)
    assert found[name] > 0.98
    assert sum(found[share] for share in ("low_share", "snare_share", "hat_share")) == pytest.approx(1, abs=1e-6)


def test_a_low_pass_steepens_the_slope_by_its_decibels() -> None:
    noise = np.random.default_rng(0).standard_normal(round(BAR * RATE))
    spectrum, frequencies = np.fft.rfft(noise), np.fft.rfftfreq(len(noise), 1 / RATE)
    assert one(noise)["filter_slope"] == pytest.approx(0, abs=0.3)
    darker = np.fft.irfft(spectrum / np.maximum(frequencies, 20.0), len(noise))
    assert one(darker)["filter_slope"] == pytest.approx(-20 * np.log10(2), abs=0.5)


def test_silence_has_no_descriptors() -> None:
    silent = one(np.zeros(round(BAR * RATE)))
    assert silent.keys() == UNITS.keys()
    assert all(np.isnan(value) for value in silent.values())
