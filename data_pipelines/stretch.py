"""Time-stretching and pitch-shifting by Rubber Band, through pedalboard (GPL-3: an optional extra, imported here only)."""

from types import ModuleType

import numpy as np

from drumgan_jax.errors import BadInput


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
    # The faster of Rubber Band's two engines: the finer one drifts here by 1 to 2 ms a second away from the speed it
    # is asked for, which moves the beats of a long clip; this one stays within 5 ms at any length.
    # A drum's resonances are what should move with its pitch, hence no formant preservation.
    stretched = _pedalboard().time_stretch(
        np.ascontiguousarray(samples[None], np.float32),
        float(sample_rate),
        stretch_factor=float(speed),
        pitch_shift_in_semitones=float(semitones),
        high_quality=False,
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
