"""Make the files that the package measures with: held-out recordings as measured, baselines, judge, components.

    python -m benchmarks.packaged_reference --data=DATA --trained=TRAINED --others=OTHERS --out=drumgan_jax

DATA has the packaged instrument's training recordings of kicks, snares and cymbals in split "train" and the held-out
ones in "test"; TRAINED has all of its training recordings; OTHERS has recordings of further sources, which the judge is
fitted to. All of them are dedicated to the public domain; docs/quality.md has the commands that prepare them. The files
are equal for equal data.
"""

import argparse
from pathlib import Path

import numpy as np

from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.evaluation.class_mix import mix_of
from drumgan_jax.evaluation.quality import METRICS, SOUNDS
from drumgan_jax.evaluation.quality.judge import fit_judge, save_judge
from drumgan_jax.evaluation.quality.sets import measure, save_set
from drumgan_jax.evaluation.quality.thumbnails import thumbnails
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.play.baselines import HELD_OUT, OTHERS, TRAINING, at_mix, recorded

_ALL = 10_000
_HELD_OUT_SOURCES = "sonic-pi, tr808-fischer, uzu-drumkit"
_TRAINING_SOURCES = "frankensnare, gogodze-phu-vol-ii, meadowlark, stargate-sample-pack"
_OTHER_SOURCES = "sampled-dm, smpldsnds"
# Of the held-out cymbals, by config.preparation.hats: an instrument that tells them apart is asked for the same.
_FINER = {"closed_hat": 29, "open_hat": 10, "cymbal": 35}


def main() -> None:
    """Measure and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--trained", required=True)
    parser.add_argument("--others", required=True)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    folder = options.out / "evaluation" / "quality"
    suite = Suite.of(METRICS)
    dataset, elsewhere = open_dataset(options.data), open_dataset(options.others)
    held_out = recorded(dataset, "test", _ALL, HELD_OUT)
    training = recorded(dataset, "train", _ALL, TRAINING)
    others = recorded(elsewhere, "train", _ALL, OTHERS)
    assert held_out.classes is not None
    assert others.classes is not None
    shares = mix_of(held_out.classes, len(held_out.label_names))
    about = {"licences": "CC0-1.0, Unlicense, Public domain"}
    of_reference = {**about, "sources": _HELD_OUT_SOURCES, "data": "packaged", "finer": _FINER}
    save_set(folder / "held_out.npz", measure(held_out, suite, of_reference))
    save_set(
        folder / "training.npz",
        measure(at_mix(training, shares, SOUNDS), suite, {**about, "sources": _TRAINING_SOURCES}),
    )
    save_set(
        folder / "others.npz", measure(at_mix(others, shares, SOUNDS), suite, {**about, "sources": _OTHER_SOURCES})
    )
    trained = recorded(open_dataset(options.trained), "train", _ALL, TRAINING)
    np.save(folder / "training_thumbnails.npy", thumbnails(trained.waveforms, trained.sample_rate))
    kept = thumbnails(others.waveforms, others.sample_rate)
    judge = fit_judge(
        kept, others.classes, others.label_names, {**about, "sources": _OTHER_SOURCES, "sounds": len(others)}
    )
    save_judge(folder / "judge.npz", judge)
    own = judge.agreement(thumbnails(held_out.waveforms, held_out.sample_rate), held_out.classes)
    assert own is not None
    print(f"judge: {own.value:.3f} of {len(held_out)} held-out recordings.")
    for path in sorted(folder.glob("*.np[yz]")):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
