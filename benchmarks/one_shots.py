"""What a one-shot system's labels and encoder do, as docs/one_shots.md shows it.

    python -m benchmarks.one_shots --run=RUN --data=DATA [--sounds=200] [--pairs=64] [--step=last]

Tables of one run or packed instrument:

- the class slider: along 9 steps from one class to another, the packaged classifier's probability of the second one,
  as mean over sounds, and the mean of each sound's Spearman correlation with the slider;
- latents that the encoder finds again in generated sounds, against chance;
- of a system with complex spectra: the share of the energy that is left when training sounds are averaged to the sizes
  of the stages of growth, with phases as of the windows' starts and of their centres;
- sounds encoded and decoded: generated, of the split "train" and of the split "test" of a data set of the system's
  representation, with the figures of drumgan_vst's table 2.

- distances to the split "test": of generated sounds with the test sounds' labels, and beside them of the split "train".

Everything is also printed as one line of JSON.
"""

import argparse
import dataclasses
import functools
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.files import resample
from drumgan_jax.audio.representations import encode
from drumgan_jax.audio.spectrograms import Complex
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.evaluation.collecting import Sound, Stream, sampled
from drumgan_jax.evaluation.correlation import spearman
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.embedders import build_embedder
from drumgan_jax.evaluation.encoding import latent_scores
from drumgan_jax.evaluation.pairs import measure_pair, sum_up
from drumgan_jax.evaluation.report import table
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.networks.growing import average_pool
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.load import load

STEPS = 9
METRICS = ("is:drums", "kid:drums", "fid:drums", "prdc:drums", "fid:log_mel")
# Seeds of the encoder's test: none that a person would begin with.
FIRST_SEED = 1_000_000
FIGURES = ("peaq_di", "peaq_odg", "mse", "log_spectral_distance", "snr_db")


def main() -> None:
    """Measure and print; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default=None)
    parser.add_argument("--step", default="last")
    parser.add_argument("--data", required=True)
    parser.add_argument("--sounds", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--generated", type=int, default=1000)
    options = parser.parse_args()
    instrument = load(options.run, options.step)
    report: dict[str, Any] = {"run": options.run, "step": instrument.step, "model": instrument.model}
    report["sliders"] = sliders(instrument, options.sounds)
    report["latents"] = latents_found(instrument, options.sounds)
    report["averages"] = averages(instrument, options.data)
    report["pairs"] = reconstructions(instrument, options.data, options.pairs)
    report["distances"] = distances(instrument, options.data, options.generated)
    print(json.dumps(report))


def sliders(instrument: Instrument, sounds: int) -> list[dict[str, Any]]:
    """Every pair of classes: the slider's effect on what the packaged classifier hears."""
    rows = []
    for first, second in itertools.combinations(instrument.label_names, 2):
        positions = np.linspace(0.0, 1.0, STEPS)
        heard = np.stack(
            [
                probabilities(instrument, sounds, {first: 1.0 - position, second: position}, second)
                for position in positions
            ],
            axis=1,
        )
        rho = spearman(positions, heard)
        rows.append(
            {
                "from": first,
                "to": second,
                "spearman_mean": float(np.nanmean(rho)),
                "share_above_0.9": float(np.mean(rho > 0.9)),
                "probability": heard.mean(axis=0).tolist(),
            }
        )
    cells = [
        [
            f"{row['from']} to {row['to']}",
            f"{row['spearman_mean']:.3f}",
            f"{row['share_above_0.9']:.2f}",
            *(f"{value:.2f}" for value in row["probability"]),
        ]
        for row in rows
    ]
    show(["slider", "Spearman", "above 0.9", *(f"{p:.3g}" for p in np.linspace(0, 1, STEPS))], cells)
    return rows


def probabilities(instrument: Instrument, sounds: int, labels: dict[str, float], name: str) -> np.ndarray:
    """The packaged classifier's probability of a class [sounds] for the first seeds with these label weights."""
    classifier, logits_of = _classifier()
    made = instrument.sample(range(sounds), labels=labels).waveforms
    waveforms = np.stack([resample(one, instrument.sample_rate, classifier.sample_rate) for one in made])
    waveforms = waveforms[:, : classifier.window]
    windows = np.pad(waveforms, ((0, 0), (0, classifier.window - waveforms.shape[1])))
    logits = np.concatenate([logits_of(jnp.asarray(part)) for part in _groups(windows, 50)])
    return np.asarray(jax.nn.softmax(logits, axis=1))[:, classifier.classes.index(name)]


