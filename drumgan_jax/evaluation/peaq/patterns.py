"""PEAQ's pre-processing of excitation patterns: adaptation, modulation and loudness (BS.1387-1, annex 2, section 3).

Arrays are float64 and start with the two signals, reference and test: [2, channels, frames, bands].
"""

import functools

import numpy as np

from drumgan_jax.evaluation.peaq.ear import FRAMES_PER_SECOND, band_centres, low_pass, time_constants


@functools.cache
def _memory() -> np.ndarray:
    return time_constants(0.050, 0.008)


def adapted(excitation: np.ndarray) -> np.ndarray:
    """Excitation of both signals, each adapted to the other's level and long-term spectrum (section 3.1).

    Removes differences in level and timbre that a listener adapts to; faster errors remain.

    Args:
        excitation: smeared excitation [2, channels, frames, bands].
    """
    factor = _memory()
    reference, test = low_pass(excitation, factor, 1.0 - factor)
    correlation = (np.sqrt(reference * test).sum(-1, keepdims=True) / test.sum(-1, keepdims=True)) ** 2
    levelled = np.stack([excitation[0] / np.maximum(correlation, 1.0), excitation[1] * np.minimum(correlation, 1.0)])
    across = low_pass(levelled[0] * levelled[1], factor, 1.0)
    within = low_pass(levelled[0] ** 2, factor, 1.0)
    ratio = np.stack([np.minimum(across / within, 1.0), np.minimum(within / across, 1.0)])
    return levelled * low_pass(_band_average(ratio), factor, 1.0 - factor)


def _band_average(ratio: np.ndarray) -> np.ndarray:
    """Mean over the bands from three below to four above, clipped to the existing bands."""
    padded = np.pad(ratio, [(0, 0)] * (ratio.ndim - 1) + [(4, 4)])
    total = np.cumsum(padded, axis=-1)
    count = ratio.shape[-1]
    index = np.arange(count)
    present = np.minimum(index + 4, count - 1) - np.maximum(index - 3, 0) + 1
    return (total[..., 8:] - total[..., :count]) / present


def modulation(excitation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Modulation of the envelope in each band, and its average loudness, both shaped as `excitation` (section 3.2).

    Args:
        excitation: excitation before smearing [2, channels, frames, bands].
    """
    factor = _memory()
    loudness = excitation**0.3
    change = np.abs(np.diff(loudness, axis=-2, prepend=0.0)) * FRAMES_PER_SECOND
    average = low_pass(loudness, factor, 1.0 - factor)
    return low_pass(change, factor, 1.0 - factor) / (1.0 + average / 0.3), average


def total_loudness(excitation: np.ndarray) -> np.ndarray:
    """Loudness in sone [2, channels, frames] of smeared excitation (section 3.3)."""
    hz = band_centres()
    threshold = 10.0 ** (0.364 * (hz / 1000.0) ** -0.8)
    index = 10.0 ** ((-2.0 - 2.05 * np.arctan(hz / 4000.0) - 0.75 * np.arctan((hz / 1600.0) ** 2)) / 10.0)
    scale = 1.07664 * (threshold / (index * 1e4)) ** 0.23
    specific = scale * ((1.0 - index + index * excitation / threshold) ** 0.23 - 1.0)
    return 24.0 / len(hz) * np.maximum(specific, 0.0).sum(-1)
