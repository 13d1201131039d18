"""Griffin-Lim in JAX against librosa.griffinlim: time and spectral convergence at equal iterations.

    python benchmarks/bench_griffin_lim.py [--rounds=5] [--json=PATH]

Both take the same magnitudes: drum loops from beside the checkout if they are there, else synthesised hits. Rounds
alternate between the two, after one that is not counted (compilation); a time is the best of its rounds. Target: at
least 3 times as fast as librosa on 2 CPU cores, at equal spectral convergence.
"""

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import jax
import librosa
import numpy as np

from drumgan_jax.audio.files import read_audio, resample
from drumgan_jax.audio.phase import random_phasors, refine_phases, spectral_convergence
from drumgan_jax.audio.stft import Framing, stft

LOOPS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "drums" / "loops"
TARGET = 3.0
# librosa 1.0 renamed the argument.
RANDOM = "rng" if int(librosa.__version__.split(".")[0]) >= 1 else "random_state"


@dataclasses.dataclass(frozen=True)
class Case:
    """A system's spectrograms, a batch of them."""

    system: str
    sample_rate: int
    framing: Framing
    frames: int
    batch: int
    iterations: int
    momentum: float

    @property
    def length(self) -> int:
        """Samples of a sound."""
        return (self.frames - 1) * self.framing.hop_length


CASES = [
    Case("splice_loops", 22050, Framing(512, 128), 512, 1, 32, 0.99),
    Case("splice_loops", 22050, Framing(512, 128), 512, 8, 32, 0.99),
    Case("splice_loops", 22050, Framing(512, 128), 512, 8, 32, 0.0),
    Case("electrogan", 44100, Framing(2048, 1025), 1024, 1, 10, 0.99),
    Case("electrogan", 44100, Framing(2048, 1025), 1024, 4, 10, 0.99),
]


def sounds(case: Case) -> np.ndarray:
    """Waveforms [batch, samples], each repeated to the length."""
    paths = sorted(LOOPS.glob("*/*rum*.flac"))[: case.batch]
    if len(paths) < case.batch:
        rng = np.random.default_rng(0)
        decay = np.exp(-np.arange(case.length) % (case.sample_rate // 4) / 2000.0)
        return (rng.standard_normal((case.batch, case.length)) * decay).astype(np.float32)
    recordings = [read_audio(path) for path in paths]
    mono = [resample(audio.samples.mean(axis=1), audio.sample_rate, case.sample_rate) for audio in recordings]
    return np.stack([np.resize(sound, case.length) for sound in mono])


def measure(case: Case, rounds: int) -> dict:
    """Seconds, their ratio, and mean spectral convergence of both."""
    magnitude = jax.block_until_ready(abs(stft(jax.numpy.asarray(sounds(case)), case.framing)))
    transposed = np.ascontiguousarray(np.asarray(magnitude).swapaxes(1, 2))

    def ours() -> np.ndarray:
        waveform = refine_phases(
            magnitude,
            random_phasors(jax.random.key(0), magnitude.shape[1:]),
            framing=case.framing,
            length=case.length,
            iterations=case.iterations,
            momentum=case.momentum,
        )
        return np.asarray(waveform)

    def librosas() -> np.ndarray:
        return librosa.griffinlim(
            transposed,
            n_iter=case.iterations,
            hop_length=case.framing.hop_length,
            n_fft=case.framing.n_fft,
            length=case.length,
            momentum=case.momentum,
            **{RANDOM: np.random.default_rng(0)},
        )

    best: dict[Callable[[], np.ndarray], float] = {}
    waveforms = {run: run() for run in (ours, librosas)}
    for _ in range(rounds):
        for run in (ours, librosas):
            start = time.perf_counter()
            run()
            best[run] = min(best.get(run, np.inf), time.perf_counter() - start)
    convergence = {
        run: float(np.mean(spectral_convergence(magnitude, waveforms[run], framing=case.framing)))
        for run in (ours, librosas)
    }
    return {
        "system": case.system,
        "batch": case.batch,
        "iterations": case.iterations,
        "momentum": case.momentum,
        "seconds": best[ours],
        "librosa_seconds": best[librosas],
        "ratio": best[librosas] / best[ours],
        "spectral_convergence": convergence[ours],
        "librosa_spectral_convergence": convergence[librosas],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = [measure(case, arguments.rounds) for case in CASES]

    platform = jax.devices()[0].platform
    print(f"JAX {jax.__version__} on {platform}, librosa {librosa.__version__}, {os.cpu_count()} cores")
    print("| system | batch | iterations | momentum | librosa ms | ours ms | ratio | SC librosa | SC ours |")
    print("|---|---|---|---|---|---|---|---|---|")
    for r in results:
        print(
            f"| {r['system']} | {r['batch']} | {r['iterations']} | {r['momentum']} | {1e3 * r['librosa_seconds']:.0f}"
            f" | {1e3 * r['seconds']:.0f} | {r['ratio']:.2f} | {r['librosa_spectral_convergence']:.4f}"
            f" | {r['spectral_convergence']:.4f} |"
        )
    lowest = min(r["ratio"] for r in results)
    print(f"lowest ratio {lowest:.2f}, target {TARGET:g}: {'met' if lowest >= TARGET else 'not met'}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"platform": platform, "target": TARGET, "results": results}, indent=2))


if __name__ == "__main__":
    main()
