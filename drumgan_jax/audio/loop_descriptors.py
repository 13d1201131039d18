"""Descriptors of loops: what a listener would say of a rhythm; NumPy in float64, one loop at a time.

Onsets are peaks of the spectral flux (Bello et al. 2005; Dixon 2006): rises of the logarithmic level summed over bands.
Steps are sixteenths of a bar that begins with the loop.
"""

import dataclasses

import numpy as np

# Units of the descriptors by name; empty for ratios.
UNITS = {
    "onset_density": "/s",
    "syncopation": "",
    "low_share": "",
    "snare_share": "",
    "hat_share": "",
    "filter_slope": "dB/octave",
    "swing": "steps",
    "tempo": "BPM",
}

STEPS = 16
_HOP_SECONDS = 0.005
_WINDOW_SECONDS = 0.025
_LOW, _SNARE, _HAT = (20.0, 150.0), (150.0, 5000.0), (5000.0, np.inf)
_SLOPE_FROM = 60.0
_FLOOR_DB = -60.0  # Below a loop's loudest bin, where a rise is noise.
_PEAK = 0.1  # Of the strongest peak, below which one is no onset.
_GAP_SECONDS = 0.04
# Weights of the metrical tree of 16 steps (Longuet-Higgins and Lee 1984).
_METRE = np.array([0, -4, -3, -4, -2, -4, -3, -4, -1, -4, -3, -4, -2, -4, -3, -4])
_TEMPI = (60.0, 200.0)
_USUAL_TEMPO, _OCTAVES = 120.0, 1.0  # Centre and width of the preference of listeners (Ellis 2007, section 3).
# Delay of an odd step's onset that still belongs to it, in steps.
_EARLIEST, _LATEST = -0.25, 0.5


@dataclasses.dataclass(frozen=True)
class _Onsets:
    """Times [onsets] in seconds and strengths [onsets] of onsets, and the flux [frames] that they are the peaks of."""

    times: np.ndarray
    strengths: np.ndarray
    flux: np.ndarray


def describe_loops(waveforms: np.ndarray, sample_rate: int, bar: float | None = None) -> dict[str, np.ndarray]:
    """All descriptors in UNITS by name, each [batch]; NaN where one cannot be measured, as in silence.

    onset_density: onsets per second. syncopation: mean over onsets of how much weaker the step of an onset is than the
    strongest step without one before the next onset (Longuet-Higgins and Lee 1984). low_share, snare_share, hat_share:
    shares of the energy below 150 Hz, from there to 5 kHz, and above. filter_slope: slope of the spectrum over the
    logarithm of the frequency (Peeters 2004, 6.1.4, in dB per octave): a low pass makes it steeper. swing: mean delay
    of onsets at odd steps; 0 is straight, a third triplets (as the swing ratio, Friberg and Sundstrom 2002). tempo: the
    strongest period of the flux, weighted by the preference for 120 BPM (Ellis 2007).

    Args:
        waveforms: [batch, samples].
        sample_rate: in Hz.
        bar: seconds of a bar; None to take four beats of the tempo.
    """
    described = [_describe(np.asarray(one, np.float64), sample_rate, bar) for one in waveforms]
    return {name: np.array([one[name] for one in described]) for name in UNITS}


def _describe(waveform: np.ndarray, sample_rate: int, bar: float | None) -> dict[str, float]:
    power, frequencies = _spectrogram(waveform, sample_rate)
    onsets = _onsets(power)
    tempo = _tempo(onsets.flux)
    step = (240 / tempo if bar is None else bar) / STEPS
    spectrum = power.sum(0)
    shares = [_share(spectrum, frequencies, band) for band in (_LOW, _SNARE, _HAT)]
    return {
        "onset_density": len(onsets.times) * sample_rate / len(waveform) if power.any() else np.nan,
        "syncopation": _syncopation(onsets.times, step),
        "low_share": shares[0],
        "snare_share": shares[1],
        "hat_share": shares[2],
        "filter_slope": _slope(spectrum, frequencies),
        "swing": _swing(onsets, step),
        "tempo": tempo,
    }


