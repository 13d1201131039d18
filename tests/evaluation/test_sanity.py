"""Metrics move the right way on real sounds; run as a program, this prints the table of docs/metrics.md."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from drumgan_jax.audio.files import read_audio, resample
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.sources import list_items, read_item
from drumgan_jax.evaluation.collecting import Embeddings, Sound, Stream
from drumgan_jax.evaluation.embedders import EMBEDDERS
from drumgan_jax.evaluation.suite import Suite

CLASSES = ("kick", "snare", "cymbal")
METRICS = ("fid:drums", "kid:drums", "prdc:drums", "fid:log_mel")
RATE = 44_100
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Sounds:
    """Waveforms at RATE with their classes."""

    waveforms: list[np.ndarray]
    labels: np.ndarray

    def take(self, items: np.ndarray | Sequence[int]) -> "Sounds":
        return Sounds([self.waveforms[i] for i in items], self.labels[items])

    def noisy(self, decibels: float) -> "Sounds":
        """With white noise so far below each sound's peak."""
        rng = np.random.default_rng(3)
        levels = [np.abs(one).max() * 10 ** (decibels / 20) for one in self.waveforms]
        pairs = zip(self.waveforms, levels, strict=True)
        return Sounds(
            [(one + level * rng.standard_normal(len(one))).astype(np.float32) for one, level in pairs], self.labels
        )


def recorded(manifest: Path, labels: Sequence[str], most: int) -> Sounds:
    """Up to `most` recordings of each class, drawn at random."""
    with open(manifest, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["path"].startswith("one_shots/")]
    rng = np.random.default_rng(0)
    chosen = []
    for label in labels:
        of_class = [row for row in rows if row["label"] == label]
        chosen += [of_class[i] for i in rng.permutation(len(of_class))[:most]]
    waveforms = []
    for row in chosen:
        audio = read_audio(manifest.parent / row["path"])
        waveforms.append(resample(audio.samples.mean(axis=1), audio.sample_rate, RATE))
    return Sounds(waveforms, np.asarray([row["label"] for row in chosen]))


def synthesised(count: int) -> Sounds:
    """Our own drums, kicks, snares and hats."""
    items = [item for item in list_items([f"synthetic:drums?count={count}"]) if item.label in (*CLASSES, "hat")]
    read = [read_item(item) for item in items]
    return Sounds(
        [resample(one.samples.mean(axis=1), one.sample_rate, RATE) for one in read],
        np.asarray([i.label for i in items]),
    )


