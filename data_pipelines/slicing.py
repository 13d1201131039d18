"""Slicing of recordings into examples of one length.

Each kind is a frozen dataclass. For mono float32 samples at the representation's sample rate, `slices` yields Slices of
exactly `num_samples` in order of their start, and a Skip with the reason for each part that gives none. No rule holds
more than a few minutes of a recording at a time.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from drumgan_jax.audio import one_shot
from drumgan_jax.audio.signal import Samples
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import build_part, real, whole
from drumgan_jax.data_pipelines import stretch
from drumgan_jax.data_pipelines.beats import Grid, find_beats, loop_grid

# Lowest clarity of a beat; noise stays below it.
_MIN_CLARITY = 3.5
# Seconds by which cuts precede a tracked beat, so that the tracking error never cuts off an attack.
_EARLY = 0.005
# Seconds of a recording that have one beat, and are stretched at once: that takes some 150 MB at 44.1 kHz.
_ONE_BEAT = 120.0
# Seconds by which a part precedes the bar that it should start with, so that its attack is heard.
_LEAD = 0.1
_NO_TEMPO = (
    "no tempo: neither its name nor the manifest gives one, and no steady beat was found; write its BPM in the name, as"
    " in loop_120bpm.wav, or in the manifest's column bpm"
)
_NO_DOWNBEAT = (
    "no downbeat: it is not a whole number of bars long at its BPM, and its beat is too faint to track; cut it from"
    " downbeat to downbeat, or correct its BPM"
)


@dataclasses.dataclass(frozen=True)
class Slice:
    """One example's samples.

    Attributes:
        waveform: [num_samples].
        start: where it starts in the recording, in seconds.
        tempo: of the recording there, in BPM, if the rule cuts by it.
    """

    waveform: np.ndarray
    start: float
    tempo: float | None = None


@dataclasses.dataclass(frozen=True)
class Skip:
    """The reason why the recording gave no slice from `start` seconds on."""

    reason: str
    start: float = 0.0


class Slicing(Protocol):
    """A rule that cuts recordings into examples."""

    def slices(self, samples: Samples, sample_rate: int, num_samples: int, bpm: float | None) -> Iterator[Slice | Skip]:
        """Yield slices of samples [samples] float32; `bpm` is the recording's tempo if it is known."""

    @property
    def stretches(self) -> bool:
        """Whether the rule needs the time-stretching library."""

    @property
    def period(self) -> float | None:
        """Seconds after which a slice can be repeated; None if slices are no loops."""

    @property
    def min_seconds(self) -> float:
        """Length of the shortest sound that is sliced (audio.one_shot.is_shorter); 0 where the rule tells it."""

    @property
    def meter(self) -> int:
        """Beats per bar."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneShot(one_shot.OneShot):
    """One slice per file, from its onset, padded with silence or cut to length, with fades at both ends."""

    stretches = False
    period = None
    meter = 4

    def slices(self, samples: Samples, sample_rate: int, num_samples: int, bpm: float | None) -> Iterator[Slice | Skip]:
        """Yield one slice, or a Skip if the file is silent."""
        start = self.start(samples, sample_rate)
        if start is None:
            yield Skip("silent")
            return
        sound = self.cut(samples[start : start + num_samples], sample_rate, num_samples)
        yield Slice(_fit(sound, num_samples), start / sample_rate)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loop:
    """Slices of a fixed length at a fixed stride.

    Attributes:
        seconds: length of a slice, padded with silence to the representation's length; 0 for the latter.
        stride: seconds between the starts of successive slices; 0 for the length.
        min_fill: smallest fraction of the length that the last slice needs to be kept, padded.
    """

    seconds: float = real(0.0, math.inf, 0.0)
    stride: float = real(0.0, math.inf, 0.0)
    min_fill: float = real(0.0, 1.0, 1.0, above=True)

    stretches = False
    period = None
    min_seconds = 0.0
    meter = 4

    def slices(self, samples: Samples, sample_rate: int, num_samples: int, bpm: float | None) -> Iterator[Slice | Skip]:
        """Yield as many slices as fit."""
        length = min(round(self.seconds * sample_rate) or num_samples, num_samples)
        stride = round(self.stride * sample_rate) or length
        needed = max(1, int(np.ceil(self.min_fill * length)))
        if len(samples) < needed:
            yield Skip("shorter than one slice")
        for start in range(0, len(samples) - needed + 1, stride):
            yield Slice(_fit(samples[start : start + length], num_samples), start / sample_rate)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """Slices from downbeat to downbeat, stretched to one tempo (pjloopgan: one bar at 120 BPM, 2 seconds).

    A file that is a whole number of bars long at its tempo is assumed to start on a downbeat, as loops do; in others
    the beat is tracked. Recordings of more than two minutes are cut part by part, each with a beat of its own, from the
    end of the last bar of the one before.

    Attributes:
        tempo: tempo after stretching, in BPM.
        bars: bars per slice.
        beats: beats per bar.
        prior: expected tempo of files of unknown tempo, in BPM.
        max_stretch: largest stretching factor in either direction; other files are skipped.
        crossfade: seconds over which a slice's end fades into what precedes its start, so that it repeats without a
            click; not of slices that are cut to fewer samples than the bars have.
    """

    tempo: float = real(30.0, 300.0, 120.0)
    bars: int = whole(1, 1)
    beats: int = whole(1, 4)
    prior: float = real(30.0, 300.0, 120.0)
    max_stretch: float = real(1.0, math.inf, 2.0)
    crossfade: float = real(0.0, 0.1, 0.005)

    stretches = True
    min_seconds = 0.0

    @property
    def period(self) -> float:
        """Seconds of a slice's bars."""
        return self.bars * self.beats * 60 / self.tempo

    @property
    def meter(self) -> int:
        """Beats per bar."""
        return self.beats

    def slices(self, samples: Samples, sample_rate: int, num_samples: int, bpm: float | None) -> Iterator[Slice | Skip]:
        """Yield every complete group of bars."""
        # Even the longest bars allowed fit in a part.
        most = round(max(_ONE_BEAT, 2 * self.period * self.max_stretch) * sample_rate)
        start, end = 0, most
        while end < len(samples):
            bars_end = end
            for piece in self._part(samples[start:end], sample_rate, num_samples, bpm, is_whole=False, is_last=False):
                if isinstance(piece, Slice) and piece.tempo:
                    seconds = piece.start + self.bars * self.beats * 60 / piece.tempo - _LEAD
                    bars_end = min(start + round(seconds * sample_rate), end)
                yield dataclasses.replace(piece, start=start / sample_rate + piece.start)
            start, end = bars_end, bars_end + most
        for piece in self._part(samples[start:], sample_rate, num_samples, bpm, is_whole=start == 0, is_last=True):
            yield dataclasses.replace(piece, start=start / sample_rate + piece.start)

    def _part(
        self,
        samples: np.ndarray,
        sample_rate: int,
        num_samples: int,
        bpm: float | None,
        *,
        is_whole: bool,
        is_last: bool,
    ) -> Iterator[Slice | Skip]:
        """Yield the bars of a part [samples] of a recording, which has one beat."""
        length = self.period
        # The shortest possible slice, at the fastest tempo allowed.
        if len(samples) / sample_rate < 0.98 * length / self.max_stretch:
            yield Skip(self._no_bar())
            return
        grid, early = self._grid(samples, sample_rate, bpm, is_whole)
        if grid is None:
            yield Skip(_NO_DOWNBEAT if bpm else _NO_TEMPO)
            return
        speed = self.tempo / grid.tempo
        if not 1 / self.max_stretch <= speed <= self.max_stretch:
            yield Skip(
                f"tempo too far from {self.tempo:g} BPM: it would be stretched by more than a factor of"
                f" {self.max_stretch:g}; correct its BPM, or raise config.slicing.max_stretch"
            )
            return
        stretched = stretch.time_stretch(samples, sample_rate, speed)
        # Allows for a loop's last bar that was cut a little short.
        end = len(stretched) / sample_rate + (0.02 * length if is_last else 0.0)
        starts = np.arange(grid.first_downbeat / speed, end - length, length)
        if not len(starts):
            yield Skip(self._no_bar())
        for start in starts:
            first = max(0, round((start - early) * sample_rate))
            whole_length = round(length * sample_rate)
            bar = stretched[first : first + min(num_samples, whole_length)]
            if len(bar) == whole_length:
                # A loop's end comes before its start.
                end = first or round((starts[-1] + length) * sample_rate)
                bar = self._without_seam(bar, stretched[:end], sample_rate)
            yield Slice(_fit(bar, num_samples), first / sample_rate * speed, grid.tempo)

    def _without_seam(self, bar: np.ndarray, before: np.ndarray, sample_rate: int) -> np.ndarray:
        """The bar [samples], its end faded into the end of what was `before` it [samples]."""
        count = min(round(self.crossfade * sample_rate), len(before))
        fade = np.linspace(0.0, 1.0, count + 2, dtype=np.float32)[1:-1]
        end = bar[len(bar) - count :] * (1 - fade) + before[len(before) - count :] * fade
        return np.concatenate([bar[: len(bar) - count], end])

    def _no_bar(self) -> str:
        needed = f"{self.bars} whole bars" if self.bars > 1 else "a whole bar"
        remedy = ", lower config.slicing.bars" if self.bars > 1 else ""
        return (
            f"shorter than {needed} of {self.beats} beats from its first downbeat on; correct its BPM in the name or"
            f" the manifest{remedy}, or give a longer recording"
        )

    def _grid(
        self, samples: np.ndarray, sample_rate: int, bpm: float | None, is_whole: bool
    ) -> tuple[Grid | None, float]:
        """The beat, and the number of seconds by which cuts precede it."""
        duration = len(samples) / sample_rate
        grid = loop_grid(duration, bpm, self.beats) if bpm and is_whole else None
        if grid:
            return grid, 0.0
        grid = find_beats(samples, sample_rate, bpm or self.prior, known=bpm is not None, meter=self.beats)
        if grid is None or grid.clarity < _MIN_CLARITY:
            return None, 0.0
        as_loop = loop_grid(duration, grid.tempo, self.beats) if is_whole else None
        return (as_loop, 0.0) if as_loop else (grid, _EARLY)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mix:
    """electrogan's rule for long mixes, applied minute by minute.

    A minute is beat-tracked, kept if its tempo is within limits, stretched to one tempo, and cut into clips with a
    stride in beats from its first downbeat on.

    Attributes:
        min_tempo: lowest tempo kept, in BPM.
        max_tempo: highest tempo kept, in BPM.
        tempo: tempo after stretching, in BPM.
        stride_beats: beats between the starts of successive clips.
        block: length of the parts tracked separately, in seconds.
    """

    min_tempo: float = real(30.0, 300.0, 120.0)
    max_tempo: float = real(30.0, 300.0, 145.0)
    tempo: float = real(30.0, 300.0, 130.0)
    stride_beats: int = whole(1, 8)
    block: float = real(0.0, math.inf, 60.0, above=True)

    def __post_init__(self) -> None:
        if not self.min_tempo < self.max_tempo:
            raise BadInput(f"config.slicing.max_tempo is {self.max_tempo}; it must be above min_tempo.")

    stretches = True
    period = None
    min_seconds = 0.0
    meter = 4

    def slices(self, samples: Samples, sample_rate: int, num_samples: int, bpm: float | None) -> Iterator[Slice | Skip]:
        """Yield the clips of each minute."""
        block = round(self.block * sample_rate)
        for start in range(0, max(len(samples), 1), block):
            yield from self._minute(samples[start : start + block], start / sample_rate, sample_rate, num_samples, bpm)

    def _minute(
        self, samples: np.ndarray, offset: float, sample_rate: int, num_samples: int, bpm: float | None
    ) -> Iterator[Slice | Skip]:
        if len(samples) < num_samples * self.tempo / self.max_tempo:
            yield Skip("minute shorter than one clip", offset)
            return
        prior = bpm or float(np.sqrt(self.min_tempo * self.max_tempo))
        grid = find_beats(samples, sample_rate, prior, known=bpm is not None)
        if grid is None or grid.clarity < _MIN_CLARITY:
            yield Skip("no beat found in the minute", offset)
            return
        if not self.min_tempo <= grid.tempo <= self.max_tempo:
            yield Skip(f"tempo of the minute outside {self.min_tempo:g} to {self.max_tempo:g} BPM", offset)
            return
        speed = self.tempo / grid.tempo
        stretched = stretch.time_stretch(samples, sample_rate, speed)
        stride = self.stride_beats * 60 / self.tempo
        starts = np.arange(grid.first_downbeat / speed, (len(stretched) - num_samples) / sample_rate, stride)
        if not len(starts):
            yield Skip("minute shorter than one clip", offset)
        for start in starts:
            first = max(0, round((start - _EARLY) * sample_rate))
            waveform = stretched[first : first + num_samples]
            yield Slice(waveform, offset + first / sample_rate * speed, grid.tempo)


SLICINGS = {"one_shot": OneShot, "loop": Loop, "bar": Bar, "mix": Mix}


def build_slicing(settings: Mapping[str, Any]) -> Slicing:
    """Build the slicing rule from config.slicing.

    Raises:
        BadInput: the kind or a field is unknown, or a value is out of range.
    """
    return build_part(SLICINGS, settings, "slicing")


def _fit(samples: np.ndarray, length: int) -> np.ndarray:
    return np.pad(samples[:length], (0, max(0, length - len(samples))))
