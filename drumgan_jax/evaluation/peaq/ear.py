"""PEAQ's ear model: from frames of sound to excitation along the basilar membrane (BS.1387-1, annex 2, section 2.1).

This package is NumPy in float64: compiling for every length of sound would take longer than it saves (docs/peaq.md has
the figures). Arrays of bands end in [frames, bands].
"""

import functools

import numpy as np

SAMPLE_RATE = 48000
FRAME = 2048
HOP = 1024
FRAMES_PER_SECOND = SAMPLE_RATE / HOP

# Samples are 16-bit integers; a full-scale sine corresponds to 92 dB SPL.
FULL_SCALE = 32768.0
LEVEL_DB = 92.0
CALIBRATION_HZ = 1019.5

BAND_BARK = 0.25
LOWEST_HZ = 80.0
HIGHEST_HZ = 18000.0
ENERGY_FLOOR = 1e-12

# Exponent of the power law by which excitations of neighbouring bands add.
SPREADING_POWER = 0.4


def _to_bark(hz: float) -> float:
    return 7.0 * float(np.arcsinh(hz / 650.0))


def _to_hz(bark: np.ndarray) -> np.ndarray:
    return 650.0 * np.sinh(bark / 7.0)


@functools.cache
def band_edges() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower edges, centres and upper edges of the 109 bands in Hz, each [bands].

    By the formula (section 2.1.5). The printed table agrees with it except for a few misprints.
    """
    lowest, highest = _to_bark(LOWEST_HZ), _to_bark(HIGHEST_HZ)
    count = int(np.ceil((highest - lowest) / BAND_BARK))
    lower = lowest + BAND_BARK * np.arange(count)
    upper = np.minimum(lower + BAND_BARK, highest)
    return _to_hz(lower), _to_hz((lower + upper) / 2), _to_hz(upper)


def band_centres() -> np.ndarray:
    """Centres of the bands in Hz [bands]."""
    return band_edges()[1]


@functools.cache
def window() -> np.ndarray:
    """Hann window [FRAME], scaled so that a full-scale sine has 92 dB (section 2.1.3).

    The calibration sine of 1019.5 Hz falls between two bins; its peak is the window's transform at the nearer one.
    """
    length = FRAME - 1
    bin_hz = SAMPLE_RATE / FRAME
    offset = CALIBRATION_HZ / bin_hz - np.floor(CALIBRATION_HZ / bin_hz)
    distance = min(offset, 1.0 - offset) / FRAME * length
    peak = np.sin(np.pi * distance) / (np.pi * distance * (1.0 - distance**2))
    gain = 10.0 ** (LEVEL_DB / 20.0) / (peak * FULL_SCALE / 4.0 * length)
    return gain * 0.5 * (1.0 - np.cos(2.0 * np.pi * np.arange(FRAME) / length))


def power_spectra(frames: np.ndarray) -> np.ndarray:
    """Squared magnitudes [..., FRAME // 2 + 1] of frames [..., FRAME] of 16-bit samples."""
    spectrum = np.fft.rfft(frames * window())
    return spectrum.real**2 + spectrum.imag**2


@functools.cache
def outer_ear() -> np.ndarray:
    """Power gain of outer and middle ear at each bin [FRAME // 2 + 1] (section 2.1.4); zero at 0 Hz."""
    khz = np.arange(1, FRAME // 2 + 1) * (SAMPLE_RATE / FRAME / 1000.0)
    decibels = -2.184 * khz**-0.8 + 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) - 0.001 * khz**3.6
    return np.concatenate([[0.0], 10.0 ** (decibels / 10.0)])


@functools.cache
def _grouping() -> tuple[np.ndarray, np.ndarray]:
    """Bins that overlap each band, and the share of each bin inside the band, both [bands, bins of the widest band]."""
    lower, _, upper = band_edges()
    width = SAMPLE_RATE / FRAME
    first = np.floor(lower / width + 0.5).astype(int)
    widest = int(np.max(np.ceil(upper / width + 0.5) - first))
    bins = first[:, None] + np.arange(widest)
    above = np.minimum((bins + 0.5) * width, upper[:, None])
    below = np.maximum((bins - 0.5) * width, lower[:, None])
    return bins, np.maximum(above - below, 0.0) / width


def band_energies(power: np.ndarray) -> np.ndarray:
    """Energies in the bands [..., bands] of weighted power spectra [..., FRAME // 2 + 1] (section 2.1.5).

    A bin, 23.4 Hz wide, is divided between the bands that it overlaps.
    """
    bins, shares = _grouping()
    # A matrix product would be nearly all zeros, and would use every thread of the machine.
    return np.maximum(np.einsum("...bk,bk->...b", power[..., bins], shares), ENERGY_FLOOR)


@functools.cache
def internal_noise() -> np.ndarray:
    """Energy of the ear's own noise [bands] (section 2.1.6)."""
    return 10.0 ** (0.1456 * (band_centres() / 1000.0) ** -0.8)


def spread_excitation(energies: np.ndarray) -> np.ndarray:
    """Spread energies over neighbouring bands [..., bands] (section 2.1.7).

    The slope is 27 dB per Bark downwards, and 24 + 230 / f - 0.2 L dB per Bark upwards, flatter at high levels L.
    """
    return _spread_unscaled(energies) / _spread_of_ones()


@functools.cache
def _spread_of_ones() -> np.ndarray:
    return _spread_unscaled(np.ones_like(band_centres()))


def _spread_unscaled(energies: np.ndarray) -> np.ndarray:
    centres = band_centres()
    count = len(centres)
    down = 10.0 ** (-2.7 * BAND_BARK)
    up = 10.0 ** ((-2.4 - 23.0 / centres) * BAND_BARK) * energies ** (0.2 * BAND_BARK)
    index = np.arange(count)
    # Normalised so that each band spreads exactly its own energy.
    sum_down = (1.0 - down ** (index + 1)) / (1.0 - down)
    sum_up = (1.0 - up ** (count - index)) / (1.0 - up)
    source = (energies / (sum_down + sum_up - 1.0)) ** SPREADING_POWER
    total = source.copy()
    for band in range(count - 2, -1, -1):
        total[..., band] += down**SPREADING_POWER * total[..., band + 1]
    slope, arriving = up**SPREADING_POWER, source
    for steps in range(1, count):
        arriving = (arriving * slope[..., : count - steps + 1])[..., : count - steps]
        total[..., steps:] += arriving
    return total ** (1.0 / SPREADING_POWER)


def time_constants(at_100_hz: float, shortest: float) -> np.ndarray:
    """Decay factor per frame [bands] of a first-order low-pass filter (sections 2.1.8, 3.1, 3.2).

    Args:
        at_100_hz: time constant at 100 Hz, in seconds; it falls with frequency.
        shortest: time constant at high frequencies, in seconds.
    """
    seconds = shortest + (100.0 / band_centres()) * (at_100_hz - shortest)
    return np.exp(-1.0 / (FRAMES_PER_SECOND * seconds))


def low_pass(values: np.ndarray, factor: np.ndarray, gain: np.ndarray | float) -> np.ndarray:
    """First-order low-pass over frames [..., frames, bands], from zero: y[t] = factor * y[t - 1] + gain * values[t]."""
    out = np.empty_like(values)
    state = np.zeros_like(values[..., 0, :])
    scaled = gain * values
    for t in range(values.shape[-2]):
        state = factor * state + scaled[..., t, :]
        out[..., t, :] = state
    return out


def smear(excitation: np.ndarray) -> np.ndarray:
    """Excitation with forward masking in time [..., frames, bands] (section 2.1.8)."""
    factor = time_constants(0.030, 0.008)
    return np.maximum(low_pass(excitation, factor, 1.0 - factor), excitation)
