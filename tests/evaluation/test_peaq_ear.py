"""PEAQ's ear and patterns against the recommendation's formulas, written out in loops."""

import numpy as np
import pytest

from drumgan_jax.evaluation.peaq import ear, patterns

LOWER, CENTRE, UPPER = ear.band_edges()
BANDS = range(109)


def excitation(frames: int, channels: int = 1) -> np.ndarray:
    """Energies of both signals [2, channels, frames, bands] over the ear's whole range, the second near the first."""
    rng = np.random.default_rng(3)
    first = 10.0 ** rng.uniform(0.0, 8.0, (channels, frames, len(CENTRE)))
    return np.stack([first, first * 10.0 ** rng.normal(0.0, 0.3, first.shape)])


def factors(at_100_hz: float) -> list[float]:
    return [float(np.exp(-1024 / (48000 * (0.008 + 100 / CENTRE[k] * (at_100_hz - 0.008))))) for k in BANDS]


def test_bands_are_those_of_the_printed_table() -> None:
    assert len(LOWER) == len(CENTRE) == len(UPPER) == 109
    for band, printed in {
        0: (80.0, 91.708, 103.445),
        1: (103.445, 115.216, 127.023),
        28: (893.091, 912.959, 933.119),
        50: (2143.227, 2183.564, 2224.597),
        90: (9132.688, 9297.648, 9465.574),
        108: (17385.420, 17690.045, 18000.0),
    }.items():
        np.testing.assert_allclose((LOWER[band], CENTRE[band], UPPER[band]), printed, rtol=0, atol=3e-3)


@pytest.mark.smoke
def test_a_sine_at_full_scale_is_at_92_decibels() -> None:
    phase = 2.0 * np.pi * 1019.5 / 48000 * np.arange(2048)
    peak = ear.power_spectra(32768.0 * np.sin(phase)).max()
    assert 10.0 * np.log10(peak) == pytest.approx(92.0, abs=1e-3)


def test_window_is_a_hann_of_the_published_gain() -> None:
    gain = 10.0 ** (92.0 / 20.0) / (0.84971762641205 * 32768.0 / 4.0 * 2047)
    expected = [gain * 0.5 * (1.0 - np.cos(2.0 * np.pi * n / 2047)) for n in range(2048)]
    np.testing.assert_allclose(ear.window(), expected, rtol=1e-10, atol=1e-18)


def test_outer_ear_and_internal_noise_follow_their_formulas() -> None:
    for k in (1, 43, 150, 700, 1024):
        f = k * 48000 / 2048 / 1000
        decibels = -0.6 * 3.64 * f**-0.8 + 6.5 * np.exp(-0.6 * (f - 3.3) ** 2) - 1e-3 * f**3.6
        assert 10.0 * np.log10(ear.outer_ear()[k]) == pytest.approx(decibels, rel=1e-12)
    assert ear.outer_ear()[0] == 0.0
    np.testing.assert_allclose(10.0 * np.log10(ear.internal_noise()), 0.4 * 3.64 * (CENTRE / 1000) ** -0.8, rtol=1e-12)


def test_bins_are_divided_between_the_bands_they_lie_in() -> None:
    power = 10.0 ** np.random.default_rng(0).uniform(-3.0, 6.0, (2, 1025))
    width = 48000 / 2048
    expected = np.zeros((2, 109))
    for band in BANDS:
        for k in range(1025):
            shared = min((k + 0.5) * width, UPPER[band]) - max((k - 0.5) * width, LOWER[band])
            expected[:, band] += power[:, k] * max(shared, 0.0) / width
    np.testing.assert_allclose(ear.band_energies(power), expected, rtol=1e-11)
    assert ear.band_energies(np.ones(1025)).sum() == pytest.approx((18000 - 80) / width, rel=1e-12)
    np.testing.assert_array_equal(ear.band_energies(np.zeros(1025)), np.full(109, 1e-12))


def spread_by_definition(energies: np.ndarray) -> np.ndarray:
    """Equations 15 to 19 of the recommendation, each slope in dB."""
    total = np.zeros(109)
    for source in BANDS:
        upwards = -24.0 - 230.0 / CENTRE[source] + 2.0 * np.log10(energies[source])
        slope = [10.0 ** ((27.0 if k < source else upwards) * 0.25 * (k - source) / 10.0) for k in BANDS]
        total += (energies[source] * np.array(slope) / sum(slope)) ** 0.4
    return total**2.5


