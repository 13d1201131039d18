"""A procedural drum set: one-shots of six classes with random parameters, and bars sequenced from them by genre.

Everything is a pure function of (class, index, seed), so data sets made from it are the same on every machine.
"""

from collections.abc import Callable

import numpy as np

from drumgan_jax.data import patterns as sequencing
from drumgan_jax.data.patterns import at_peak

SAMPLE_RATE = sequencing.SAMPLE_RATE

# Ranges of a hat's length in seconds.
_CLOSED, _OPEN = (0.04, 0.12), (0.25, 0.6)


def _seconds(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _decay(t: np.ndarray, time: float) -> np.ndarray:
    """Exponential envelope that falls by 60 dB in `time` seconds."""
    return np.exp(-6.9078 * t / time)


def _band(noise: np.ndarray, low: float, high: float) -> np.ndarray:
    """Band-pass `noise` between two frequencies in Hz, with a fourth-order magnitude response."""
    spectrum = np.fft.rfft(noise)
    frequency = np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE)
    gain = 1 / (1 + (frequency / high) ** 4) * (frequency / low) ** 4 / (1 + (frequency / low) ** 4)
    return np.fft.irfft(spectrum * gain, len(noise))


def _sweep(t: np.ndarray, start: float, end: float, time: float) -> np.ndarray:
    """Sine whose frequency falls from `start` to `end` Hz with time constant `time` seconds."""
    phase = end * t + (start - end) * time * (1 - np.exp(-t / time))
    return np.sin(2 * np.pi * phase)


def kick(rng: np.random.Generator) -> np.ndarray:
    """A falling sine with a click."""
    length = rng.uniform(0.2, 0.6)
    t = _seconds(length)
    body = _sweep(t, rng.uniform(120, 320), rng.uniform(38, 65), rng.uniform(0.015, 0.05)) * _decay(t, length)
    click = _band(rng.standard_normal(len(t)), 1500, 8000) * _decay(t, rng.uniform(0.005, 0.02))
    return np.tanh(rng.uniform(1, 3) * body) + rng.uniform(0.05, 0.4) * click


def snare(rng: np.random.Generator) -> np.ndarray:
    """Two drum-head tones and a band of noise."""
    length = rng.uniform(0.15, 0.45)
    t = _seconds(length)
    low = rng.uniform(150, 230)
    head = _sweep(t, low * 1.6, low, 0.01) + 0.6 * np.sin(2 * np.pi * low * rng.uniform(1.6, 1.9) * t)
    wires = _band(rng.standard_normal(len(t)), rng.uniform(800, 2500), rng.uniform(6000, 12000))
    return head * _decay(t, length * rng.uniform(0.4, 0.8)) + rng.uniform(1.5, 4) * wires * _decay(t, length)


def hat(rng: np.random.Generator) -> np.ndarray:
    """Square waves of inharmonic frequencies, and noise, above 6 to 8.5 kHz; closed or open by its length."""
    return _hat(rng, rng.choice([rng.uniform(*_CLOSED), rng.uniform(*_OPEN)]))


def _hat(rng: np.random.Generator, length: float) -> np.ndarray:
    return _metal(rng, length, low=rng.uniform(6000, 8500), noise=0.5)


def cymbal(rng: np.random.Generator) -> np.ndarray:
    """A longer, noisier and darker variant of the hat."""
    return _metal(rng, rng.uniform(0.9, 1.8), low=rng.uniform(2500, 4500), noise=1.0)


def _metal(rng: np.random.Generator, length: float, low: float, noise: float) -> np.ndarray:
    t = _seconds(length)
    base = rng.uniform(300, 500)
    ratios = np.array([1.0, 1.48, 1.83, 2.54, 3.01, 4.16]) * rng.uniform(0.97, 1.03, 6)
    tones = np.sign(np.sin(2 * np.pi * base * ratios[:, None] * t + rng.uniform(0, 6.28, (6, 1)))).sum(0) / 6
    return _band(tones + noise * rng.standard_normal(len(t)), low, 16000) * _decay(t, length)


def tom(rng: np.random.Generator) -> np.ndarray:
    """A tuned drum head with some noise at the attack."""
    length = rng.uniform(0.3, 0.7)
    t = _seconds(length)
    pitch = rng.uniform(75, 220)
    head = _sweep(t, pitch * rng.uniform(1.2, 1.7), pitch, rng.uniform(0.03, 0.08)) * _decay(t, length)
    stroke = _band(rng.standard_normal(len(t)), 400, 4000) * _decay(t, 0.03)
    return head + rng.uniform(0.1, 0.4) * stroke


def clap(rng: np.random.Generator) -> np.ndarray:
    """Bursts of band-passed noise a few milliseconds apart, then a tail."""
    t = _seconds(rng.uniform(0.2, 0.4))
    envelope = np.zeros_like(t)
    starts = np.cumsum(rng.uniform(0.007, 0.013, rng.integers(3, 5))) - 0.007
    for start in starts:
        since = t - start
        envelope = np.maximum(envelope, np.where(since >= 0, _decay(np.abs(since), 0.02), 0))
    tail = t - starts[-1]
    envelope = np.maximum(envelope, np.where(tail >= 0, 0.6 * _decay(np.abs(tail), t[-1]), 0))
    return _band(rng.standard_normal(len(t)), rng.uniform(700, 1100), rng.uniform(2500, 6000)) * envelope


VOICES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "kick": kick,
    "snare": snare,
    "hat": hat,
    "cymbal": cymbal,
    "tom": tom,
    "clap": clap,
}


def one_shot(voice: str, index: int, seed: int = 0) -> np.ndarray:
    """The `index`-th sound of a class: float32 [samples] at 44.1 kHz, peak between 0.5 and 0.95."""
    rng = np.random.default_rng([seed, list(VOICES).index(voice), index])
    return at_peak(VOICES[voice](rng), rng.uniform(0.5, 0.95))


def bars(
    index: int, seed: int = 0, count: int = 1, bpm: float = 0.0, genre: str | None = None
) -> tuple[np.ndarray, float]:
    """The `index`-th loop of `count` bars in 4/4: float32 [samples] at 44.1 kHz, and its tempo in BPM.

    See sequencing.play; each loop has its own kit.

    Args:
        index: number of the loop.
        seed: seed of the set.
        count: number of bars.
        bpm: tempo, or 0 to draw one between 90 and 150.
        genre: name in sequencing.GENRES; None to use them in turn.
    """
    rng = np.random.default_rng([seed, len(VOICES), index])
    bpm = sequencing.tempo_of(index, seed, bpm)
    genre = genre or list(sequencing.GENRES)[index % len(sequencing.GENRES)]
    return sequencing.play(genre, _kit(rng), rng, count, bpm), bpm


def _kit(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One sound for each of the sequencer's voices that this set can synthesise."""
    kit = {voice: VOICES[voice](rng) for voice in ("kick", "snare", "clap", "tom")}
    hats = {"closed_hat": _hat(rng, rng.uniform(*_CLOSED)), "open_hat": _hat(rng, rng.uniform(*_OPEN))}
    return {**kit, **hats, "crash": cymbal(rng)}
