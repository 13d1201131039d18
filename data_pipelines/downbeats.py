"""The first step of the bar, by the likelihood of the sequencer's patterns.

At each of the 16 steps, the rises of frequency bands tell whether a kick, a drum or percussion, or a cymbal sounds.
A pattern gives the probability of a stroke of each group at each step (data/patterns.py). The rotation whose strokes
are the likeliest under all genres starts the bar.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np

from drumgan_jax.audio.power_spectra import power_spectra
from drumgan_jax.data.patterns import GENRES, MARKS, STEPS

_HOP, _WINDOW = 128, 1024  # At 22,050 Hz, to which all constants of this module belong.
# Rises are looked for from before the step, as strokes smear, to where a swung one is.
_EARLIEST, _SPAN = -0.2, 0.75  # Of a step.
_RISE_FRAMES = 3
_TOP = 97  # Percentile of a band's rises to which the others are compared.
# Certainty of a stroke and its absence, so that a single step never decides.
_HEARD, _PLAYED = 0.06, 0.09


class _Group(NamedTuple):
    """Voices that are told apart from others by a band.

    Attributes:
        voices: of data/patterns.py.
        band: lowest and highest frequency, in Hz.
        threshold: rise that is a stroke as likely as not, in dB relative to the band's strongest.
        width: dB by which the logarithmic odds of a stroke change by 1.
        weight: of its logarithmic likelihood, below 1 for strokes that are heard less clearly.
    """

    voices: tuple[str, ...]
    band: tuple[float, float]
    threshold: float
    width: float
    weight: float


_GROUPS = (
    _Group(("kick",), (30.0, 140.0), -9.0, 2.3, 1.0),
    _Group(("snare", "clap", "rim", "percussion", "tom"), (220.0, 5000.0), -22.0, 4.5, 0.75),
    _Group(("snare", "clap"), (900.0, 6000.0), -8.0, 2.4, 0.47),  # Loud ones, which a kick's click is not.
    _Group(("closed_hat", "open_hat", "ride", "crash"), (7000.0, 11000.0), -15.0, 4.4, 0.55),
)


class _Lines(NamedTuple):
    """Combinations of the lines of a group's voices in a genre.

    Attributes:
        chances: the distinct probabilities of a stroke [chances].
        numbers: for each combination and step, its number there [combinations, steps].
        weights: logarithmic probability of a combination [combinations].
    """

    chances: np.ndarray
    numbers: np.ndarray
    weights: np.ndarray


def bar_starts(audio: np.ndarray, sample_rate: int, phase: float, step: float) -> np.ndarray:
    """Logarithmic likelihoods [16] that a bar starts at the n-th step of a steady grid.

    Args:
        audio: mono waveform [samples] at 22,050 Hz.
        sample_rate: in Hz.
        phase: time of the grid's first step, in seconds.
        step: seconds between steps.
    """
    strokes = _strokes(audio, sample_rate, phase, step)
    of_genres = []
    for genre in GENRES:
        total = np.zeros(STEPS)
        for group, heard, lines in zip(_GROUPS, strokes, _lines(genre), strict=True):
            chances = lines.chances[:, None]
            evidence = np.log(chances * heard + (1 - chances) * (1 - heard))
            in_bar = np.pad(evidence, ((0, 0), (0, -evidence.shape[1] % STEPS))).reshape(len(chances), -1, STEPS).sum(1)
            for start in range(STEPS):
                turned = np.roll(in_bar, -start, axis=1)
                likelihood = turned[lines.numbers, np.arange(STEPS)].sum(1)
                total[start] += group.weight * np.logaddexp.reduce(likelihood + lines.weights)
        of_genres.append(total)
    return np.logaddexp.reduce(of_genres)


def _strokes(audio: np.ndarray, sample_rate: int, phase: float, step: float) -> list[np.ndarray]:
    """Probability [steps] of a stroke of each group, by the rise of its band."""
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / sample_rate)
    bands = np.array([(frequencies >= low) & (frequencies < high) for low, high in (group.band for group in _GROUPS)])
    spectra = power_spectra(np.pad(audio, (0, _WINDOW)), _WINDOW, _HOP)
    levels = np.sqrt(np.concatenate([power @ bands.T.astype(np.float32) for power in spectra]))
    rate = sample_rate / _HOP
    starts = np.arange(phase, len(audio) / sample_rate, step) + _EARLIEST * step
    frames = np.round(starts * rate).astype(np.int64)[:, None] + np.arange(max(int(_SPAN * step * rate), 1))
    inside = (frames >= 0) & (frames < len(levels))
    found = []
    for group, level in zip(_GROUPS, levels.T, strict=True):
        rises = np.maximum(level - np.pad(level, (_RISE_FRAMES, 0))[:-_RISE_FRAMES], 0)
        rise = np.where(inside, rises[np.clip(frames, 0, len(levels) - 1)], 0).max(1)
        decibels = 20 * np.log10(np.maximum(rise, 1e-9) / max(float(np.percentile(rise, _TOP)), 1e-9))
        odds = np.clip((decibels - group.threshold) / group.width, -50, 50)
        found.append(np.clip(1 / (1 + np.exp(-odds)), _HEARD, 1 - _HEARD))
    return found


@functools.cache
def _lines(genre: str) -> tuple[_Lines, ...]:
    """The combinations of lines of each group."""
    found = []
    for group in _GROUPS:
        voices = [lines for voice, lines in GENRES[genre].lines.items() if voice in group.voices]
        combined = list(itertools.product(*voices))
        silent = [np.prod([1 - _chances(line) for line in lines], axis=0) for lines in combined]
        rows, counts = np.unique(np.clip(1 - np.array(silent), _PLAYED, 1 - _PLAYED), axis=0, return_counts=True)
        chances, numbers = np.unique(rows, return_inverse=True)
        found.append(_Lines(chances, numbers.reshape(rows.shape), np.log(counts / counts.sum())))
    return tuple(found)


def _chances(line: str) -> np.ndarray:
    """Probability of a stroke at each step of a line [steps]."""
    return np.array([MARKS[mark].probability for mark in line or "." * STEPS])
