"""Conditioning before and after slicing: channel, sample rate, pitch augmentation and level (config.preparation)."""

import dataclasses
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from drumgan_jax.audio.attributes import check_attributes
from drumgan_jax.audio.channels import CANCELLATION_DB, CHANNELS, is_channel, loss_db, loudest, mono
from drumgan_jax.audio.level import Level
from drumgan_jax.audio.recordings import Recording
from drumgan_jax.audio.signal import Samples, Signal, resampled
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.settings import build_section, check_fields, checked, flag, is_number, real, text, texts, whole
from drumgan_jax.data_pipelines import stretch

# Slices with a peak below this level count as silent, because normalisation would amplify their noise floor.
SILENCE_DB = -60.0
_ACTIVITY_FRAME = 0.01  # Seconds.
# Seconds of the parts in which long recordings are shifted in pitch, of what is heard around them, and of their fades.
_SHIFTED_PART, _AROUND, _FADE = 60.0, 0.5, 0.01


def _check_channel(value: Any) -> str | None:
    return None if is_channel(value) else f"{', '.join(CHANNELS)}, or the number of a channel from 0"


def _check_pitch_shifts(value: Any) -> str | None:
    fit = isinstance(value, tuple) and len(value) > 0 and all(is_number(s) and abs(s) <= 24 for s in value)
    return None if fit else "one or more numbers within 24 semitones"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparation(Level):
    """Settings of `prepare` other than slicing and representation.

    Attributes:
        channel: "mix" for the mean of all channels, or "left", "right", "mid" (half the sum of the two), "side" (half
            their difference), "louder" (the channel with more power), or the number of one channel, from 0.
        normalization: normalisation of each slice: "none", "peak" or "loudness" (ITU-R BS.1770).
        level: level of a normalised slice: its peak in dBFS, or its loudness in LUFS.
        pitch_shifts: pitch shifts in semitones; each adds a shifted copy of the recording, and 0 is the recording
            itself. The test split has unshifted recordings only.
        min_activity: smallest fraction of 10 ms frames above `activity_db`; slices with less are skipped.
        activity_db: level (RMS) of an active frame in dB relative to the slice's peak.
        test_fraction: approximate fraction of the recordings in the split "test"; 0 for no such split.
        validation_fraction: likewise of the split "validation", by which a run chooses its best checkpoint.
        split_by: unit that is never divided between splits: "source" (manifest column, or folder), or "hash" for a
            group of near duplicates (data_pipelines.splits.group_of); "manifest" for its column split, whatever the
            fractions are.
        test_sources: sources (manifest column, or folder) that make up the split "test", instead of a fraction.
        validation_sources: likewise of the split "validation"; needs `test_sources`.
        hats: whether the class "cymbal" (or "hat") is divided into closed_hat, open_hat and cymbal, by the manifest's
            finer class or the file's name.
        tags: number of the manifest's most frequent tags that are stored instead of a class; 0 for classes.
        labels: classes, or tags, to keep, in this order; empty keeps all, sorted, or the most frequent tags.
        label_pattern: regular expression searched in a file's path; its first group is the label if no manifest gives
            one. Without a match, or by default, the label is the folder's name.
        attributes: names of audio.attributes.ATTRIBUTES that are measured of each slice and stored with it.
    """

    channel: str = checked(_check_channel, "mix")
    pitch_shifts: tuple[float, ...] = checked(_check_pitch_shifts, (0.0,))
    min_activity: float = real(0.0, 1.0, 0.0)
    activity_db: float = real(-math.inf, 0.0, -50.0, below=True)
    test_fraction: float = real(0.0, 1.0, 0.0, below=True)
    validation_fraction: float = real(0.0, 1.0, 0.0, below=True)
    split_by: str = text("hash", choices=("source", "hash", "manifest"))
    test_sources: tuple[str, ...] = texts(())
    validation_sources: tuple[str, ...] = texts(())
    hats: bool = flag(False)
    tags: int = whole(0, 0)
    labels: tuple[str, ...] = texts(())
    label_pattern: str = text("")
    attributes: tuple[str, ...] = texts(())

    def __post_init__(self) -> None:
        check_fields(self, "preparation")
        check_attributes(self.attributes, "config.preparation.attributes")
        if both := sorted(set(self.attributes) & set(self.labels)):
            raise BadInput(
                f"config.preparation has {shown(both[0])} in labels and in attributes; rename the class, or leave out"
                " the attribute."
            )
        if self.test_fraction + self.validation_fraction >= 1:
            raise BadInput(
                f"config.preparation.test_fraction and validation_fraction are {self.test_fraction:g} and"
                f" {self.validation_fraction:g}, which leaves nothing to train on; make their sum less than 1."
            )
        if self.validation_sources and not self.test_sources:
            raise BadInput(
                "config.preparation.validation_sources is given and test_sources is not; name the sources of both."
            )
        if both := sorted(set(self.validation_sources) & set(self.test_sources)):
            raise BadInput(
                f"config.preparation.validation_sources and test_sources both name {shown(both[0])}; choose one of"
                " them."
            )


