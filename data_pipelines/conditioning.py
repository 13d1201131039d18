"""Conditioning: channel, rate, pitch augmentation and level, before and after slicing; the config's `preparation`."""

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from drumgan_jax.audio.files import Audio, resample
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import build_section, check_fields, checked, real, text, texts
from drumgan_jax.data_pipelines import stretch

# A slice whose peak is below this is silence with a noise floor, which normalisation would blow up.
SILENCE_DB = -60.0
_ACTIVITY_FRAME = 0.01  # Seconds.


NORMALIZATIONS = ("none", "peak", "loudness")


def _check_channel(value: Any) -> str | None:
    return None if value == "mix" or str(value).isdecimal() else '"mix", or the number of a channel from 0'


def _check_pitch_shifts(value: Any) -> str | None:
    fit = (
        isinstance(value, tuple) and len(value) > 0 and all(isinstance(s, (int, float)) and abs(s) <= 24 for s in value)
    )
    return None if fit else "one or more numbers within 24 semitones"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation:
    """Everything of `prepare` that is not slicing or representation.

    Attributes:
        channel: "mix" for the mean of all channels, or the number of one, from 0.
        normalization: of each slice: "none", "peak" or "loudness" (ITU-R BS.1770).
        level: what normalisation brings a slice to: dBFS of the peak, or LUFS.
        pitch_shifts: semitones; each gives the recording once more, shifted. 0 is the recording itself. The test split
            has the recordings themselves only.
        min_activity: slices in which a smaller fraction of 10 ms frames is above `activity_db` are skipped.
        activity_db: dB, of a frame's level (RMS) against the slice's peak.
        test_fraction: about this fraction of the recordings make the split "test"; 0 for no such split.
        split_by: "source": a source (manifest column, or folder) is wholly in one split. "hash": a group of near
            duplicates (data_pipelines.splits.group_of) is.
        test_sources: rather than by a fraction, these sources (manifest column, or folder) make the split "test".
        labels: keep these classes only, in this order; empty keeps all, sorted.
        label_pattern: regular expression searched in a file's path; its first group is the label where no manifest
            gives one. Without a match, or by default, the folder's name is.
    """

    channel: str = checked(_check_channel, "mix")
    normalization: str = text("peak", choices=NORMALIZATIONS)
    level: float = real(-math.inf, 0.0, -1.0)
    pitch_shifts: tuple[float, ...] = checked(_check_pitch_shifts, (0.0,))
    min_activity: float = real(0.0, 1.0, 0.0)
    activity_db: float = real(-math.inf, 0.0, -50.0, below=True)
    test_fraction: float = real(0.0, 1.0, 0.0, below=True)
    split_by: str = text("hash", choices=("source", "hash"))
    test_sources: tuple[str, ...] = texts(())
    labels: tuple[str, ...] = texts(())
    label_pattern: str = text("")

    def __post_init__(self) -> None:
        check_fields(self, "preparation")


def build_preparation(settings: Mapping[str, Any]) -> Preparation:
    """The Preparation that config.preparation asks for.

    Raises:
        BadInput: an unknown field, or a value out of range.
    """
    return build_section(Preparation, settings, "preparation")


def to_mono(audio: Audio, channel: str, sample_rate: int) -> np.ndarray:
    """Samples [n] float32 at `sample_rate`, of one channel or the mean of all.

    Raises:
        BadInput: the recording has no such channel.
    """
    channels = audio.samples.shape[1]
    if channel == "mix":
        # A product with 1 / channels: NumPy's mean over so short an axis takes ten times as long.
        mono = audio.samples @ np.full(channels, 1 / channels, np.float32)
    elif int(channel) < channels:
        mono = audio.samples[:, int(channel)]
    else:
        raise BadInput(f"no channel {channel}: the recording has {channels}; set config.preparation.channel.")
    return resample(np.ascontiguousarray(mono), audio.sample_rate, sample_rate)


def pitched(samples: np.ndarray, sample_rate: int, semitones: float) -> np.ndarray:
    """Samples [n] shifted in pitch."""
    return stretch.pitch_shift(samples, sample_rate, semitones)


def condition(waveform: np.ndarray, sample_rate: int, preparation: Preparation) -> np.ndarray | str:
    """The slice [n] at its level, or the reason to skip it."""
    peak = float(np.abs(waveform).max())
    if peak < 10 ** (SILENCE_DB / 20):
        return "silent"
    if preparation.min_activity and _activity(waveform / peak, sample_rate, preparation) < preparation.min_activity:
        return "too little activity"
    if preparation.normalization == "peak":
        return waveform * np.float32(10 ** (preparation.level / 20) / peak)
    if preparation.normalization == "loudness":
        return _at_loudness(waveform, sample_rate, preparation.level)
    return np.clip(waveform, -1, 1)


def _activity(waveform: np.ndarray, sample_rate: int, preparation: Preparation) -> float:
    frame = round(_ACTIVITY_FRAME * sample_rate)
    frames = np.pad(waveform, (0, -len(waveform) % frame)).reshape(-1, frame)
    rms = np.sqrt(np.mean(np.square(frames), axis=1))
    return float(np.mean(rms > 10 ** (preparation.activity_db / 20)))


def _at_loudness(waveform: np.ndarray, sample_rate: int, level: float) -> np.ndarray | str:
    """The slice at `level` LUFS, or as near as a peak of 0 dBFS lets it come."""
    import pyloudnorm

    # Blocks of 400 ms are the standard's; a shorter sound is measured as one block, repeated.
    needed = int(0.4 * sample_rate) + 1
    measured = np.resize(waveform, max(len(waveform), needed)).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Blocks of digital silence have a level of log 0.
        loudness = pyloudnorm.Meter(sample_rate).integrated_loudness(measured)
    if not np.isfinite(loudness):
        return "silent"
    gain = min(10 ** ((level - loudness) / 20), 1 / float(np.abs(waveform).max()))
    return waveform * np.float32(gain)
