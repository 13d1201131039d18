"""Tempo and beats of music with a steady beat, by an autocorrelation and a comb fitted to the onsets.

Loops and electronic music keep one tempo over a minute, so two numbers, period and phase, determine all beats. They are
estimated to a few milliseconds by fitting a comb to onset envelopes, first coarsely to that of a spectrogram, then
finely to one with a resolution of a millisecond.
"""

import dataclasses

import numpy as np
import soxr

from drumgan_jax.audio.power_spectra import mel_rises
from drumgan_jax.data.patterns import STEPS
from drumgan_jax.data_pipelines.downbeats import bar_starts

ANALYSIS_RATE = 22050
_HOP = 128
_N_FFT = 1024
_BANDS = 40
_RANGE_DB = 60.0
_LOW_BANDS = 2  # Up to about 130 Hz.
FINE_RATE = 1050  # ANALYSIS_RATE / 21: about one value per millisecond.
_REACH = 0.04  # Seconds that the fine fit searches on either side of the coarse one.
_MAX_TEMPO = 320.0
_PATTERN_METER = 4  # Beats per bar of the patterns that downbeats.py knows.
_ON_BEAT = 5.0  # Logarithmic odds that the comb's teeth are beats: a bass line or chords fit no pattern of drums.


@dataclasses.dataclass(frozen=True)
class Grid:
    """A steady beat.

    Attributes:
        tempo: beats per minute.
        first: time of the first beat in seconds, less than one beat from the start.
        downbeat: number of beats from the first beat to the first downbeat.
        clarity: relative excess of the onset strength on the beats over its mean, times the root of the number of
            beats: noise of any length stays below 3.5, drums are at 9 or more.
    """

    tempo: float
    first: float
    downbeat: int
    clarity: float

    @property
    def period(self) -> float:
        """Seconds between successive beats."""
        return 60 / self.tempo

    @property
    def first_downbeat(self) -> float:
        """Time of the first downbeat in seconds."""
        return self.first + self.downbeat * self.period


def find_beats(samples: np.ndarray, sample_rate: int, prior: float, known: bool = False, meter: int = 4) -> Grid | None:
    """The steady beat of samples [samples], or None if they are too short or have no onsets.

    Args:
        samples: mono waveform [samples].
        sample_rate: in Hz.
        prior: expected tempo, in BPM.
        known: whether the prior is the actual tempo up to rounding, as in a file's name.
        meter: beats per bar.
    """
    if len(samples) < 2 * sample_rate * 60 / prior or not np.any(samples):
        return None
    audio = soxr.resample(samples, sample_rate, ANALYSIS_RATE).astype(np.float32)
    envelope, low = _onset_envelopes(audio)
    if not np.any(envelope):
        return None
    rate = ANALYSIS_RATE / _HOP
    tempo = prior
    if not known:
        tempo = _periodicity(envelope, rate, prior)
    tolerance = 0.01 if known else 0.05
    combined = envelope / envelope.mean() + low / max(float(low.mean()), 1e-9)
    period, phase = _fit(combined, rate, _periods(tempo, tolerance, len(samples) / sample_rate), None)
    fine = rise_of_level(audio)
    step = 2 * period * tolerance / 60
    period, phase = _fit(fine, FINE_RATE, np.linspace(period - step, period + step, 61), phase)
    phase %= period
    beats = phase + period * np.arange(int((len(samples) / sample_rate - phase) / period) + 1)
    contrast = float(_at(combined, rate, beats).mean() / combined.mean()) - 1
    if meter == _PATTERN_METER:
        downbeat, off_beat = _in_pattern(audio, float(phase), float(period), known)
        phase = (phase + off_beat) % period
    else:
        downbeat = _downbeat(_at(low, rate, beats), _at(envelope, rate, beats), meter)
    return Grid(60 / period, float(phase), downbeat, contrast * len(beats) ** 0.5)


def loop_grid(duration: float, tempo: float, meter: int, tolerance: float = 0.02) -> Grid | None:
    """The beat of a loop of whole bars from its first to its last sample; None if its length is not whole bars.

    Args:
        duration: length of the file, in seconds.
        tempo: approximate tempo, in BPM.
        meter: beats per bar.
        tolerance: largest relative error of the tempo.
    """
    bars = duration * tempo / 60 / meter
    whole = round(bars)
    if whole == 0 or abs(bars - whole) > tolerance * whole:
        return None
    return Grid(60 * whole * meter / duration, 0.0, 0, np.inf)


