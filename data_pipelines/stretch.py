"""Time-stretching and pitch-shifting by Rubber Band, through pedalboard (GPL-3: an extra, imported here only)."""

import functools
from types import ModuleType

import numpy as np
import soxr

from drumgan_jax.core.errors import BadInput


def time_stretch(samples: np.ndarray, sample_rate: int, speed: float) -> np.ndarray:
    """Samples [n] played `speed` times faster at the same pitch: exactly round(n / speed) samples.

    Raises:
        BadInput: the extra `stretch` is not installed.
    """
    length = round(len(samples) / speed)
    if length == len(samples) or len(samples) == 0:
        return samples
    return _fit(_rubber_band(samples, sample_rate, speed, 0.0), length)


def pitch_shift(samples: np.ndarray, sample_rate: int, semitones: float) -> np.ndarray:
    """Samples [n] shifted by `semitones`, the spectrum's envelope with them, at the same length.

    Raises:
        BadInput: the extra `stretch` is not installed.
    """
    if semitones == 0 or len(samples) == 0:
        return samples
    return _fit(_rubber_band(samples, sample_rate, 1.0, semitones), len(samples))


def require() -> None:
    """Raise BadInput where the stretching library is missing, before any work is done."""
    _pedalboard()


def _rubber_band(samples: np.ndarray, sample_rate: int, speed: float, semitones: float) -> np.ndarray:
    """Samples at exactly the speed.

    The library's fine engine steps by whole samples, so that its speed is off by up to 0.2 % and the beats of a minute
    drift by up to 120 ms; its other engine does not drift, but blurs onsets to 10 ms and adds noise to tones. So the
    fine one is used, and what its speed lacks is made up by resampling: 3 cents of pitch at most.
    """
    factor = _realised_speed(sample_rate, speed, semitones) / speed
    # The library returns as many samples as the speed asked for has: silence keeps the end from being cut.
    padded = np.pad(samples, (0, len(samples) // 100 + sample_rate // 10))
    stretched = _call_rubber_band(padded, sample_rate, speed, semitones)
    return soxr.resample(stretched, sample_rate, sample_rate * factor)


@functools.lru_cache(maxsize=64)
def _realised_speed(sample_rate: int, speed: float, semitones: float) -> float:
    """The speed the library gives where `speed` is asked for: the slope of where clicks come out."""
    period, count = sample_rate // 2, 40
    clicks = np.zeros(period * count, np.float32)
    clicks[::period] = 0.5
    stretched = np.square(_call_rubber_band(clicks, sample_rate, speed, semitones))
    asked = np.arange(2, count - 2) * period / speed
    reach = sample_rate // 10
    found = []
    for position in asked.astype(np.int64) - reach:
        window = stretched[position : position + 2 * reach]
        found.append(position + np.sum(np.arange(2 * reach) * window) / np.sum(window))
    return speed / float(np.polyfit(asked, found, 1)[0])


def _call_rubber_band(samples: np.ndarray, sample_rate: int, speed: float, semitones: float) -> np.ndarray:
    # A drum's resonances are what should move with its pitch, hence no formant preservation.
    stretched = _pedalboard().time_stretch(
        np.ascontiguousarray(samples[None], np.float32),
        float(sample_rate),
        stretch_factor=float(speed),
        pitch_shift_in_semitones=float(semitones),
        preserve_formants=False,
    )
    return stretched[0]


def _pedalboard() -> ModuleType:
    try:
        import pedalboard
    except ImportError as error:
        raise BadInput(
            "time-stretching and pitch-shifting need pedalboard, which is not installed; "
            "install the extra with: pip install 'drumgan-jax[stretch]'."
        ) from error
    return pedalboard


def _fit(samples: np.ndarray, length: int) -> np.ndarray:
    return np.pad(samples[:length], (0, max(0, length - len(samples))))