def build_preparation(settings: Mapping[str, Any]) -> Preparation:
    """Build the Preparation from config.preparation.

    Raises:
        BadInput: a field is unknown, or a value is out of range.
    """
    return build_section(Preparation, settings, "preparation")


def to_mono(recording: Recording, channel: str, sample_rate: int) -> Samples:
    """Mono samples [samples] float32 at `sample_rate`, from one channel or a mix of them (Preparation.channel).

    They are an array if the recording is held in memory and not long at that rate, else a signal.

    Raises:
        BadInput: the recording has no such channel.
    """
    if channel == "louder":
        channel = str(loudest(recording.blocks()))

    def blocks() -> Iterator[np.ndarray]:
        return (np.ascontiguousarray(mono(block, channel)) for block in recording.blocks())

    own = next(blocks()) if recording.is_held else Signal(recording.frames, blocks)
    return resampled(own, recording.sample_rate, sample_rate)


def cancellation(recording: Recording, mixed: Samples, channel: str) -> str:
    """What is said of channels that cancel in the mix or mid that is wanted; empty if they do not.

    Args:
        recording: the channels.
        mixed: what is taken of them, at the recording's rate [samples].
        channel: Preparation.channel.
    """
    if channel not in ("mix", "mid") or recording.channels == 1:
        return ""
    if recording.is_held:
        loss = loss_db(zip(recording.blocks(), [mixed[:]], strict=True))
    else:
        loss = loss_db((block, mono(block, channel)) for block in recording.blocks())
    if loss <= CANCELLATION_DB:
        return ""
    return (
        f"its channels cancel: their {channel} is more than {CANCELLATION_DB:g} dB below them; set"
        " config.preparation.channel to another, such as louder"
    )


def pitched(samples: Samples, sample_rate: int, semitones: float) -> Samples:
    """Shift samples [samples] in pitch by `semitones`; those of more than two minutes in parts that fade over."""
    if semitones == 0:
        return samples
    if len(samples) <= 2 * _SHIFTED_PART * sample_rate:
        return stretch.pitch_shift(samples[:], sample_rate, semitones)
    return Signal(len(samples), lambda: _pitched_parts(samples, sample_rate, semitones))


def _pitched_parts(samples: Samples, sample_rate: int, semitones: float) -> Iterator[np.ndarray]:
    part, around, fade = (round(seconds * sample_rate) for seconds in (_SHIFTED_PART, _AROUND, _FADE))
    ramp = np.linspace(0, 1, fade + 2, dtype=np.float32)[1:-1]
    before = np.zeros(0, np.float32)
    for start in range(0, len(samples), part):
        end, first = min(start + part, len(samples)), max(0, start - around)
        shifted = stretch.pitch_shift(samples[first : end + around], sample_rate, semitones)[start - first :]
        faded = min(len(before), len(shifted))
        shifted[:faded] = before[:faded] * (1 - ramp[:faded]) + shifted[:faded] * ramp[:faded]
        before = shifted[end - start : end - start + fade]
        yield shifted[: end - start]


def condition(waveform: np.ndarray, sample_rate: int, preparation: Preparation) -> np.ndarray | str:
    """The slice [samples] at its normalised level, or the reason to skip it."""
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
    """The slice at `level` LUFS, or at the highest loudness that keeps its peak at 0 dBFS."""
    import pyloudnorm

    # The standard measures blocks of 400 ms; shorter sounds are repeated to that length.
    block = int(0.4 * sample_rate) + 1
    repeated = np.resize(waveform, max(len(waveform), block)).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Blocks of digital silence have a level of log 0.
        loudness = pyloudnorm.Meter(sample_rate).integrated_loudness(repeated)
    if not np.isfinite(loudness):
        return "silent"
    gain = min(10 ** ((level - loudness) / 20), 1 / float(np.abs(waveform).max()))
    return waveform * np.float32(gain)