def latents_found(instrument: Instrument, sounds: int) -> dict[str, float]:
    """How near the encoder's w are to those of generated sounds; chance is a ratio of 1 and a cosine of 0."""
    drawn = instrument.draw(range(FIRST_SEED, FIRST_SEED + sounds))
    found = instrument.encode_waveforms(instrument.render(drawn).waveforms)
    scores = latent_scores(drawn.ws[:, 0], found.ws[:, 0], instrument.gan.generator.z_dim)
    show(["latents of generated sounds", "value"], [[name, f"{value:.4f}"] for name, value in scores.items()])
    return scores


def averages(instrument: Instrument, data: str) -> dict[str, list[float]]:
    """What averaging to each stage's size leaves of the energy of complex spectra, by the phases' reference."""
    representation = instrument.gan.representation
    if not isinstance(representation, Complex):
        return {}
    waveforms = np.concatenate(list(open_dataset(data).waveforms("train", 256, 64)))
    sizes = instrument.gan.generator.sizes
    left = {}
    for name, centred in (("start", False), ("centre", True)):
        x = encode(dataclasses.replace(representation, centred=centred), jnp.asarray(waveforms))
        energy = jnp.mean(jnp.square(x))
        left[name] = [float(jnp.mean(jnp.square(average_pool(x, size))) / energy) for size in sizes]
    columns = ["phases as of the window's", *("x".join(map(str, size)) for size in sizes)]
    show(columns, [[name, *(f"{share:.3f}" for share in shares)] for name, shares in left.items()])
    return left


def reconstructions(instrument: Instrument, data: str, count: int) -> list[dict[str, Any]]:
    """Encoded and decoded sounds of three kinds: means over files."""
    dataset = open_dataset(data)
    kinds = {"generated": instrument.sample(range(FIRST_SEED, FIRST_SEED + count)).waveforms}
    for split in ("train", "test"):
        kinds[split] = np.concatenate(list(dataset.waveforms(split, count, 16)))
    rows = []
    for kind, waveforms in kinds.items():
        decoded = instrument.render(instrument.encode_waveforms(waveforms)).waveforms
        pairs = zip(waveforms, np.clip(decoded, -1.0, 1.0), strict=True)
        files = {str(i): measure_pair(a[None], b[None], instrument.sample_rate) for i, (a, b) in enumerate(pairs)}
        figures = sum_up(files).figures
        rows.append({"sounds": kind, "count": len(files), **{name: figures[name].value for name in FIGURES}})
    show(
        ["sounds", "count", "DI", "ODG", "MSE", "LSD", "SNR (dB)"],
        [[row["sounds"], str(row["count"]), *(f"{row[name]:.3f}" for name in FIGURES)] for row in rows],
    )
    return rows


def distances(instrument: Instrument, data: str, count: int) -> dict[str, dict[str, float]]:
    """Metrics of generated and of training sounds against the test sounds."""
    dataset, rate = open_dataset(data), instrument.sample_rate
    key = "soft_labels" if instrument.config["task"]["soft_labels"] else "labels"
    labels = dataset.labels("test", count, key)
    suite = Suite.of(METRICS)

    def recorded(split: str) -> Stream:
        total = min(count, dataset.num_examples(split))
        batches = dataset.waveforms(split, total, 16)
        numbered = enumerate(one for batch in batches for one in batch)
        return Stream(total, (Sound(one, rate, f"sound {item} of {split}") for item, one in numbered))

    def sample(start: int, number: int) -> np.ndarray:
        rows = labels[(start + np.arange(number)) % len(labels)]
        return instrument.sample(range(start, start + number), labels=rows).waveforms

    real = suite.embed(recorded("test"))
    found = {
        "generated": suite.compare(real, suite.embed(sampled(sample, count, rate, 16))).scores,
        "train": suite.compare(real, suite.embed(recorded("train"))).scores,
        "test": suite.compare(real, suite.embed(recorded("test"))).scores,
    }
    names = list(found["generated"])
    show(["against test", *names], [[side, *(f"{scores[n]:.4g}" for n in names)] for side, scores in found.items()])
    return found


def show(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table and an empty line."""
    print(table(columns, rows), end="\n\n")


@functools.cache
def _classifier() -> tuple[Embedder, Callable[[jax.Array], np.ndarray]]:
    """The packaged classifier, and its logits of windows [batch, window]."""
    classifier = build_embedder("drums")
    features = jax.jit(classifier.embed)
    return classifier, lambda windows: np.asarray(features(classifier.variables, windows).logits)


def _groups(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


if __name__ == "__main__":
    main()
