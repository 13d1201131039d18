"""Preprocessing of recordings to match the sounds that a system was trained on."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drumgan_jax.audio.files import resample
from drumgan_jax.audio.level import Level
from drumgan_jax.audio.one_shot import OneShot, one_shot_of
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.settings import read_partly

Recordings = np.ndarray | Sequence[np.ndarray]

# Seconds below which no drum is recognisable.
SHORTEST = 0.005
# Peaks below this (dBFS) count as silence with a noise floor, as in data preparation.
SILENCE_DB = -60.0
_MOST_CHANNELS = 32
_RATES = range(1_000, 768_001)
_LEVEL_DB = -1.0
# Extra seconds resampled: the filter rings less long, and resampling moves no onset further.
_MARGIN = 0.02


class CutWarning(UserWarning):
    """A recording is longer than an instrument's sounds."""


def as_trained(
    audio: Recordings, sample_rate: int, to_rate: int, num_samples: int, config: Mapping[str, Any]
) -> np.ndarray:
    """Preprocess recordings like a system's training data: waveforms [batch, num_samples] float32.

    Channels are averaged and the audio is resampled. If the training data are one-shots, the sound is cut at its onset
    and faded as they were; otherwise the start is kept. A long recording is cut, with a CutWarning; a short one is
    padded with zeros. The peak is scaled to `preparation.level` if the training data were normalised to a peak, only
    kept within full scale if `preparation.normalization` is "none", and else scaled to -1 dBFS.

    Args:
        audio: [samples] or [samples, channels], or a list of such recordings; full scale 1.
        sample_rate: sample rate of the recordings, in Hz.
        to_rate: sample rate of the system, in Hz.
        num_samples: length of the system's sounds.
        config: may have the sections `preparation` and `slicing`.

    Raises:
        BadInput: a recording is silent, not finite, empty, shorter than 5 ms or of another shape, or the rate is not
            one; of several recordings, the message gives the number, from 0.
    """
    recordings = [audio] if isinstance(audio, np.ndarray) else list(audio)
    if not recordings:
        raise BadInput("there is no recording; give at least one.")
    rule, wanted = one_shot_of(config), read_partly(config, "preparation", Level)
    level = wanted.level if wanted.normalization == "peak" else _LEVEL_DB
    waveforms = []
    for number, recording in enumerate(recordings):
        name = "the recording" if len(recordings) == 1 else f"recording {number}"
        mono = checked_mono(np.asarray(recording), sample_rate, name)
        sound, seconds = _placed(mono, int(sample_rate), to_rate, num_samples, rule)
        if round(seconds * to_rate) > num_samples:
            warnings.warn(
                f"{name} lasts {seconds:.2f} s, and this instrument's sounds {num_samples / to_rate:.2f} s;"
                " the rest was cut off.",
                CutWarning,
                stacklevel=4,
            )
        peak = float(np.abs(sound).max())
        if peak < 10 ** (SILENCE_DB / 20):
            raise BadInput(f"{name} is silent; give one that starts with a sound.")
        gain = 1.0 if wanted.normalization == "none" else 10 ** (level / 20) / peak
        sound = np.clip(sound * np.float32(gain), -1.0, 1.0)
        waveforms.append(np.pad(sound, (0, num_samples - len(sound))))
    return np.stack(waveforms)


def checked_mono(recording: np.ndarray, rate: int, name: str = "the recording") -> np.ndarray:
    """Check a recording, [samples] or [samples, channels] at `rate` in Hz, and average its channels: [samples] float32.

    Raises:
        BadInput: as `as_trained` does, except for silence; the message calls the recording `name`.
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or rate not in _RATES:
        raise BadInput(f"a sample rate of {shown(rate)} Hz is not valid; give a whole number from 1,000 to 768,000.")
    if recording.ndim not in (1, 2) or (recording.ndim == 2 and not 1 <= recording.shape[1] <= _MOST_CHANNELS):
        raise BadInput(f"{name} is {recording.shape}; give [samples], or [samples, channels].")
    if not np.issubdtype(recording.dtype, np.floating):
        raise BadInput(f"{name} is {recording.dtype}; give floating-point numbers with full scale 1.")
    if len(recording) < SHORTEST * rate:
        raise BadInput(
            f"{name} is {1000 * len(recording) / rate:.1f} ms long; give one of {1000 * SHORTEST:g} ms or more."
        )
    if not np.isfinite(recording).all():
        raise BadInput(f"{name} holds NaN or infinite samples; export it again.")
    # NumPy's mean takes ten times as long over so short an axis.
    channels = recording[:, None] if recording.ndim == 1 else recording
    return channels.astype(np.float32, copy=False) @ np.full(channels.shape[1], 1 / channels.shape[1], np.float32)


def _placed(
    mono: np.ndarray, rate: int, to_rate: int, num_samples: int, rule: OneShot | None
) -> tuple[np.ndarray, float]:
    """The sound at the system's rate, cut and faded, and the recording's length in seconds from the sound's start.

    Only the needed part is resampled, so an hour of audio costs little: a one-shot's start is found first at the
    recording's rate, then again near there at the system's rate, as in data preparation.
    """
    margin, length = round(_MARGIN * rate), math.ceil(num_samples / to_rate * rate)
    if rule is None:
        sound = resample(mono[: length + margin], rate, to_rate)
        return sound[:num_samples], len(mono) / rate
    start = rule.start(mono, rate) or 0
    # Both rates have a sample at multiples of this, so resampling the cut gives the same samples as the whole.
    step = rate // math.gcd(rate, to_rate)
    begin = max(0, start - margin)
    aligned = begin // step * step
    near = resample(mono[aligned : start + length + margin], rate, to_rate)
    near = near[round((begin - aligned) * to_rate / rate) :]
    start = rule.start(near, to_rate) or 0
    seconds = len(mono) / rate - begin / rate - start / to_rate
    return rule.cut(near[start:], to_rate, num_samples), seconds
