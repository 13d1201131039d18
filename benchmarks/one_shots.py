"""What a one-shot system's encoder and representation do, as docs/one_shots.md shows it.

    python -m benchmarks.one_shots --run=RUN --data=DATA [--sounds=200] [--pairs=64] [--step=last]

Tables of one run or packed instrument:

- latents that the encoder finds again in generated sounds, against chance;
- of a system with complex spectra: the share of the energy that is left when training sounds are averaged to the sizes
  of the stages of growth, with phases as of the windows' starts and of their centres;
- sounds encoded and decoded: generated, of the split "train" and of the split "test" of a data set of the system's
  representation, with the figures of drumgan_vst's table 2.

Distances, class sliders and an encoder's other figures are in the table of `drumgan evaluate`.

Everything is also printed as one line of JSON.
"""

import argparse
import dataclasses
import json
from typing import Any

import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.representations import encode
from drumgan_jax.audio.spectrograms import Complex
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.evaluation.encoding import latent_scores
from drumgan_jax.evaluation.pairs import measure_pair, sum_up
from drumgan_jax.evaluation.report import table
from drumgan_jax.networks.growing import average_pool
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.load import load

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
    options = parser.parse_args()
    instrument = load(options.run, options.step)
    report: dict[str, Any] = {"run": options.run, "step": instrument.step, "model": instrument.model}
    report["latents"] = latents_found(instrument, options.sounds)
    report["averages"] = averages(instrument, options.data)
    report["pairs"] = reconstructions(instrument, options.data, options.pairs)
    print(json.dumps(report))


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


def show(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table and an empty line."""
    print(table(columns, rows), end="\n\n")


if __name__ == "__main__":
    main()
