"""Tempo and beats of music with a steady beat: librosa's tempo, then a comb fitted to the onsets.

Loops and electronic music keep one tempo over a minute, so two numbers, period and phase, say where all beats are. They
are found to a few milliseconds by fitting a comb to onset envelopes, first coarsely to librosa's, then finely to one
of a millisecond's resolution.
"""

import dataclasses

import numpy as np
import soxr

ANALYSIS_RATE = 22050
_HOP = 128
_BANDS = 40
_LOW_BANDS = 2  # Up to about 130 Hz.
_FINE_RATE = 1050  # ANALYSIS_RATE / 21: one value about every millisecond.
_REACH = 0.04  # The fine fit looks this many seconds about the coarse one.


@dataclasses.dataclass(frozen=True)
class Grid:
    """A steady beat.

    Attributes:
        tempo: beats a minute.
        first: time of the first beat in seconds, less than one beat from the start.
        downbeat: how many beats later the first downbeat is.
        clarity: how far the onset strength on the beats is above its mean, as a fraction of that, times the root of the
            number of beats: noise of any length stays below 3.5, drums are at 9 or more.
    """

    tempo: float
    first: float
    downbeat: int
    clarity: float

    @property
    def period(self) -> float:
        """Seconds from one beat to the next."""
        return 60 / self.tempo

    @property
    def first_downbeat(self) -> float:
        """Time of the first downbeat in seconds."""
        return self.first + self.downbeat * self.period


def find_beats(samples: np.ndarray, sample_rate: int, prior: float, known: bool = False, meter: int = 4) -> Grid | None:
    """The steady beat of samples [n], or None where they are too short or have no onsets.

    Args:
        prior: tempo expected, in BPM.
        known: whether the prior is the tempo itself up to rounding, as one in a file's name.
        meter: beats a bar.
    """
    import librosa

    if len(samples) < 2 * sample_rate * 60 / prior or not np.any(samples):
        return None
    audio = soxr.resample(samples, sample_rate, ANALYSIS_RATE).astype(np.float32)
    envelope, low = _onset_envelopes(audio)
    if not np.any(envelope):
        return None
    rate = ANALYSIS_RATE / _HOP
    tempo = prior
    if not known:
        # Of the whole at once: of windows, as is librosa's habit, a minute takes 800 MB.
        repeats = librosa.autocorrelate(envelope, max_size=round(8 * rate))
        repeats = np.maximum(repeats / repeats[0], 0)
        found = librosa.feature.tempo(tg=repeats[:, None], sr=ANALYSIS_RATE, hop_length=_HOP, start_bpm=prior)
        tempo = float(found[0])
    spread = 0.01 if known else 0.05
    combined = envelope / envelope.mean() + low / max(float(low.mean()), 1e-9)
    period, phase = _fit(combined, rate, _periods(tempo, spread, len(samples) / sample_rate), None)
    fine = _fine_envelope(audio)
    step = 2 * period * spread / 60
    period, phase = _fit(fine, _FINE_RATE, np.linspace(period - step, period + step, 61), phase)
    phase %= period
    beats = phase + period * np.arange(int((len(samples) / sample_rate - phase) / period) + 1)
    downbeat = _downbeat(_at(low, rate, beats), _at(envelope, rate, beats), meter)
    contrast = float(_at(combined, rate, beats).mean() / combined.mean()) - 1
    return Grid(60 / period, float(phase), downbeat, contrast * len(beats) ** 0.5)


def loop_grid(duration: float, tempo: float, meter: int, tolerance: float = 0.02) -> Grid | None:
    """The beat of a file cut as a loop: whole bars from its first to its last sample. None if the length is not so.

    Args:
        duration: of the file, in seconds.
        tempo: in BPM, up to `tolerance` (a fraction).
    """
    measures = duration * tempo / 60 / meter
    whole = round(measures)
    if whole == 0 or abs(measures - whole) > tolerance * whole:
        return None
    return Grid(60 * whole * meter / duration, 0.0, 0, np.inf)


def _downbeat(low: np.ndarray, everything: np.ndarray, meter: int) -> int:
    """Which beat starts the bars, from onset strengths [beats]: kicks are on it, backbeats on the one after it."""
    if len(low) < meter:
        return 0
    kicks = np.array([low[beat::meter].mean() for beat in range(meter)]) / max(float(low.mean()), 1e-9)
    others = np.array([everything[beat::meter].mean() for beat in range(meter)]) / max(float(everything.mean()), 1e-9)
    snares = others - kicks
    odd = sum(np.roll(snares, -beat) for beat in range(1, meter, 2))
    even = sum(np.roll(snares, -beat) for beat in range(0, meter, 2))
    return int(np.argmax(kicks + odd - even))


def _onset_envelopes(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Onset strength [frames] of all and of the lowest bands (kicks), _HOP samples a frame."""
    import librosa

    mel = librosa.feature.melspectrogram(
        y=audio, sr=ANALYSIS_RATE, n_fft=1024, hop_length=_HOP, n_mels=_BANDS, fmin=30.0
    )
    level = librosa.power_to_db(mel, ref=np.max, top_db=60)
    # The mel frames are centred already, hence center=False.
    low, high = librosa.onset.onset_strength_multi(
        S=level, sr=ANALYSIS_RATE, hop_length=_HOP, center=False, channels=[0, _LOW_BANDS, _BANDS]
    )
    return (_LOW_BANDS * low + (_BANDS - _LOW_BANDS) * high) / _BANDS, low


def _fine_envelope(audio: np.ndarray) -> np.ndarray:
    """Rise of the level [milliseconds or so] within the loudest 40 dB."""
    block = ANALYSIS_RATE // _FINE_RATE
    power = np.square(audio[: len(audio) // block * block].reshape(-1, block)).mean(1)
    power = np.convolve(power, np.ones(3) / 3, mode="same")
    level = np.log(power + 1e-4 * power.max())
    # The rise over 3 blocks, at the last of them: where synthesised strokes begin, within a millisecond.
    rise = np.maximum(np.append(np.zeros(3), level[3:] - level[:-3]), 0)
    return np.convolve(rise, np.hanning(11), mode="same")


def _periods(tempo: float, spread: float, duration: float) -> np.ndarray:
    """Periods to try: fine enough that the last beat moves by at most 10 ms from one to the next."""
    period = 60 / tempo
    count = 2 * int(np.ceil(spread * duration / 0.01 / 2)) + 1
    return np.linspace(period * (1 - spread), period * (1 + spread), max(count, 9))


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
