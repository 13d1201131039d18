"""Bars of drums as a sequencer plays them: patterns by genre, and how the strokes of a kit are mixed into a loop.

A genre is told by where its kicks and snares fall; chance decides the rest: which of a voice's lines is played, strokes
that come and go, velocity, swing, and how loosely it is played. Everything is a function of a random generator, so that
a bar can be made again.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

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
    """How the sounds of one voice of a kit are played.

    Attributes:
        level: of its loudest 50 ms in a mix (RMS), in dB of the kick's.
        seconds: what is longer is cut, and faded out.
        stand_ins: voices that play its strokes in a kit that lacks it, the best first.
        choke: its sound ends at the next stroke of any voice of this choke group; "" lets it ring.
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
    """What the bars of a genre have in common.

    Attributes:
        lines: by voice, lines of 16 steps in the marks of `_MARKS`, one of which is drawn for a loop; "" is silence.
        swing: from and to which fraction of a step the odd steps come late; a third makes triplets.
        loose: up to how many seconds any stroke comes late.
        laid_back: from and to how many seconds the snare and the clap come late.
    """

    lines: Mapping[str, tuple[str, ...]]
    swing: tuple[float, float] = (0.0, 0.0)
    loose: float = 0.003
    laid_back: tuple[float, float] = (0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Stroke:
    """One stroke: which voice, when in seconds from the downbeat, and how hard, above 0 and at most 1."""

    voice: str
    start: float
    velocity: float


# A mark: how likely there is a stroke, and between which velocities.
_MARKS = {
    ".": (0.0, 0.0, 0.0),
    "X": (1.0, 0.9, 1.0),
    "x": (0.95, 0.7, 0.9),
    "o": (0.5, 0.65, 0.9),
    "r": (0.15, 0.65, 0.9),
    "g": (0.7, 0.3, 0.5),
}

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
        # Four on the floor, straight sixteenths, no backbeat; something that goes across the beat.
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
        # A broken kick that leaves three out, backbeat with ghost notes around it.
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
        # One snare, on three, so that the bar seems to go at half the tempo.
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
        # Swung, the backbeat laid back, the second kick just before or after three.
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
    """The tempo of the `index`-th bar of a set: `bpm`, or where that is 0, one from 90 to 150 BPM of the bar's own."""
    first, last = _DRAWN_TEMPI
    return float(bpm or np.random.default_rng([seed, index, first, last]).integers(first, last + 1))


def play(genre: str, kit: Mapping[str, np.ndarray], rng: np.random.Generator, bars: int, bpm: float) -> np.ndarray:
    """A loop of whole bars in 4/4: float32 [samples] at 44.1 kHz, peak between 0.6 and 0.95.

    The first sample is the downbeat and tails wrap around, so that the loop can be repeated without a seam.

    Args:
        genre: of GENRES.
        kit: sounds [samples] at 44.1 kHz by voice, from their onset on; their level does not count. Strokes of voices
            that have neither a sound nor a stand-in are left out.
    """
    length = round(bars * 240 / bpm * SAMPLE_RATE)
    return at_peak(mix(strokes(genre, rng, bars, bpm), complete(kit), rng, length), rng.uniform(0.6, 0.95))


def strokes(genre: str, rng: np.random.Generator, bars: int, bpm: float) -> list[Stroke]:
    """The strokes of a loop, by voice. The lines are drawn once for the loop, the rest for each bar anew."""
    style = GENRES[genre]
    step = 240 / bpm / STEPS
    swing, laid_back = rng.uniform(*style.swing), rng.uniform(*style.laid_back)
    lines = {voice: alternatives[rng.integers(len(alternatives))] for voice, alternatives in style.lines.items()}
    played = []
    for bar in range(bars):
        for voice, line in lines.items():
            behind = laid_back if voice in ("snare", "clap") else 0.0
            for position, mark in enumerate(line):
                likelihood, softest, hardest = _MARKS[mark]
                chance, force, late = rng.uniform(size=3)
                if chance < likelihood:
                    # Never early: a stroke before the downbeat would sound at the loop's end.
                    start = (bar * STEPS + position + swing * (position % 2)) * step + behind + style.loose * late
                    played.append(Stroke(voice, start, softest + force * (hardest - softest)))
    return played


def complete(kit: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The kit with stand-ins for what it lacks, as far as there are any, each no longer than its voice's."""
    whole = {}
    for name, voice in VOICES.items():
        if sound := next((one for one in (name, *voice.stand_ins) if one in kit), None):
            whole[name] = faded(kit[sound], voice.seconds)
    return whole


def mix(played: list[Stroke], kit: Mapping[str, np.ndarray], rng: np.random.Generator, length: int) -> np.ndarray:
    """Strokes on a kit at the voices' levels, wrapped around `length`: float64 [length]."""
    levels = {name: voice.level + rng.uniform(-1, 1) * _LEVEL_SPREAD_DB for name, voice in VOICES.items()}
    kit = {name: sound * (10 ** (levels[name] / 20) / _loudest(sound)) for name, sound in kit.items()}
    # Soft strokes are duller ones.
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
    """Samples, not all of which are zero, scaled so that the loudest is `peak`: float32."""
    return (samples * (peak / np.max(np.abs(samples)))).astype(np.float32)


def faded(sound: np.ndarray, seconds: float, fade: float = 0.03) -> np.ndarray:
    """A sound [samples], cut and faded out over `fade` seconds if it is longer than `seconds`."""
    kept = round(seconds * SAMPLE_RATE)
    if len(sound) <= kept:
        return sound
    cut = sound[:kept].copy()
    ramp = min(round(fade * SAMPLE_RATE), kept)
    cut[kept - ramp :] *= np.arange(ramp, 0, -1, dtype=np.float32) / np.float32(ramp + 1)
    return cut


def _loudest(sound: np.ndarray) -> float:
    """The level (RMS) of a sound's loudest 50 ms: unlike the peak, fair to clicks and to what rings on."""
    frame = round(_LOUDEST * SAMPLE_RATE)
    energy = np.cumsum(np.pad(np.square(sound, dtype=np.float64), (1, frame)))
    return float(np.sqrt((energy[frame:] - energy[:-frame]).max() / frame))


def _until_choked(stroke: Stroke, played: list[Stroke], length: float) -> float:
    """Seconds to the next stroke of the same choke group, around the loop; what is meant to be at once is no next."""
    group = VOICES[stroke.voice].choke
    starts = np.array([other.start for other in played if VOICES[other.voice].choke == group])
    gaps = (starts - stroke.start) % length
    return float(gaps.min(where=gaps >= _AT_ONCE, initial=length))


def _darkened(sound: np.ndarray) -> np.ndarray:
    """A sound through a low-pass of 6 dB an octave."""
    from scipy.signal import lfilter  # Takes a second or more to import.

    pole = np.exp(-2 * np.pi * _DARK_HZ / SAMPLE_RATE)
    return lfilter([1 - pole], [1, -pole], sound)
