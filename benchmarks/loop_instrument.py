"""An instrument of one-bar loops beside baselines, as docs/loops.md shows it.

    python -m benchmarks.loop_instrument --run=RUN --data=DATA [--sounds=300] [--seed=0] [--json=FILE]

DATA has bars of whole libraries held out in its split "test", of the run's length. Rows, at the mix of genres of the
held-out bars: noise; training bars whose sixteenths are in another order; 64 principal components with a Gaussian per
genre; training bars; the run. Beside Fréchet distances:

- seam: the step from the last sample to the first over the largest step within the bar, median, and the share of bars
  above the 95th percentile of the held-out bars;
- grid: the share of onsets within 10 ms of a sixteenth, and the share of bars whose median onset is;
- gap: the longest stretch below -60 dB of the peak across the seam of a bar played four times, beyond the longest one
  within the bar, in ms (median and largest).

Onsets are those of `audio.onsets`, of a bar that is repeated.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

from drumgan_jax.audio.onsets import find_onsets
from drumgan_jax.commands.evaluate_folders import suite_of
from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.evaluation.quality.sets import SoundSet, measure
from drumgan_jax.evaluation.quality.table import compare_sets
from drumgan_jax.evaluation.report import number, table
from drumgan_jax.play.baselines import at_mix
from drumgan_jax.play.load import load
from drumgan_jax.play.quality import dataset_yardstick, generated_set

STEPS = 16
_NEAR = 0.010  # s
_EARLY = 0.01  # s before a bar's start that belong to it


def main() -> None:
    """Measure and print; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--sounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--metrics", default="fid:log_mel,fid:drums,kid:drums,prdc:drums")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    suite = suite_of(options.metrics.split(","), batch_sharding(make_mesh()), "sounds")
    dataset = open_dataset(options.data)
    yardstick = dataset_yardstick(suite, dataset, None, options.sounds)
    assert yardstick.ground is not None
    shares = np.bincount(yardstick.classes, minlength=len(yardstick.form.label_names)) / len(yardstick.classes)
    training = at_mix(yardstick.ground.training, shares, options.sounds)
    sets = [one for one in yardstick.baselines if isinstance(one, SoundSet)]
    made = generated_set(load(options.run), yardstick, Path(options.run).stem, options.seed, 1.0)
    sets = [*sets[:-1], shuffled(training), sets[-1], made]
    found = compare_sets(yardstick.reference, [measure(one, suite) for one in sets], suite, None, yardstick.training)
    held_out = yardstick.ground.held_out
    limit = float(np.quantile(seams(held_out.waveforms), 0.95))
    measured = {row.name: {name: figure.value for name, figure in row.figures.items()} for row in found.rows}
    report = {one.name: measured.get(one.name, {}) | loop_figures(one, limit) for one in [held_out, *sets]}
    columns = list(report[made.name])
    lines = [[name, *(number(of[column]) if column in of else "" for column in columns)] for name, of in report.items()]
    print(table(["", *columns], lines))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


def shuffled(bars: SoundSet) -> SoundSet:
    """Bars whose sixteenths are in another order, at random."""
    random, length = np.random.default_rng(0), bars.waveforms.shape[1] // STEPS * STEPS
    steps = bars.waveforms[:, :length].reshape(len(bars), STEPS, -1)
    mixed = np.stack([bar[random.permutation(STEPS)] for bar in steps]).reshape(len(bars), -1)
    rest = bars.waveforms[:, length:]
    return dataclasses.replace(bars, name="shuffled bars", waveforms=np.concatenate([mixed, rest], axis=1))


def loop_figures(bars: SoundSet, limit: float) -> dict[str, float]:
    """Seam, grid and gap of bars; `limit` is the seam of the held-out bars that few exceed."""
    steps = seams(bars.waveforms)
    step = bars.waveforms.shape[1] / bars.sample_rate / STEPS
    found_at = [onsets(bar, bars.sample_rate) for bar in bars.waveforms]
    late = [np.abs((times + step / 2) % step - step / 2) for times in found_at]
    found = [one for one in late if len(one)]
    longest = np.asarray([gap(bar, bars.sample_rate) for bar in bars.waveforms])
    return {
        "seam, median": float(np.median(steps)),
        "seam, above": float(np.mean(steps > limit)),
        "onsets a bar": float(np.mean([len(one) for one in late])),
        "onsets on grid": float(np.mean(np.concatenate(found) <= _NEAR)) if found else 0.0,
        "bars on grid": float(np.mean([len(one) > 0 and np.median(one) <= _NEAR for one in late])),
        "gap, ms": float(np.median(longest)),
        "gap, largest": float(longest.max()),
    }


def seams(waveforms: np.ndarray) -> np.ndarray:
    """The step from the last sample to the first over the largest within [bars] of bars [bars, samples]."""
    within = np.abs(np.diff(waveforms, axis=1)).max(axis=1)
    return np.abs(waveforms[:, 0] - waveforms[:, -1]) / np.maximum(within, 1e-9)


def onsets(bar: np.ndarray, sample_rate: int) -> np.ndarray:
    """Times of a bar's onsets in seconds; those at its start rise from its end."""
    length = len(bar) / sample_rate
    times = find_onsets(np.tile(bar, 3), sample_rate) - length
    return times[(times >= -_EARLY) & (times < length - _EARLY)]


def gap(bar: np.ndarray, sample_rate: int) -> float:
    """Milliseconds by which the silence around the seam is longer than any within the bar; 0 if it is not."""
    quiet = np.abs(bar) < 1e-3 * max(float(np.abs(bar).max()), 1e-9)

    def longest(mask: np.ndarray) -> int:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
        return int((edges[1::2] - edges[::2]).max(initial=0))

    return 1e3 * max(0, longest(np.tile(quiet, 4)) - longest(quiet)) / sample_rate


if __name__ == "__main__":
    main()