@pytest.mark.smoke
def test_spreading_is_the_sum_of_every_bands_slopes() -> None:
    energies = excitation(2)[0, 0]
    ones = spread_by_definition(np.ones(109))
    expected = np.stack([spread_by_definition(row) / ones for row in energies])
    np.testing.assert_allclose(ear.spread_excitation(energies), expected, rtol=1e-10)
    np.testing.assert_allclose(ear.spread_excitation(np.ones(109)), 1.0, rtol=1e-12)


def test_smearing_holds_on_to_what_was_louder() -> None:
    energies = excitation(12)[0, 0]
    expected, state, factor = np.empty_like(energies), np.zeros(109), factors(0.030)
    for t in range(len(energies)):
        for k in BANDS:
            state[k] = factor[k] * state[k] + (1.0 - factor[k]) * energies[t, k]
            expected[t, k] = max(state[k], energies[t, k])
    np.testing.assert_allclose(ear.smear(energies), expected, rtol=1e-11)


@pytest.mark.parametrize("louder", [0, 1])
def test_adaptation_matches_levels_and_then_patterns(louder: int) -> None:
    pair = excitation(6, channels=2)
    pair[louder] *= 30.0
    factor, expected = factors(0.050), np.empty_like(pair)
    for channel in range(2):
        p, ratio_sums, corrections = np.zeros((2, 109)), np.zeros((2, 109)), np.zeros((2, 109))
        for t in range(6):
            levelled = pair[:, channel, t].copy()
            for k in BANDS:
                p[:, k] = factor[k] * p[:, k] + (1.0 - factor[k]) * levelled[:, k]
            correlation = (sum(np.sqrt(p[0, k] * p[1, k]) for k in BANDS) / sum(p[1, k] for k in BANDS)) ** 2
            levelled[0 if correlation > 1.0 else 1] *= 1.0 / correlation if correlation > 1.0 else correlation
            ratios = np.empty((2, 109))
            for k in BANDS:
                ratio_sums[0, k] = factor[k] * ratio_sums[0, k] + levelled[1, k] * levelled[0, k]
                ratio_sums[1, k] = factor[k] * ratio_sums[1, k] + levelled[0, k] * levelled[0, k]
                across = ratio_sums[0, k] / ratio_sums[1, k]
                ratios[:, k] = (1.0, 1.0 / across) if across >= 1.0 else (across, 1.0)
            for k in BANDS:
                around = range(max(k - 3, 0), min(k + 4, 108) + 1)
                mean = sum(ratios[:, i] for i in around) / len(around)
                corrections[:, k] = factor[k] * corrections[:, k] + (1.0 - factor[k]) * mean
            expected[:, channel, t] = levelled * corrections
    np.testing.assert_allclose(patterns.adapted(pair), expected, rtol=1e-10)


def test_modulation_is_the_smoothed_change_over_the_smoothed_loudness() -> None:
    energies = excitation(7)[:, 0]
    change, average, previous = np.zeros((2, 109)), np.zeros((2, 109)), np.zeros((2, 109))
    modulated, averaged = patterns.modulation(energies)
    factor = np.array(factors(0.050))
    for t in range(7):
        loudness = energies[:, t] ** 0.3
        change = factor * change + (1.0 - factor) * 48000 / 1024 * np.abs(loudness - previous)
        average = factor * average + (1.0 - factor) * loudness
        previous = loudness
        np.testing.assert_allclose(modulated[:, t], change / (1.0 + average / 0.3), rtol=1e-10)
        np.testing.assert_allclose(averaged[:, t], average, rtol=1e-11)


def test_loudness_sums_the_bands_that_are_above_threshold() -> None:
    energies = excitation(2)[:, 0]
    expected = np.zeros((2, 2))
    for k in BANDS:
        threshold = 10.0 ** (0.364 * (CENTRE[k] / 1000) ** -0.8)
        index = 10.0 ** (0.1 * (-2 - 2.05 * np.arctan(CENTRE[k] / 4000) - 0.75 * np.arctan((CENTRE[k] / 1600) ** 2)))
        specific = (1 - index + index * energies[..., k] / threshold) ** 0.23 - 1
        expected += 24 / 109 * np.maximum(1.07664 * (threshold / (index * 1e4)) ** 0.23 * specific, 0.0)
    np.testing.assert_allclose(patterns.total_loudness(energies), expected, rtol=1e-11)
    assert patterns.total_loudness(np.zeros(109)) == 0.0
