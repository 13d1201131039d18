"""Onsets of a recording: spectral flux says how many there are, the rise of the level when each begins."""

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from drumgan_jax.audio.files import resample
from drumgan_jax.audio.power_spectra import mel_rises

# Onsets that are closer, in seconds, are one: flams, and the layers of one stroke. The flux hears two onsets in its
# window of 46 ms apart only where their bands differ.
SHORTEST_GAP = 0.03

_RATE = 22_050
_HOP = 128
_N_FFT = 1024
_BANDS = 40
_DYNAMICS_DB = 60.0
# Mean rise of all bands, in dB a hop, by which an onset exceeds what is around it; steady noise stays below.
_RISE = 1.0
_AROUND = 0.1
_LEAD = 0.1
# Seconds before and after a peak of the flux in which the rise is sought: the window of the flux sees ahead.
_BEFORE, _AFTER = 0.015, 0.015
_BLOCK = 22
_FLOOR = 1e-6


def find_onsets(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Times of the onsets in seconds, in order: float64 [onsets].

    There is none in silence, in what only swells, and in the last 30 ms.

    The flux is the mean rise of 40 mel bands in dB; near each of its peaks, an onset is where the level of the waveform
    or that of its difference, which hears a hat above a ringing kick, rises most within 3 ms.

    Args:
        samples: mono waveform [samples].
        sample_rate: in Hz.
    """
    if not np.any(samples):
        return np.zeros(0)
    # Silence in front, against which a recording that begins with a hit rises; none behind, where it would click.
    lead = round(_LEAD * _RATE) // _HOP * _HOP
    audio = np.pad(resample(samples.astype(np.float32), sample_rate, _RATE), (0, lead), mode="reflect")
    audio = np.pad(audio, (lead, 0))
    flux = mel_rises(audio, _RATE, _N_FFT, _HOP, _BANDS, _DYNAMICS_DB).mean(axis=1)
    gap, around = round(SHORTEST_GAP * _RATE / _HOP), round(_AROUND * _RATE / _HOP)
    peaks, _ = find_peaks(flux, distance=gap)
    peaks = peaks[flux[peaks] >= uniform_filter1d(flux, 2 * around + 1)[peaks] + _RISE]
    rise, seconds = _rises(audio), _BLOCK / _RATE
    last_one = len(samples) / sample_rate - SHORTEST_GAP
    found: list[float] = []
    for peak in peaks * _HOP / _RATE:
        first, last = int((peak - _BEFORE) / seconds), int((peak + _AFTER) / seconds) + 1
        time = (max(first, 0) + int(np.argmax(rise[max(first, 0) : last]))) * seconds - lead / _RATE
        time = max(time, 0.0)
        if time <= last_one and (not found or time - found[-1] >= SHORTEST_GAP):
            found.append(time)
    return np.asarray(found)


def _rises(audio: np.ndarray) -> np.ndarray:
    """Rise of the log level over 3 blocks of a millisecond, of a waveform and of its difference, together [blocks]."""
    total = np.zeros(len(audio) // _BLOCK)
    for heard in (audio, np.diff(audio, prepend=audio[:1])):
        power = np.square(heard[: len(total) * _BLOCK].reshape(-1, _BLOCK)).mean(axis=1)
        level = np.log(power + _FLOOR * power.max())
        total[1:-2] += np.maximum(level[3:] - level[:-3], 0.0)
    return total
