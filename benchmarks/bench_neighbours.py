"""Precision, recall, density and coverage against the prdc package: 10,000 x 10,000 x 64.

    python benchmarks/bench_neighbours.py [--samples=10000] [--rounds=3] [--json=PATH]

Both take the same embeddings; ours finds intervals as well. Rounds alternate between the two; a time is the best of
its rounds. Memory is the growth of the largest resident size of a process that does nothing else. Target: at least 3
times as fast on 2 CPU cores, and under 1 GiB.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from drumgan_jax.evaluation.neighbours import neighbour_metrics

try:
    import prdc
except ImportError:
    prdc = None

TARGET = 3.0
TARGET_GIB = 1.0
FEATURES = 64
K = 5


def embeddings(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """A real and a fake set that lie among each other."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((samples, FEATURES)), 0.95 * rng.standard_normal((samples, FEATURES)) + 0.02


def ours(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    return {name: figure.value for name, figure in neighbour_metrics(real, fake, K)[0].items()}


def prdcs(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        return prdc.compute_prdc(real, fake, nearest_k=K)


def peak() -> float:
    """The largest resident size so far of this process, in GiB (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def gibibytes(run_name: str, samples: int) -> float:
    """By how much a run makes its process grow; asked in a process of its own."""
    real, fake = embeddings(samples)
    before = peak()
    globals()[run_name](real, fake)
    return peak() - before


def measure(samples: int, rounds: int) -> dict:
    """Seconds and memory of both, the ratio, and how far the answers are apart."""
    real, fake = embeddings(samples)
    runs = {"ours": ours} | ({"prdcs": prdcs} if prdc is not None else {})
    seconds, values = dict.fromkeys(runs, np.inf), {}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            values[name] = run(real, fake)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    memory = {}
    for name in runs:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            memory[name] = pool.apply(gibibytes, (name, samples))
    result: dict = {"samples": samples, "features": FEATURES, "k": K, "seconds": seconds, "gib": memory}
    if prdc is not None:
        result["ratio"] = seconds["prdcs"] / seconds["ours"]
        result["relative_difference"] = max(
            abs(values["ours"][name] / values["prdcs"][name] - 1) for name in values["ours"]
        )
    return result


def main() -> None:
    """Print the table; write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    r = measure(arguments.samples, arguments.rounds)

    print(f"NumPy {np.__version__}, {os.cpu_count()} cores; {r['samples']} x {r['samples']} x {FEATURES}, k = {K}")
    print("| | seconds | GiB |")
    print("|---|---|---|")
    for name, label in (("prdcs", "prdc"), ("ours", "ours")):
        if name in r["seconds"]:
            print(f"| {label} | {r['seconds'][name]:.2f} | {r['gib'][name]:.2f} |")
    light = "met" if r["gib"]["ours"] < TARGET_GIB else "not met"
    print(f"memory {r['gib']['ours']:.2f} GiB, target under {TARGET_GIB:g}: {light}")
    if prdc is None:
        print("prdc is not installed here, so there is nothing to compare with (pip install prdc).")
    else:
        quick = "met" if r["ratio"] >= TARGET else "not met"
        print(f"answers differ by {r['relative_difference']:.1e}; ratio {r['ratio']:.2f}, target {TARGET:g}: {quick}")
    if arguments.json:
        against = None if prdc is None else {"prdc": version("prdc")}
        arguments.json.write_text(json.dumps({"target": TARGET, "against": against, "results": [r]}, indent=2))


if __name__ == "__main__":
    main()
