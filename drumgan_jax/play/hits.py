"""The hits of a recorded loop, each played by an instrument at its time and level (Drysdale et al. 2021, section 3)."""

import dataclasses
from typing import Any

import numpy as np

from drumgan_jax.audio.files import resample
from drumgan_jax.audio.onsets import SHORTEST_GAP, find_onsets
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.latents.latents import Latents, Sounds
from drumgan_jax.latents.recordings import SILENCE_DB, checked_mono
from drumgan_jax.play.finish import TRUE_PEAK_DB, true_peaks
from drumgan_jax.play.playable import CanEdit, CanEncode

__all__ = ["Agreement", "Hits", "Transformed", "agreement", "encode_hits", "find_hits", "put_back", "transform"]

# Seconds of the loudest part of a hit, of which its level is: fairer than the peak to clicks and to what rings.
_LOUDEST = 0.05
# A sound begins where it first reaches this level, in dB relative to the peak of its first 50 ms.
_ATTACK_DB = -20.0
# Seconds of the fade at the end of the loop, where what still rings is cut.
_FADE_OUT = 0.005
# Seconds within which an onset is taken for that of a hit, and within which it counts as in time.
_SAME, _IN_TIME = 0.05, 0.01


@dataclasses.dataclass(frozen=True)
class Hits:
    """The hits of a recording.

    Attributes:
        recording: mono, at the instrument's rate [samples].
        sample_rate: in Hz.
        starts: first sample of each hit [hits], in order.
        sounds: each hit up to the next one or to an instrument's length, unchanged in level: [samples] each.
    """

    recording: np.ndarray
    sample_rate: int
    starts: np.ndarray
    sounds: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def times(self) -> np.ndarray:
        """Of the onsets in seconds [hits]."""
        return self.starts / self.sample_rate

    @property
    def levels(self) -> np.ndarray:
        """Levels [hits]: RMS of the loudest 50 ms, or of the whole of a shorter hit, in dB of full scale."""
        return np.array([_decibels(_loudest(sound, len(sound), self.sample_rate)) for sound in self.sounds])