def _in_pattern(audio: np.ndarray, phase: float, period: float, known: bool) -> tuple[int, float]:
    """Number of the beat that starts the bars, and seconds from the comb's beats to the beats.

    The two differ where most strokes are off the beat, as in dembow; only a known tempo tells, because at a wrong one
    no pattern fits.
    """
    per_beat = STEPS // _PATTERN_METER
    likelihood = bar_starts(audio, ANALYSIS_RATE, phase, period / per_beat)
    if known:
        likelihood[::per_beat] += _ON_BEAT
        start = int(np.argmax(likelihood))
    else:
        start = per_beat * int(np.argmax(likelihood[::per_beat]))
    off_beat = start % per_beat * period / per_beat
    # The first beat is less than one period from the start of the file, so that an offset may skip one.
    return (start // per_beat + int((phase + off_beat) // period)) % _PATTERN_METER, off_beat


def _downbeat(low: np.ndarray, everything: np.ndarray, meter: int) -> int:
    """Number of the beat that starts the bars, from onset strengths [beats]: kicks are on it, backbeats one later."""
    if len(low) < meter:
        return 0
    kicks = np.array([low[beat::meter].mean() for beat in range(meter)]) / max(float(low.mean()), 1e-9)
    others = np.array([everything[beat::meter].mean() for beat in range(meter)]) / max(float(everything.mean()), 1e-9)
    snares = others - kicks
    odd = sum(np.roll(snares, -beat) for beat in range(1, meter, 2))
    even = sum(np.roll(snares, -beat) for beat in range(0, meter, 2))
    return int(np.argmax(kicks + odd - even))


def _onset_envelopes(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Onset strength [frames] of all bands and of the lowest bands (kicks), with _HOP samples per frame."""
    rises = mel_rises(audio, ANALYSIS_RATE, _N_FFT, _HOP, _BANDS, _RANGE_DB)
    return rises.mean(axis=1), rises[:, :_LOW_BANDS].mean(axis=1)


def _periodicity(envelope: np.ndarray, rate: float, prior: float) -> float:
    """Tempo of the strongest autocorrelation up to 8 seconds, preferred by octaves from the prior (Ellis 2007)."""
    lags = np.arange(1, min(round(8 * rate), len(envelope)))
    spectrum = np.fft.rfft(envelope, 2 * len(envelope))
    autocorrelation = np.fft.irfft(np.square(np.abs(spectrum)))
    strength = np.log1p(1e6 * np.maximum(autocorrelation[lags] / autocorrelation[0], 0))
    tempi = 60 * rate / lags
    strength[tempi >= _MAX_TEMPO] = -np.inf
    return float(tempi[np.argmax(strength - 0.5 * np.square(np.log2(tempi / prior)))])


def rise_of_level(audio: np.ndarray) -> np.ndarray:
    """Rise of the level within the loudest 40 dB [frames], with about one frame per millisecond."""
    block = ANALYSIS_RATE // FINE_RATE
    power = np.square(audio[: len(audio) // block * block].reshape(-1, block)).mean(1)
    power = np.convolve(power, np.ones(3) / 3, mode="same")
    level = np.log(power + 1e-4 * power.max())
    # The rise over 3 blocks, assigned to the last, locates the onset of synthesised hits within a millisecond.
    rise = np.maximum(np.append(np.zeros(3), level[3:] - level[:-3]), 0)
    return np.convolve(rise, np.hanning(11), mode="same")


def _periods(tempo: float, tolerance: float, duration: float) -> np.ndarray:
    """Candidate periods, spaced so that the last beat moves by at most 10 ms between neighbours."""
    period = 60 / tempo
    count = 2 * int(np.ceil(tolerance * duration / 0.01 / 2)) + 1
    return np.linspace(period * (1 - tolerance), period * (1 + tolerance), max(count, 9))


def _fit(envelope: np.ndarray, rate: float, periods: np.ndarray, near: float | None) -> tuple[float, float]:
    """Period and phase in seconds of the comb with the highest mean envelope on its teeth."""
    duration = len(envelope) / rate
    best = (-np.inf, 0.0, 0.0)
    for period in periods:
        first, last = (0.0, period) if near is None else (near - _REACH, near + _REACH)
        phases = np.arange(first, last, 1 / rate)
        teeth = phases[:, None] + period * np.arange(int(duration / period))
        scores = _at(envelope, rate, teeth).mean(1)
        top = int(np.argmax(scores))
        if scores[top] > best[0]:
            best = (float(scores[top]), float(period), float(phases[top]))
    return best[1], best[2]


def _at(envelope: np.ndarray, rate: float, times: np.ndarray) -> np.ndarray:
    frames = np.round(times * rate).astype(np.int64)
    inside = (frames >= 0) & (frames < len(envelope))
    return np.where(inside, envelope[np.clip(frames, 0, len(envelope) - 1)], 0.0)
