"""PEAQ's eleven model output variables, from frames of both signals (BS.1387-1, annex 2, sections 4 and 5).

Where the recommendation is ambiguous, this follows Kabal ("An Examination and Interpretation of ITU-R BS.1387",
version 2, 2003); docs/peaq.md lists these choices. Arrays are float64.
"""

import dataclasses

import numpy as np

from drumgan_jax.evaluation.peaq import ear, patterns

# Frames left out at the beginning of the sound (delayed averaging), and after both signals have become audible.
START_UP_FRAMES = int(np.ceil(0.5 * ear.FRAMES_PER_SECOND))
ONSET_FRAMES = int(np.ceil(0.05 * ear.FRAMES_PER_SECOND))
AUDIBLE_SONE = 0.1

# Frames of the sliding window of WinModDiff1B, a tenth of a second.
WINDOW_FRAMES = int(0.1 * ear.FRAMES_PER_SECOND)

START_UP_VARIABLES = ("WinModDiff1B", "AvgModDiff1B", "AvgModDiff2B", "RmsNoiseLoudB")

# A bandwidth counts if the reference reaches above bin 346 (8.1 kHz); bins from 921 (21.6 kHz) give the noise floor.
_LEAST_BANDWIDTH = 346
_NOISE_FLOOR_FROM = 921

_LAGS = 256
_ENERGY_GATE = 8000.0

# Just noticeable step of excitation as a polynomial of the level in dB (section 4.7).
_STEP_POLYNOMIAL = (-0.198719, 0.0550197, -0.00102438, 5.05622e-6, 9.01033e-11)

_FRAMES_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class Spectra:
    """Spectral measures of each frame.

    Attributes:
        excitation: excitation after spreading, before smearing [2, channels, frames, bands].
        noise: energy of the magnitude difference [channels, frames, bands].
        bandwidth: bandwidths of both signals in bins [2, channels, frames]; NaN if the reference's is too small.
        harmonics: error harmonic structure [channels, frames]; NaN if both signals are too quiet.
    """

    excitation: np.ndarray
    noise: np.ndarray
    bandwidth: np.ndarray
    harmonics: np.ndarray


def spectra(signals: np.ndarray, frames: int) -> Spectra:
    """Measures of the first `frames` frames of 16-bit signals [2, channels, samples], zero-padded at the end."""
    length = (frames - 1) * ear.HOP + ear.FRAME
    padded = np.zeros((*signals.shape[:2], length))
    available = min(length, signals.shape[-1])
    padded[..., :available] = signals[..., :available]
    framed = np.lib.stride_tricks.sliding_window_view(padded, ear.FRAME, axis=-1)[..., :: ear.HOP, :]
    blocks = [_block(framed[:, :, k : k + _FRAMES_AT_ONCE]) for k in range(0, frames, _FRAMES_AT_ONCE)]
    axes = {"excitation": 2, "noise": 1, "bandwidth": 2, "harmonics": 1}
    return Spectra(**{name: np.concatenate([getattr(b, name) for b in blocks], axis) for name, axis in axes.items()})


def _block(framed: np.ndarray) -> Spectra:
    power = ear.power_spectra(framed)
    weighted = power * ear.outer_ear()
    difference = (np.sqrt(weighted[0]) - np.sqrt(weighted[1])) ** 2
    loud = (framed[..., ear.HOP :] ** 2).sum(-1).max(0) >= _ENERGY_GATE
    return Spectra(
        excitation=ear.spread_excitation(ear.band_energies(weighted) + ear.internal_noise()),
        noise=ear.band_energies(difference),
        bandwidth=_bandwidth(power),
        harmonics=np.where(loud, harmonic_structure(power), np.nan),
    )


