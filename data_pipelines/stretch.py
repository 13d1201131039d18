"""Time-stretching and pitch-shifting with Rubber Band, through pedalboard (GPL-3: an extra, imported only here)."""

import functools
from types import ModuleType

import numpy as np
import soxr

from drumgan_jax.core.errors import BadInput


def time_stretch(samples: np.ndarray, sample_rate: int, speed: float) -> np.ndarray:
    """Play samples [samples] `speed` times faster at the same pitch, to exactly round(samples / speed).

    Raises:
        BadInput: the extra `stretch` is not installed.
    """
    length = round(len(samples) / speed)
    if length == len(samples) or len(samples) == 0:
        return samples
    return _fit(_rubber_band(samples, sample_rate, speed, 0.0), length)


def pitch_shift(samples: np.ndarray, sample_rate: int, semitones: float) -> np.ndarray:
    """Shift samples [samples] by `semitones`, including the spectral envelope, at the same length.

    Raises:
        BadInput: the extra `stretch` is not installed.
    """
    if semitones == 0 or len(samples) == 0:
        return samples
    return _fit(_rubber_band(samples, sample_rate, 1.0, semitones), len(samples))


def require() -> None:
    """Raise BadInput if the stretching library is missing, before any work is done."""
    _pedalboard()


def _rubber_band(samples: np.ndarray, sample_rate: int, speed: float, semitones: float) -> np.ndarray:
    """Stretch samples to exactly the given speed.

    The library's fine engine steps by whole samples, so its speed is off by up to 0.2 % and the beats of a minute drift
    by up to 120 ms; its other engine does not drift, but blurs onsets to 10 ms and adds noise to tones. This uses the
    fine engine and corrects its speed by resampling, which changes the pitch by at most 3 cents.
    """
    factor = _realised_speed(sample_rate, speed, semitones) / speed
    # The library returns the length of the requested speed; padding keeps the end from being cut off.
    padded = np.pad(samples, (0, len(samples) // 100 + sample_rate // 10))
    stretched = _call_rubber_band(padded, sample_rate, speed, semitones)
    return soxr.resample(stretched, sample_rate, sample_rate * factor)


@functools.lru_cache(maxsize=64)
def _realised_speed(sample_rate: int, speed: float, semitones: float) -> float:
    """The library's actual speed for a requested `speed`, from the slope of the positions of clicks."""
    period, count = sample_rate // 2, 40
    clicks = np.zeros(period * count, np.float32)
    clicks[::period] = 0.5
    stretched = np.square(_call_rubber_band(clicks, sample_rate, speed, semitones))
    expected = np.arange(2, count - 2) * period / speed
    reach = sample_rate // 10
    actual = []
    for position in expected.astype(np.int64) - reach:
        window = stretched[position : position + 2 * reach]
        actual.append(position + np.sum(np.arange(2 * reach) * window) / np.sum(window))
    return speed / float(np.polyfit(expected, actual, 1)[0])


def _call_rubber_band(samples: np.ndarray, sample_rate: int, speed: float, semitones: float) -> np.ndarray:
    # No formant preservation, because a drum's resonances should move with its pitch.
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
