"""Recordings brought to the form of the sounds that a system was trained on."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drumgan_jax.audio.files import resample
from drumgan_jax.errors import BadInput

Recordings = np.ndarray | Sequence[np.ndarray]

# Seconds below which there is nothing to hear a drum by.
SHORTEST = 0.005
# Peaks below this (dBFS) are silence with a noise floor; as in preparing data.
SILENCE_DB = -60.0
_MOST_CHANNELS = 32
_RATES = range(1_000, 768_001)
_LEVEL_DB = -1.0


def as_trained(
    audio: Recordings, sample_rate: int, to_rate: int, num_samples: int, config: Mapping[str, Any]
) -> np.ndarray:
    """Waveforms [batch, num_samples] float32 of recordings, conditioned as a system's training data were.

    Channels are averaged, the rate is converted, and the start is kept as given: cut recordings to their onset before.
    A long recording is cut, with a warning, a short one is followed by zeros; where the config's slicing fades sounds
    out, so is this one, before its end or the cut. The peak is brought to `preparation.level` where the training data
    were normalised so, else to -1 dBFS.

    Args:
        audio: [samples] or [samples, channels], or a list of such recordings; full scale 1.
        sample_rate: of all of them, in Hz.
        to_rate: the system's, in Hz.
        num_samples: the system's sounds' length.
        config: sections `preparation` and `slicing`, as far as there are any.

    Raises:
        BadInput: a recording is silent, not finite, empty, shorter than 5 ms, or not of such a shape, or the rate is
            none.
    """
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, (int, np.integer)) or sample_rate not in _RATES:
        raise BadInput(f"a sample rate of {sample_rate!r} Hz is none; give a whole number from 1,000 to 768,000.")
    recordings = [audio] if isinstance(audio, np.ndarray) else list(audio)
    if not recordings:
        raise BadInput("there is no recording; give at least one.")
    return np.stack([_one(np.asarray(one), int(sample_rate), to_rate, num_samples, config) for one in recordings])


def _one(recording: np.ndarray, rate: int, to_rate: int, num_samples: int, config: Mapping[str, Any]) -> np.ndarray:
    if recording.ndim not in (1, 2) or (recording.ndim == 2 and not 1 <= recording.shape[1] <= _MOST_CHANNELS):
        raise BadInput(f"the recording is {recording.shape}; give [samples], or [samples, channels].")
    if not np.issubdtype(recording.dtype, np.floating):
        raise BadInput(f"the recording is {recording.dtype}; give floating-point numbers with full scale 1.")
    if len(recording) < SHORTEST * rate:
        raise BadInput(
            f"the recording is {1000 * len(recording) / rate:.1f} ms long; give one of {1000 * SHORTEST:g} ms or more."
        )
    if not np.isfinite(recording).all():
        raise BadInput("the recording holds NaN or infinite samples; export it again.")
    mono = recording if recording.ndim == 1 else recording.mean(axis=1)
    sound = resample(np.ascontiguousarray(mono, np.float32), rate, to_rate)
    if len(sound) > num_samples:
        warnings.warn(
            f"the recording is {len(sound) / to_rate:.2f} s long and this instrument's sounds"
            f" {num_samples / to_rate:.2f} s; the rest was cut off.",
            stacklevel=5,
        )
    sound = sound[:num_samples].copy()
    peak = float(np.abs(sound).max())
    if peak < 10 ** (SILENCE_DB / 20):
        raise BadInput("the recording is silent; give one with a sound at its start.")
    _fade_out(sound, round(config.get("slicing", {}).get("fade_out", 0.0) * to_rate))
    preparation = config.get("preparation", {})
    level = preparation.get("level", _LEVEL_DB) if preparation.get("normalization") == "peak" else _LEVEL_DB
    # After the fade, as in preparing data; which leaves something of whatever has a peak.
    sound *= np.float32(10 ** (level / 20) / np.abs(sound).max())
    return np.pad(sound, (0, num_samples - len(sound)))


def _fade_out(sound: np.ndarray, length: int) -> None:
    """Ramp down the last samples, in place; the ramp leaves out its zero."""
    length = min(length, len(sound))
    sound[len(sound) - length :] *= np.arange(length, 0, -1, dtype=np.float32) / np.float32(length + 1)
