"""Which copies of training recordings the novelty finds, as docs/quality.md shows it.

    python -m benchmarks.disguised_copies --data=DATA [--copies=300]

DATA has training recordings in split "train" and held-out ones in "test". Copies are softer, later, through an
equaliser that tilts by so many dB from 0 Hz to Nyquist's frequency, faster, or under noise so far below the peak; the
last row is the held-out recordings themselves.
"""

import argparse
from collections.abc import Callable

import numpy as np

from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.evaluation.quality.novelty import novelty
from drumgan_jax.evaluation.quality.thumbnails import thumbnails
from drumgan_jax.evaluation.report import table
from drumgan_jax.play.baselines import HELD_OUT, TRAINING, recorded

_ALL = 10_000


def main() -> None:
    """Measure and print; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--copies", type=int, default=300)
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    training, held_out = recorded(dataset, "train", _ALL, TRAINING), recorded(dataset, "test", _ALL, HELD_OUT)
    rate, copied = training.sample_rate, training.waveforms[: options.copies]
    known, new = thumbnails(training.waveforms, rate), thumbnails(held_out.waveforms, rate)
    rows = []
    for name, disguise in disguises(rate).items():
        found = novelty(thumbnails(disguise(copied).astype(np.float32), rate), known, new)
        rows.append([name, f"{found.distance:.2f}", f"{found.copied.value:.2f}"])
    found = novelty(new, known, new)
    rows.append([HELD_OUT, f"{found.distance:.2f}", f"{found.copied.value:.2f}"])
    print(table([f"{len(copied)} copies", "novelty/db", "novelty/copied"], rows))


def disguises(rate: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Functions of waveforms [sounds, samples] at a rate in Hz, by what they do."""

    def later(waveforms: np.ndarray, seconds: float) -> np.ndarray:
        return np.pad(waveforms, ((0, 0), (round(seconds * rate), 0)))[:, : waveforms.shape[1]]

    def tilted(waveforms: np.ndarray, decibels: float) -> np.ndarray:
        spectra = np.fft.rfft(waveforms, axis=1)
        gain = 10 ** (np.linspace(-decibels / 2, decibels / 2, spectra.shape[1]) / 20)
        return np.fft.irfft(spectra * gain, waveforms.shape[1], axis=1)

    def faster(waveforms: np.ndarray, by: float) -> np.ndarray:
        time = np.arange(waveforms.shape[1])
        return np.stack([np.interp(time * (1 + by), time, one, right=0.0) for one in waveforms])

    def noisy(waveforms: np.ndarray, decibels: float) -> np.ndarray:
        peaks = np.abs(waveforms).max(axis=1, keepdims=True)
        return waveforms + 10 ** (decibels / 20) * peaks * np.random.default_rng(0).standard_normal(waveforms.shape)

    return {
        "softer by 20 dB": lambda x: 0.1 * x,
        "later by 60 ms": lambda x: later(x, 0.06),
        "tilted by 8 dB": lambda x: tilted(x, 8.0),
        "tilted by 16 dB": lambda x: tilted(x, 16.0),
        "faster by 6 %": lambda x: faster(x, 0.06),
        "faster by 12 %": lambda x: faster(x, 0.12),
        "faster by 19 %": lambda x: faster(x, 0.19),
        "noise at -60 dB": lambda x: noisy(x, -60.0),
        "noise at -50 dB": lambda x: noisy(x, -50.0),
    }


if __name__ == "__main__":
    main()