def noises(count: int) -> list[np.ndarray]:
    """White noise of half a second."""
    rng = np.random.default_rng(2)
    return [0.3 * rng.standard_normal(RATE // 2).astype(np.float32) for _ in range(count)]


def halves(drums: Sounds) -> tuple[Sounds, Sounds]:
    """Two random halves."""
    order = np.random.default_rng(1).permutation(len(drums.waveforms))
    return drums.take(order[::2]), drums.take(order[1::2])


def seen(suite: Suite, sounds: Sounds) -> dict[str, Embeddings]:
    """The embeddings of sounds by embedder."""
    return suite.embed(Stream(len(sounds.waveforms), [Sound(one, RATE, "a sound") for one in sounds.waveforms]))


def measure(drums: Sounds, others: Sounds) -> dict[str, dict[str, float]]:
    """The figures of several measured sides against one half of some drums, by what the side is."""
    suite = Suite.of(METRICS)

    first, second = halves(drums)
    real = seen(suite, first)
    noise = Sounds(noises(len(second.waveforms)), second.labels)
    dropped = str(np.unique(drums.labels)[0])
    sides = {
        "the other half": second,
        "others": others,
        "white noise": noise,
        "the other half, noise at -40 dB": second.noisy(-40.0),
        "the other half, noise at -20 dB": second.noisy(-20.0),
        f"the other half, no {dropped}": second.take(np.flatnonzero(second.labels != dropped)),
        "one typical sound, repeated": second.take(
            [_typical(real["drums"], seen(suite, second)["drums"])] * len(second.waveforms)
        ),
    }
    return {name: suite.compare(real, seen(suite, side)).scores for name, side in sides.items()}


def _typical(real: Embeddings, fake: Embeddings) -> int:
    """The sound of the second side that has most of the first close to it."""
    distance = np.linalg.norm(fake.embeddings[:, None] - real.embeddings[None], axis=2)
    return int(fake.sound_of_row[np.argmin(np.sort(distance, axis=1)[:, :20].mean(axis=1))])


def check(figures: dict[str, dict[str, float]]) -> None:
    """Every figure moves the way its definition promises."""
    half, others, noise, quiet, loud, dropped, repeated = figures.values()
    for name in ("fid/drums", "kid/drums"):
        assert half[name] < 0.25 * others[name], name
    # Frames of few sounds are alike within a sound: on these small sets only noise stands out from their own spread.
    for name in ("fid/drums", "fid/log_mel", "kid/drums"):
        assert half[name] < 0.05 * noise[name], name
        assert quiet[name] < loud[name] < noise[name], name
    assert half["fid/log_mel"] < quiet["fid/log_mel"]
    assert loud["precision/drums"] < half["precision/drums"]
    assert dropped["coverage/drums"] < 0.85 * half["coverage/drums"]
    assert dropped["fid/drums"] > half["fid/drums"]
    assert repeated["density/drums"] > half["density/drums"]
    assert repeated["coverage/drums"] < 0.2 * half["coverage/drums"]
    assert repeated["recall/drums"] < 0.1


def test_figures_move_the_right_way_on_recordings(recordings: Path) -> None:
    manifest = recordings / "drums" / "manifest.csv"
    figures = measure(recorded(manifest, CLASSES, 80), recorded(manifest, ["percussion"], 100))
    check(figures)
    for name in ("fid/drums", "kid/drums", "fid/log_mel"):
        assert figures["others"][name] < figures["white noise"][name], name


@pytest.mark.usefixtures("users_weights")
@pytest.mark.parametrize(
    "name", [name if name in ("drums", "log_mel") else pytest.param(name, marks=pytest.mark.slow) for name in EMBEDDERS]
)
def test_every_embedder_puts_drums_percussion_and_noise_in_this_order(name: str, recordings: Path) -> None:
    try:
        suite = Suite.of([f"fad:{name}"])
    except BadInput as problem:
        pytest.skip(str(problem))
    manifest = recordings / "drums" / "manifest.csv"
    drums, others = recorded(manifest, CLASSES, 200), recorded(manifest, ["percussion"], 200)
    first, second = halves(drums)
    real = seen(suite, first)
    sides = (second, others, Sounds(noises(len(second.waveforms)), second.labels))
    half, percussion, noise = (suite.compare(real, seen(suite, side)).scores[f"fad/{name}"] for side in sides)
    assert half < 0.5 * percussion
    assert percussion < 0.5 * noise


def test_figures_move_the_right_way_on_synthesised_drums() -> None:
    time = np.arange(RATE // 2) / RATE
    rng = np.random.default_rng(5)
    tones = [np.sin(2 * np.pi * rng.uniform(300, 3000) * time).astype(np.float32) for _ in range(60)]
    check(measure(synthesised(240), Sounds(tones, np.full(60, "tone"))))


def main() -> None:
    """Print the table on all recordings."""
    manifest = REPOSITORY.parent / "shared" / "data" / "drums" / "manifest.csv"
    figures = measure(recorded(manifest, CLASSES, 10_000), recorded(manifest, ["percussion"], 10_000))
    names = list(next(iter(figures.values())))
    print("| measured against one half of the drums | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for side, scores in figures.items():
        print(f"| {side} | " + " | ".join(f"{scores[name]:.3g}" for name in names) + " |")


if __name__ == "__main__":
    main()
