"""A drum sequencer: patterns by genre, and the mixing of a kit's strokes into a loop.

A genre is defined by the positions of its kicks and snares; the rest is random: the choice of a voice's lines, optional
strokes, velocity, swing, and loose timing. Everything is a function of a random generator, so a bar can be reproduced.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

SAMPLE_RATE = 44100
STEPS = 16
MIN_TEMPO, MAX_TEMPO = 30, 300

_DRAWN_TEMPI = (90, 150)
_LEVEL_SPREAD_DB = 2.0
_DARK_HZ = 2500.0
_CHOKE_FADE = 0.005
_LOUDEST = 0.05
_AT_ONCE = 0.02


@dataclasses.dataclass(frozen=True)
class Voice:
    """Playing parameters of one voice of a kit.

    Attributes:
        level: level of its loudest 50 ms in a mix (RMS), in dB relative to the kick.
        seconds: maximum length; longer sounds are cut and faded out.
        stand_ins: voices that replace it in a kit without it, in order of preference.
        choke: name of its choke group, in which any stroke ends its sound; "" lets it ring.
    """

    level: float
    seconds: float
    stand_ins: tuple[str, ...] = ()
    choke: str = ""


VOICES: Mapping[str, Voice] = MappingProxyType(
    {
        "kick": Voice(0.0, 0.6),
        "snare": Voice(-5.0, 0.6, ("clap",)),
        "clap": Voice(-8.0, 0.5, ("snare",)),
        "rim": Voice(-12.0, 0.3),
        "tom": Voice(-6.0, 0.8),
        "closed_hat": Voice(-19.0, 0.2, ("open_hat", "ride", "crash"), choke="hat"),
        "open_hat": Voice(-18.0, 0.8, ("closed_hat", "crash", "ride"), choke="hat"),
        "ride": Voice(-22.0, 1.0, ("closed_hat", "open_hat", "crash"), choke="ride"),
        "crash": Voice(-14.0, 2.0),
        "percussion": Voice(-13.0, 0.8),
    }
)


@dataclasses.dataclass(frozen=True)
class Genre:
    """Patterns and timing of a genre.

    Attributes:
        lines: alternative lines of 16 steps by voice, in the marks of `MARKS`; a loop uses one of them; "" is silence.
        swing: range of the delay of odd steps, as a fraction of a step; a third gives triplets.
        loose: largest random delay of a stroke, in seconds.
        laid_back: range of the delay of snare and clap, in seconds.
    """

    lines: Mapping[str, tuple[str, ...]]
    swing: tuple[float, float] = (0.0, 0.0)
    loose: float = 0.003
    laid_back: tuple[float, float] = (0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Stroke:
    """One stroke: its voice, its start in seconds from the downbeat, and its velocity, above 0 and at most 1."""

    voice: str
    start: float
    velocity: float


class Mark(NamedTuple):
    """A mark of a line: the probability of a stroke, and the range of its velocity."""

    probability: float
    softest: float
    hardest: float


MARKS: Mapping[str, Mark] = MappingProxyType(
    {
        ".": Mark(0.0, 0.0, 0.0),
        "X": Mark(1.0, 0.9, 1.0),
        "x": Mark(0.95, 0.7, 0.9),
        "o": Mark(0.5, 0.65, 0.9),
        "r": Mark(0.15, 0.65, 0.9),
        "g": Mark(0.7, 0.3, 0.5),
    }
)

GENRES: Mapping[str, Genre] = MappingProxyType(
    {
        # Four on the floor, clap on two and four, open hats between the beats.
        "house": Genre(
            {
                "kick": ("X...X...X...X...", "X...X...X...X..r", "X...X...X...X.r."),
                "clap": ("....X.......X...",),
                "snare": ("", "", "....x.......x...", ".......r.......g"),
                "open_hat": ("..X...X...X...X.",),
                "closed_hat": ("", "xg.gxg.gxg.gxg.g", "x..gx..gx..gx..g", "x...x...x...x..."),
                "percussion": ("", "", "...o..o...o..o..", "..r..o..r..o..r."),
                "rim": ("", "", "...r..o....o..r."),
                "crash": ("", "r..............."),
            },
            swing=(0.0, 0.25),
        ),
        # Four on the floor, straight sixteenths, no backbeat; a syncopated counter-rhythm.
        "techno": Genre(
            {
                "kick": ("X...X...X...X...",),
                "closed_hat": ("xgxgxgxgxgxgxgxg", "ggXgggXgggXgggXg", "xxxxxxxxxxxxxxxx"),
                "open_hat": ("", "..x...x...x...x.", "..........x....."),
                "rim": ("", "...x..x...x..x..", "..x..x..x..x..x."),
                "percussion": ("...x..x...x..x..", ".o...o....o..o..", "......x.......x."),
                "tom": ("", "..o..o....o..o..", "...........o.oo."),
                "ride": ("", "", "..x...x...x...x."),
                "clap": ("", "", "", "............x..."),
            },
            loose=0.001,
        ),
        # A broken kick pattern that skips three, backbeat with ghost notes around it.
        "breakbeat": Genre(
            {
                "kick": ("X.X.......XX....", "X.x...X...X.....", "X..x..X...x.....", "X.X.......X..x.."),
                "snare": ("....X..g.g..X..g", "....X..g.g....X.", "....X.g..g..X...", "....X..g.gg.X..g"),
                "closed_hat": ("x.x.x.x.x.x.x.x.", "xgxgxgxgxgxgxgxg", "x.x.xgx.x.x.xgx."),
                "open_hat": ("", "......o.........", "..............o."),
                "ride": ("", "", "x.x.x.x.x.x.x.x."),
                "crash": ("", "r..............."),
            },
            swing=(0.0, 0.2),
            loose=0.006,
        ),
        # One snare, on three, so that the bar feels like half the tempo.
        "half_time": Genre(
            {
                "kick": ("X......o........", "X..x..x.......o.", "X.....x...o...x.", "X.........x..x.."),
                "snare": ("........X.......", "........X......g"),
                "clap": ("", "........X......."),
                "closed_hat": ("x.x.x.x.x.x.x.x.", "x.xxx.x.x.xxx.x.", "xxxxxxxxxxxxxxxx", "x..x..x.x..x..x."),
                "open_hat": ("", "..............o.", "......o........."),
                "percussion": ("", "...o......o....."),
                "tom": ("", "", "............r.oo"),
                "crash": ("", "r..............."),
            },
            swing=(0.0, 0.15),
        ),
        # Swung, with a laid-back backbeat and the second kick just before or after three.
        "hip_hop": Genre(
            {
                "kick": ("X......x..x.....", "X.o....x.xx.....", "X..x...x..x....r", "X......x.xo....."),
                "snare": ("....X.......X...", "....X..g....X...", "....X.......X..g"),
                "clap": ("", "", "....x.......x..."),
                "closed_hat": ("x.x.x.x.x.x.x.x.", "x.xox.x.xox.x.x.", "xgxgxgxgxgxgxgxg"),
                "open_hat": ("", "..............x.", "......x........."),
                "rim": ("", "", "...r......o....."),
                "percussion": ("", "", "......o.......r."),
            },
            swing=(0.18, 0.34),
            loose=0.005,
            laid_back=(0.008, 0.018),
        ),
        # Kicks on one and three, snares on two and four, straight eighths.
        "rock": Genre(
            {
                "kick": ("X.......X.......", "X.......X.x.....", "X......xX.......", "X.....x.X.x....."),
                "snare": ("....X.......X...",),
                "closed_hat": ("X.x.X.x.X.x.X.x.", "X...X...X...X...", "X.X.X.X.X.X.X.X."),
                "open_hat": ("", "", "..............x."),
                "ride": ("", "", "X.x.X.x.X.x.X.x."),
                "crash": ("", "", "X..............."),
                "tom": ("", "", "............oxxx", "..............xx"),
            },
            loose=0.006,
        ),
        # Reggaeton: kicks on every beat, snares three and six steps into each half.
        "dembow": Genre(
            {
                "kick": ("X...X...X...X...", "X...x...X...x...", "X..gX...X..gX..."),
                "snare": ("...X..X....X..X.",),
                "rim": ("", "...x..x....x..x."),
                "clap": ("", "...x..x....x..x."),
                "closed_hat": ("", "x.x.x.x.x.x.x.x.", "xgxgxgxgxgxgxgxg", "..x...x...x...x."),
                "percussion": ("", "..o.....o.o.....", "......o.......oo"),
            },
            swing=(0.0, 0.1),
        ),
    }
)


def tempo_of(index: int, seed: int, bpm: float) -> float:
    """Tempo of the `index`-th bar of a set: `bpm`, or if that is 0, a random one from 90 to 150 BPM."""
    first, last = _DRAWN_TEMPI
    return float(bpm or np.random.default_rng([seed, index, first, last]).integers(first, last + 1))


def play(genre: str, kit: Mapping[str, np.ndarray], rng: np.random.Generator, bars: int, bpm: float) -> np.ndarray:
    """Render a loop of whole bars in 4/4: float32 [samples] at 44.1 kHz, peak between 0.6 and 0.95.

    The first sample is the downbeat and tails wrap around, so the loop repeats seamlessly.

    Args:
        genre: name in GENRES.
        kit: sounds [samples] at 44.1 kHz by voice, from their onset on, at any level. Strokes of voices that have
            neither a sound nor a stand-in are left out.
        rng: random generator.
        bars: number of bars.
        bpm: tempo in BPM.
    """
    length = round(bars * 240 / bpm * SAMPLE_RATE)
    return at_peak(mix(strokes(genre, rng, bars, bpm), complete(kit), rng, length), rng.uniform(0.6, 0.95))


def strokes(genre: str, rng: np.random.Generator, bars: int, bpm: float) -> list[Stroke]:
    """Draw the strokes of a loop; lines are drawn once per loop, everything else for each bar."""
    style = GENRES[genre]
    step = 240 / bpm / STEPS
    swing, laid_back = rng.uniform(*style.swing), rng.uniform(*style.laid_back)
    lines = {voice: alternatives[rng.integers(len(alternatives))] for voice, alternatives in style.lines.items()}
    played = []
    for bar in range(bars):
        for voice, line in lines.items():
            delay = laid_back if voice in ("snare", "clap") else 0.0
            for position, mark in enumerate(line):
                probability, softest, hardest = MARKS[mark]
                chance, force, lateness = rng.uniform(size=3)
                if chance < probability:
                    # Never early, because a stroke before the downbeat would sound at the loop's end.
                    start = (bar * STEPS + position + swing * (position % 2)) * step + delay + style.loose * lateness
                    played.append(Stroke(voice, start, softest + force * (hardest - softest)))
    return played


def complete(kit: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add stand-ins for missing voices to a kit, if it has any, and cut every sound to its voice's maximum length."""
    completed = {}
    for name, voice in VOICES.items():
        if sound := next((one for one in (name, *voice.stand_ins) if one in kit), None):
            completed[name] = faded(kit[sound], voice.seconds)
    return completed


