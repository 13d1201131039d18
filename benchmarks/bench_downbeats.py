"""Downbeats of loops of known tempo that do not start on one: ours, beside the first beat and beside an oracle.

Loops of whole bars are sequenced from recorded kits, so the truth is known; each is rotated by whole beats, and also
trimmed at both ends. The oracle knows the strokes and the genre's probabilities, and takes the likeliest rotation:
where the halves of a bar are alike, as in house or dembow, nothing can be right more often. The kits and the seed are
to be others than those that data_pipelines/downbeats.py was tuned on.

    python -m benchmarks.bench_downbeats --audio=MANIFEST --libraries=smpldsnds,uzu-drumkit --seed=1000

With --libraries left out, the manifest's own loops of whole bars are rotated by 0 to 3 beats: they are assumed to
start on a downbeat.
"""

import argparse
import copy
from collections import defaultdict

import numpy as np

from drumgan_jax.audio.files import resample
from drumgan_jax.data import patterns
from drumgan_jax.data_pipelines import kits
from drumgan_jax.data_pipelines.beats import find_beats, loop_grid
from drumgan_jax.data_pipelines.sources import list_items, read_item
from drumgan_jax.data_pipelines.tempo import told_tempi

_BEATS = 4
_PER_BEAT = patterns.STEPS // _BEATS


def main() -> None:
    flags = _flags()
    if not flags.libraries:
        _recordings(flags.audio)
        return
    libraries = list(_libraries(flags.audio, flags.libraries.split(",")).values())
    right: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for index in range(flags.count):
        for genre in patterns.GENRES:
            for name, value in _measure(genre, libraries[index % len(libraries)], [flags.seed, index], flags.bars):
                right[genre][name].append(value)
    names = list(next(iter(right.values())))
    print(f"| {flags.bars} bars | " + " | ".join(names) + " |")
    for genre, columns in right.items():
        print(f"| {genre} | " + " | ".join(f"{100 * np.mean(columns[name]):.0f}" for name in names) + " |")
    print("| all | " + " | ".join(f"{100 * np.mean([np.mean(c[name]) for c in right.values()]):.0f}" for name in names))


def _measure(genre: str, library: kits.Library, seed: list[int], bars: int) -> list[tuple[str, float]]:
    rng = np.random.default_rng([*seed, list(patterns.GENRES).index(genre)])
    bpm = float(rng.integers(90, 151))
    kit = kits.draw(library, rng)
    strokes = patterns.strokes(genre, copy.deepcopy(rng), bars, bpm)
    loop = patterns.play(genre, kit, rng, bars, bpm)
    beat = 60 / bpm * patterns.SAMPLE_RATE
    turned = int(rng.integers(_BEATS))
    rotated = np.roll(loop, -round(turned * beat))
    first, last = rng.uniform(0.1, 3.9), rng.uniform(0.1, 0.9)
    trimmed = loop[round(first * beat) : len(loop) - round(last * beat)]
    return [
        ("rotated: first beat", float(turned == 0)),
        ("ours", _right(rotated, bpm, turned)),
        ("up to half a bar", _right(rotated, bpm, turned, 2)),
        ("oracle", _oracle(genre, strokes, bars, bpm, kit)),
        ("trimmed: ours", _right(trimmed, bpm, first)),
        ("its beats", _right(trimmed, bpm, first, 1)),
        ("its half bars", _right(trimmed, bpm, first, 2)),
    ]


def _recordings(manifest: str) -> None:
    """Print the shares of the manifest's loops of whole bars, by class."""
    right: dict[str, list[list[float]]] = defaultdict(list)
    for item in list_items([manifest], ["label=loop"]):
        audio = read_item(item)
        seconds = len(audio.samples) / audio.sample_rate
        if not (tempi := told_tempi(item, seconds)):
            continue
        samples = resample(np.ascontiguousarray(audio.samples.mean(1)), audio.sample_rate, patterns.SAMPLE_RATE)
        grid = loop_grid(seconds, tempi[0].bpm, _BEATS)
        for turned in range(_BEATS if grid else 0):
            assert grid is not None
            rotated = np.roll(samples, -round(turned * grid.period * patterns.SAMPLE_RATE))
            right[item.subclass].append([_right(rotated, grid.tempo, turned, beats) for beats in (_BEATS, 2, 1)])
    print("| recordings | loops x 4 | ours | up to half a bar | its beats |")
    for subclass, rows in sorted(right.items()):
        print(f"| {subclass} | {len(rows)} | " + " | ".join(f"{100 * value:.0f}" for value in np.mean(rows, 0)) + " |")


def _right(samples: np.ndarray, bpm: float, skipped: float, beats: int = _BEATS) -> float:
    """Whether the downbeat is right within a fifth of a beat, up to a multiple of `beats`."""
    grid = find_beats(samples, patterns.SAMPLE_RATE, bpm, known=True)
    if grid is None:
        return 0.0
    position = (grid.first_downbeat * bpm / 60 + skipped) / beats
    return float(abs(position - round(position)) * beats < 0.2)


def _oracle(genre: str, strokes: list[patterns.Stroke], bars: int, bpm: float, kit: dict[str, np.ndarray]) -> float:
    """Chance that the likeliest rotation of the strokes is the true one."""
    step = 240 / bpm / patterns.STEPS
    total = np.zeros(_BEATS)
    for voice, lines in patterns.GENRES[genre].lines.items():
        if voice not in patterns.complete(kit):
            continue
        played = np.zeros(bars * patterns.STEPS, bool)
        for stroke in strokes:
            if stroke.voice == voice:
                played[int(stroke.start / step + 1e-6)] = True
        chances = np.array(
            [[patterns.MARKS[mark].probability for mark in line or "." * patterns.STEPS] for line in lines]
        )
        chances = np.tile(np.clip(chances, 1e-3, 1 - 1e-3), bars)
        for turn in range(_BEATS):
            seen = np.roll(played, -turn * _PER_BEAT)
            likelihood = np.where(seen, np.log(chances), np.log1p(-chances)).sum(1)
            total[turn] += np.logaddexp.reduce(likelihood)
    best = total > total.max() - 1e-6
    return float(best[0] / best.sum())


def _libraries(manifest: str, names: list[str]) -> dict[str, kits.Library]:
    found: dict[str, dict[str, list[str]]] = {}
    for item in list_items([manifest]):
        if item.source in names and (voice := kits.voice_of(item.label, item.subclass or item.path)):
            found.setdefault(item.source, {}).setdefault(voice, []).append(item.uri)
    return kits.whole(found, manifest)


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", required=True, help="manifest of one-shots")
    parser.add_argument("--libraries", default="", help="sources of kits, with commas")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--count", type=int, default=20, help="loops per genre")
    parser.add_argument("--bars", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    main()