@dataclasses.dataclass(frozen=True)
class Transformed:
    """A recording played by an instrument.

    Attributes:
        loop: as long as the recording, at the instrument's rate [samples] float32.
        hits: those of the recording.
        sounds: of the instrument, one a hit, before their levels.
    """

    loop: np.ndarray
    hits: Hits
    sounds: Sounds


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How near a transformed loop is to its recording in time and level.

    Attributes:
        hits: of the recording.
        onsets: of the loop.
        heard: hits with an onset of the loop within 50 ms.
        error_ms: median distance of these onsets, in ms; None without any.
        in_time: share of all hits with an onset of the loop within 10 ms.
        level_correlation: Pearson's correlation of the levels in dB, each over the same samples of loop and recording;
            None for fewer than three hits, or if all are alike.
    """

    hits: int
    onsets: int
    heard: int
    error_ms: float | None
    in_time: float
    level_correlation: float | None


def transform(
    instrument: Any, audio: np.ndarray, sample_rate: int, vary: float = 0.0, direction: int = 0
) -> Transformed:
    """Play a recording, such as a breakbeat or a beatbox, by an instrument: each hit is encoded, varied and put back.

    Args:
        instrument: one that encodes; to vary, also one that can be edited.
        audio: [samples] or [samples, channels], full scale 1.
        sample_rate: of the recording, in Hz.
        vary: length of the step of all hits, 0 for none; see Instrument.vary.
        direction: seed of the step's direction, one for all hits, so that a kick stays one and the same kick.

    Raises:
        BadInput: the instrument does not encode or vary, the recording is silent, has no onset, or is not finite or too
            short.
    """
    hits = find_hits(instrument, audio, sample_rate)
    latents = encode_hits(instrument, hits)
    if vary:
        if not isinstance(instrument, CanEdit):
            raise BadInput(f"an instrument of kind {shown(instrument.kind)} cannot vary sounds; leave the amount at 0.")
        latents = instrument.vary(latents, vary, direction)
    sounds = instrument.render(latents)
    return Transformed(put_back(hits, sounds), hits, sounds)


def find_hits(instrument: Any, audio: np.ndarray, sample_rate: int) -> Hits:
    """Cut a recording at its onsets; see `transform`."""
    recording = checked_mono(np.asarray(audio), sample_rate)
    if len(recording) < SHORTEST_GAP * sample_rate:
        raise BadInput(
            f"the recording is {1000 * len(recording) / sample_rate:.1f} ms long; give one of"
            f" {1000 * SHORTEST_GAP:g} ms or more, which a hit lasts at least."
        )
    rate, silence = instrument.sample_rate, 10 ** (SILENCE_DB / 20)
    recording = resample(recording, sample_rate, rate)
    if np.abs(recording).max() < silence:
        raise BadInput("the recording is silent; give one with hits.")
    starts = np.round(find_onsets(recording, rate) * rate).astype(int)
    ends = np.append(starts, len(recording))[1:]
    cut = [recording[start : min(end, start + instrument.num_samples)] for start, end in zip(starts, ends, strict=True)]
    # An encoder refuses silence, and judges it after the fades.
    kept = [bool(np.abs(sound).max() >= 2 * silence) for sound in cut]
    if not any(kept):
        raise BadInput("no onset was found in the recording; give one with hits, such as a drum loop.")
    sounds = tuple(sound for sound, keep in zip(cut, kept, strict=True) if keep)
    return Hits(recording, rate, starts[np.array(kept)], sounds)


def encode_hits(instrument: Any, hits: Hits) -> Latents:
    """Latents of the hits, each brought to the form of the training data; see Instrument.encode."""
    if not isinstance(instrument, CanEncode):
        raise BadInput(f"an instrument of kind {shown(instrument.kind)} does not encode; choose one with an encoder.")
    return instrument.encode(hits.sounds, hits.sample_rate)


def put_back(hits: Hits, sounds: Sounds) -> np.ndarray:
    """A loop [samples] float32, as long as the recording, of one sound for each hit, at the hit's time and level.

    The attack of a sound is where that of the recorded hit is. Sounds ring over the next ones; the end of the loop cuts
    them, with a fade of 5 ms. All of it is softer where the true peak would exceed -0.3 dB of full scale.

    Raises:
        BadInput: there is not one sound for each hit, or their sample rates differ.
    """
    if len(sounds.waveforms) != len(hits) or sounds.sample_rate != hits.sample_rate:
        raise BadInput(
            f"{len(sounds.waveforms)} sounds do not fit {len(hits)} hits; give one of the same rate for each."
        )
    rate = hits.sample_rate
    loop = np.zeros(len(hits.recording))
    for start, recorded, made in zip(hits.starts, hits.sounds, sounds.waveforms, strict=True):
        level = _loudest(made, len(recorded), rate)
        gain = _loudest(recorded, len(recorded), rate) / level if level > 0 else 0.0
        first = start + _attack(recorded, rate) - _attack(made, rate)
        # Of a sound whose attack is later than the hit's, in the first instant of the loop, the beginning is cut.
        heard = made[max(-first, 0) : len(loop) - first]
        loop[max(first, 0) : max(first, 0) + len(heard)] += gain * heard
    fade = min(round(_FADE_OUT * rate), len(loop))
    loop[len(loop) - fade :] *= np.linspace(1.0, 0.0, fade)
    highest = float(true_peaks(loop[None])[0])
    return (loop * min(1.0, 10 ** (TRUE_PEAK_DB / 20) / max(highest, 1e-12))).astype(np.float32)


def agreement(hits: Hits, loop: np.ndarray) -> Agreement:
    """Compare a loop [samples] with the recording of the hits; its onsets are found as the recording's were."""
    found = find_onsets(loop, hits.sample_rate)
    errors = np.abs(found[None] - hits.times[:, None]).min(axis=1, initial=np.inf)
    heard = errors[errors <= _SAME]
    windows = [
        (hits.recording[start : start + len(sound)], loop[start : start + len(sound)])
        for start, sound in zip(hits.starts, hits.sounds, strict=True)
    ]
    levels = np.array([[_decibels(_loudest(one, len(one), hits.sample_rate)) for one in pair] for pair in windows])
    alike = len(levels) < 3 or bool((np.ptp(levels, axis=0) == 0).any())
    return Agreement(
        len(hits),
        len(found),
        len(heard),
        float(1000 * np.median(heard)) if len(heard) else None,
        float(np.mean(errors <= _IN_TIME)),
        None if alike else float(np.corrcoef(levels.T)[0, 1]),
    )


def _loudest(sound: np.ndarray, length: int, sample_rate: int) -> float:
    """RMS of the loudest 50 ms of the first `length` samples of a sound, or of all of these if there are fewer."""
    sound = sound[:length]
    window = min(round(_LOUDEST * sample_rate), len(sound))
    energy = np.cumsum(np.pad(np.square(sound, dtype=np.float64), (1, 0)))
    return float(np.sqrt(max((energy[window:] - energy[:-window]).max(), 0.0) / window))


def _attack(sound: np.ndarray, sample_rate: int) -> int:
    """Index at which a sound first is within 20 dB of the peak of its first 50 ms."""
    level = np.abs(sound[: round(_LOUDEST * sample_rate)])
    return int(np.argmax(level >= level.max() * 10 ** (_ATTACK_DB / 20)))


def _decibels(value: float) -> float:
    return float(20 * np.log10(max(value, 1e-6)))