def _spectrogram(waveform: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Power [frames, bins] of windows centred on multiples of the hop, and the bins' frequencies [bins] in Hz."""
    hop, window = round(_HOP_SECONDS * sample_rate), 2 * round(_WINDOW_SECONDS * sample_rate / 2)
    padded = np.pad(waveform, window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    spectra = np.fft.rfft(frames * np.hanning(window + 2)[1:-1], axis=1)
    return np.square(np.abs(spectra)), np.fft.rfftfreq(window, 1 / sample_rate)


def _onsets(power: np.ndarray) -> _Onsets:
    if not power.any():
        return _Onsets(np.zeros(0), np.zeros(0), np.zeros(len(power)))
    level = np.maximum(10 * np.log10(np.maximum(power / power.max(), 1e-12)), _FLOOR_DB)
    # Over two frames, because a window smears an attack over several.
    flux = np.maximum(np.diff(np.pad(level, ((2, 0), (0, 0)), constant_values=_FLOOR_DB), axis=0), 0)
    flux = (flux[1:] + flux[:-1]).mean(1)
    reach = round(_GAP_SECONDS / _HOP_SECONDS)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(flux, reach), 2 * reach + 1)
    # The first of equals, so that a plateau is one onset.
    peaks = np.flatnonzero((flux >= _PEAK * flux.max()) & (np.argmax(around, axis=1) == reach))
    return _Onsets(peaks * _HOP_SECONDS, flux[peaks], flux)


def _tempo(flux: np.ndarray) -> float:
    """The strongest period of a flux [frames] in BPM; NaN if it has none."""
    centred = flux - flux.mean()
    lags = np.arange(int(60 / _TEMPI[1] / _HOP_SECONDS), int(60 / _TEMPI[0] / _HOP_SECONDS) + 1)
    lags = lags[lags < len(flux) - 1]
    if not centred.any() or not len(lags):
        return float("nan")
    # The mean of the products, so that short lags have no advantage by their number.
    strength = np.array([np.mean(centred[lag:] * centred[:-lag]) for lag in lags])
    tempi = 60 / (lags * _HOP_SECONDS)
    preference = np.exp(-0.5 * np.square(np.log2(tempi / _USUAL_TEMPO) / _OCTAVES))
    best = int(np.argmax(strength * preference))
    return float(tempi[best]) if strength[best] > 0 else float("nan")


def _syncopation(times: np.ndarray, step: float) -> float:
    if not len(times) or not np.isfinite(step):
        return float("nan")
    steps = np.unique(np.round(times / step).astype(np.int64))
    gained = []
    # The loop begins again after its last onset, on a downbeat.
    for start, following in zip(steps, [*steps[1:], -(-(steps[-1] + 1) // STEPS) * STEPS], strict=True):
        silent = _METRE[np.arange(start + 1, following) % STEPS]
        gained.append(max(int(silent.max(initial=-9)) - int(_METRE[start % STEPS]), 0))
    return float(np.mean(gained))


def _swing(onsets: _Onsets, step: float) -> float:
    if not len(onsets.times) or not np.isfinite(step):
        return float("nan")
    # The nearest odd step, and how much later the onset is.
    odd = 2 * np.round((onsets.times / step - 1) / 2) + 1
    late = onsets.times / step - odd
    inside = (late >= _EARLIEST) & (late <= _LATEST)
    return float(np.average(late[inside], weights=onsets.strengths[inside])) if inside.any() else float("nan")


def _share(spectrum: np.ndarray, frequencies: np.ndarray, band: tuple[float, float]) -> float:
    total = spectrum[frequencies >= _LOW[0]].sum()
    return float(spectrum[(frequencies >= band[0]) & (frequencies < band[1])].sum() / total) if total else float("nan")


def _slope(spectrum: np.ndarray, frequencies: np.ndarray) -> float:
    inside = frequencies >= _SLOPE_FROM
    if not spectrum[inside].any():
        return float("nan")
    level = 10 * np.log10(np.maximum(spectrum[inside] / spectrum[inside].max(), 1e-12))
    octaves = np.log2(frequencies[inside])
    # Bins lie closer in high octaves; with these weights each octave counts alike.
    return float(np.polyfit(octaves, level, 1, w=1 / np.sqrt(frequencies[inside]))[0])