def _bandwidth(power: np.ndarray) -> np.ndarray:
    """Bandwidths in bins [2, channels, frames] of power spectra [2, channels, frames, bins] (section 4.4)."""
    floor = power[1, ..., _NOISE_FLOOR_FROM : ear.FRAME // 2].max(-1, keepdims=True)
    bins = np.arange(1, _NOISE_FLOOR_FROM + 1)
    below = power[..., :_NOISE_FLOOR_FROM]
    reference = np.where(below[0] > 10.0 * floor, bins, 0).max(-1)
    within = bins <= reference[..., None]
    test = np.where((below[1] > np.sqrt(10.0) * floor) & within, bins, 0).max(-1)
    return np.where(reference > _LEAST_BANDWIDTH, np.stack([reference, test]).astype(np.float64), np.nan)


def harmonic_structure(power: np.ndarray) -> np.ndarray:
    """Error harmonic structure [...] of power spectra of reference and test [2, ..., bins] (section 4.8).

    The highest peak in the spectrum of the autocorrelation of the log ratio of the spectra: high if the error has a
    pitch. The mean is subtracted before the window is applied, a peak must exceed the value before it, and the bin at
    0 Hz counts as without error.
    """
    levels = np.maximum(power[..., : 2 * _LAGS - 1], ear.ENERGY_FLOOR)
    ratio = np.log(levels[1] / levels[0])
    # An offset is inaudible: the outer ear passes nothing at 0 Hz.
    ratio[..., 0] = 0.0
    first = np.fft.rfft(ratio[..., :_LAGS], 2 * _LAGS)
    both = np.conj(first) * np.fft.rfft(ratio, 2 * _LAGS)
    products = np.fft.irfft(both, 2 * _LAGS)[..., :_LAGS]
    energy = np.cumsum(np.pad(ratio**2, [(0, 0)] * (ratio.ndim - 1) + [(1, 0)]), axis=-1)
    norms = energy[..., _LAGS : _LAGS + 1] * (energy[..., _LAGS:] - energy[..., :_LAGS])
    # Equal spectra have no error; the constant correlation vanishes when its mean is subtracted.
    correlation = np.where(norms > 0.0, products / np.sqrt(np.where(norms > 0.0, norms, 1.0)), 1.0)
    hann = 0.5 * (1.0 - np.cos(2.0 * np.pi * np.arange(_LAGS) / (_LAGS - 1)))
    window = np.sqrt(8.0 / 3.0) / _LAGS * hann
    spectrum = np.abs(np.fft.rfft((correlation - correlation.mean(-1, keepdims=True)) * window)) ** 2
    return np.where(np.diff(spectrum) > 0.0, spectrum[..., 1:], 0.0).max(-1)


def output_variables(measured: Spectra, start: int) -> dict[str, float | None]:
    """The eleven variables by name; None if too few frames can be averaged.

    Args:
        measured: measures of all frames.
        start: first frame of the sound; earlier frames only let the filters settle.
    """
    smeared = ear.smear(measured.excitation)
    modulated, average = patterns.modulation(measured.excitation)
    noise_loudness = _noise_loudness(patterns.adapted(smeared), modulated)[:, start:]
    audible = np.any(np.all(patterns.total_loudness(smeared)[..., start:] > AUDIBLE_SONE, axis=0), axis=0)
    delay = max(0, START_UP_FRAMES - start)
    onset = int(audible.argmax()) + ONSET_FRAMES if audible.any() else len(audible)
    to_mask = measured.noise[:, start:] / _mask(smeared[0, :, start:])
    return {
        **_bandwidths(measured.bandwidth[..., start:]),
        "TotalNMRB": float(10.0 * np.log10(to_mask.mean((-2, -1))).mean()),
        **_modulation_differences(modulated[:, :, start:], average[0, :, start:], delay),
        **_detection(smeared[:, :, start:]),
        "EHSB": _mean_where_defined(1000.0 * measured.harmonics[:, start:]),
        "RmsNoiseLoudB": _rms(noise_loudness[:, max(delay, onset) :]),
        "RelDistFramesB": float((to_mask.max(-1) > 10.0**0.15).mean()),
    }


def _bandwidths(bins: np.ndarray) -> dict[str, float | None]:
    return {"BandwidthRefB": _mean_where_defined(bins[0]), "BandwidthTestB": _mean_where_defined(bins[1])}


def _mean_where_defined(values: np.ndarray) -> float | None:
    """Mean over the frames that are not NaN, then over the channels with such frames; None if there are none."""
    means = [channel[~np.isnan(channel)].mean() for channel in values if not np.isnan(channel).all()]
    return float(np.mean(means)) if means else None


def _rms(values: np.ndarray) -> float | None:
    return float(np.sqrt((values**2).mean(-1)).mean()) if values.shape[-1] else None


def _mask(excitation: np.ndarray) -> np.ndarray:
    """Masking threshold of smeared excitation (section 4.5): 3 dB lower, above 12 Bark 0.25 dB per Bark lower."""
    bark = ear.BAND_BARK * np.arange(excitation.shape[-1])
    return excitation * 10.0 ** (-0.1 * np.where(bark <= 12.0, 3.0, 0.25 * bark))


def _modulation_differences(modulated: np.ndarray, average: np.ndarray, delay: int) -> dict[str, float | None]:
    """WinModDiff1B, AvgModDiff1B and AvgModDiff2B (section 4.2).

    Args:
        modulated: modulation of both signals [2, channels, frames, bands].
        average: the reference's average loudness [channels, frames, bands].
        delay: frames to leave out.
    """
    reference, test = modulated[:, :, delay:]
    frames = reference.shape[-2]
    difference = test - reference
    first = 100.0 * (np.abs(difference) / (1.0 + reference)).mean(-1)
    penalised = np.where(difference >= 0.0, difference, -0.1 * difference)
    second = 100.0 * (penalised / (0.01 + reference)).mean(-1)
    audible = average[:, delay:]
    weight = (audible / (audible + 100.0 * ear.internal_noise() ** 0.3)).sum(-1)

    def weighted(values: np.ndarray) -> float | None:
        return float(((weight * values).sum(-1) / weight.sum(-1)).mean()) if frames else None

    windowed = None
    if frames >= WINDOW_FRAMES:
        roots = np.lib.stride_tricks.sliding_window_view(np.sqrt(first), WINDOW_FRAMES, axis=-1).mean(-1)
        windowed = _rms(roots**2)
    return {"WinModDiff1B": windowed, "AvgModDiff1B": weighted(first), "AvgModDiff2B": weighted(second)}


def _noise_loudness(adapted: np.ndarray, modulated: np.ndarray) -> np.ndarray:
    """Partial loudness of the additive error in sone [channels, frames] (section 4.3)."""
    (reference, test), noise = adapted, ear.internal_noise()
    reference_scale, test_scale = 0.15 * modulated + 0.5
    excess = np.maximum(test_scale * test - reference_scale * reference, 0.0)
    masking = noise + reference_scale * reference * np.exp(-1.5 * (test - reference) / reference)
    partial = (noise / test_scale) ** 0.23 * ((1.0 + excess / masking) ** 0.23 - 1.0)
    return 24.0 / len(noise) * partial.sum(-1)


def _detection(excitation: np.ndarray) -> dict[str, float | None]:
    """ADBB and MFPDB (section 4.7), from the more sensitive channel in each band.

    Args:
        excitation: smeared excitation [2, channels, frames, bands].
    """
    reference, test = 10.0 * np.log10(excitation)
    difference = reference - test
    level = 0.3 * np.maximum(reference, test) + 0.7 * test
    positive = np.maximum(level, 1e-6)
    polynomial = np.polynomial.polynomial.polyval(positive, _STEP_POLYNOMIAL)
    threshold = np.where(level > 0.0, 5.95072 * (6.39468 / positive) ** 1.71332 + polynomial, 1e30)
    slope = np.where(difference > 0.0, 4.0, 6.0)
    missed = 0.5 ** (np.abs(difference / threshold) ** slope)
    steps = np.abs(np.trunc(difference)) / threshold
    probability = 1.0 - missed.min(0).prod(-1)
    detected = probability > 0.5
    total_steps = steps.max(0).sum(-1)[detected].mean() if detected.any() else None
    # The recommendation's values if no frame, or no whole step, is detected.
    blocks = 0.0 if total_steps is None else float(np.log10(total_steps)) if total_steps > 0.0 else -0.5
    smoothed = ear.low_pass(probability[:, None], np.array([0.9]), 0.1)
    return {"ADBB": blocks, "MFPDB": float(smoothed.max())}
