"""Onset, cut and fades of a drum sound in a recording, the same for data sets and for the encoder's inputs."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from drumgan_jax.audio.signal import Samples, first_at, in_blocks, last_at, peak
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.settings import build_part, real, section_at

# Kinds of slicing (data_pipelines.slicing), of which the first is this.
ONE_SHOT = "one_shot"
SLICING_KINDS = (ONE_SHOT, "loop", "bar", "mix")
# Levels relative to the peak at which a sound begins and has ended.
_BEGIN_DB, _END_DB = -40.0, -60.0
# Of a pre-roll, a fade or a shortest sound.
_MOST_SECONDS = 3600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneShot:
    """Slicing of a recording into one sound, from its onset, cut to length, with fades at both ends.

    Attributes:
        onset_db: level in dB relative to the peak; the onset is the first sample at or above it.
        pre_roll: seconds kept before the onset.
        fade_in: length of the fade at the start, in seconds.
        fade_out: length of the fade before the end or the cut, in seconds.
        min_seconds: shortest sound that is taken into a data set (is_shorter); shorter ones are clicks, or what
            an edit left.
    """

    onset_db: float = real(-math.inf, 0.0, -40.0, below=True)
    pre_roll: float = real(0.0, _MOST_SECONDS, 0.002)
    fade_in: float = real(0.0, _MOST_SECONDS, 0.0005)
    fade_out: float = real(0.0, _MOST_SECONDS, 0.01)
    min_seconds: float = real(0.0, _MOST_SECONDS, 0.005)

    def start(self, samples: Samples, sample_rate: int) -> int | None:
        """Index at which the sound starts in a recording [samples], pre-roll included; None for silence."""
        loudest = peak(samples)
        if loudest == 0:
            return None
        onset = first_at(samples, loudest * 10 ** (self.onset_db / 20)) or 0
        return max(0, onset - round(self.pre_roll * sample_rate))

    def cut(self, samples: np.ndarray, sample_rate: int, num_samples: int) -> np.ndarray:
        """The first `num_samples` samples, or all if there are fewer, with fades: [samples] float32."""
        sound = samples[:num_samples].astype(np.float32)
        fade_in = min(round(self.fade_in * sample_rate), len(sound))
        fade_out = min(round(self.fade_out * sample_rate), len(sound))
        # The ramps start above zero, so that a sound of one sample is not silenced.
        sound[:fade_in] *= np.arange(1, fade_in + 1, dtype=np.float32) / np.float32(fade_in + 1)
        sound[len(sound) - fade_out :] *= np.arange(fade_out, 0, -1, dtype=np.float32) / np.float32(fade_out + 1)
        return sound


def one_shot_of(config: Mapping[str, Any]) -> OneShot | None:
    """The rule by which a system's recordings were cut, if they are one-shots.

    Args:
        config: may have the section `slicing`.

    Raises:
        BadInput: its kind is none, or a setting is unknown or out of range.
    """
    section = section_at(config, "slicing") if "slicing" in config else {}
    if not section:
        return None
    kind = section.get("kind")
    if kind == ONE_SHOT:
        return build_part({ONE_SHOT: OneShot}, section, "slicing")
    if kind not in SLICING_KINDS:
        raise BadInput(f"config.slicing.kind is {shown(kind)}; it must be one of {', '.join(SLICING_KINDS)}.")
    return None


def is_shorter(samples: Samples, sample_rate: int, seconds: float) -> bool:
    """Whether it is less than some time from the first sample within 40 dB of the peak to the last within 60 dB.

    To be asked before resampling, whose filter rings for some milliseconds.

    Args:
        samples: a recording [samples] that is not silent.
        sample_rate: in Hz.
        seconds: the time.
    """
    wanted, loudest = seconds * sample_rate, peak(samples)
    begun, ended = 10 ** (_BEGIN_DB / 20), 10 ** (_END_DB / 20)
    # A sample has at most the peak's power, and at most this share of it before the sound begins or when it has ended.
    energy = sum(float(block @ block) for block in in_blocks(samples))
    if energy > loudest**2 * (wanted + begun**2 * len(samples)):
        return False
    first = first_at(samples, loudest * begun) or 0
    last = last_at(samples, loudest * ended) or 0
    return last + 1 - first < wanted