def mix(played: list[Stroke], kit: Mapping[str, np.ndarray], rng: np.random.Generator, length: int) -> np.ndarray:
    """Mix strokes on a kit at the voices' levels, wrapped around `length`: float64 [length]."""
    levels = {name: voice.level + rng.uniform(-1, 1) * _LEVEL_SPREAD_DB for name, voice in VOICES.items()}
    kit = {name: sound * (10 ** (levels[name] / 20) / _loudest(sound)) for name, sound in kit.items()}
    # Soft strokes sound duller.
    dark = {name: _darkened(sound) for name, sound in kit.items()}
    out = np.zeros(-(-(length + max(len(sound) for sound in kit.values())) // length) * length)
    for stroke in played:
        if stroke.voice not in kit:
            continue
        sound = kit[stroke.voice] * stroke.velocity + dark[stroke.voice] * (1 - stroke.velocity)
        if VOICES[stroke.voice].choke:
            sound = faded(sound, _until_choked(stroke, played, length / SAMPLE_RATE), _CHOKE_FADE)
        start = round(stroke.start * SAMPLE_RATE) % length
        out[start : start + len(sound)] += sound * stroke.velocity**2
    return out.reshape(-1, length).sum(axis=0)


def at_peak(samples: np.ndarray, peak: float) -> np.ndarray:
    """Scale samples that are not all zero to a peak of `peak`: float32."""
    return (samples * (peak / np.max(np.abs(samples)))).astype(np.float32)


def faded(sound: np.ndarray, seconds: float, fade: float = 0.03) -> np.ndarray:
    """Cut a sound [samples] to `seconds` if it is longer, and fade it out over `fade` seconds."""
    length = round(seconds * SAMPLE_RATE)
    if len(sound) <= length:
        return sound
    cut = sound[:length].copy()
    ramp = min(round(fade * SAMPLE_RATE), length)
    cut[length - ramp :] *= np.arange(ramp, 0, -1, dtype=np.float32) / np.float32(ramp + 1)
    return cut


def _loudest(sound: np.ndarray) -> float:
    """RMS of a sound's loudest 50 ms, a fairer measure of clicks and of ringing sounds than the peak."""
    frame = round(_LOUDEST * SAMPLE_RATE)
    energy = np.cumsum(np.pad(np.square(sound, dtype=np.float64), (1, frame)))
    return float(np.sqrt((energy[frame:] - energy[:-frame]).max() / frame))


def _until_choked(stroke: Stroke, played: list[Stroke], length: float) -> float:
    """Seconds to the next stroke of the same choke group, around the loop, ignoring simultaneous strokes."""
    group = VOICES[stroke.voice].choke
    starts = np.array([other.start for other in played if VOICES[other.voice].choke == group])
    gaps = (starts - stroke.start) % length
    return float(gaps.min(where=gaps >= _AT_ONCE, initial=length))


def _darkened(sound: np.ndarray) -> np.ndarray:
    """Low-pass a sound by 6 dB per octave."""
    from scipy.signal import lfilter  # Imported here, because it takes a second or more.

    pole = np.exp(-2 * np.pi * _DARK_HZ / SAMPLE_RATE)
    return lfilter([1 - pole], [1, -pole], sound)
