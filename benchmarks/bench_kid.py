"""The kernel distance (KID) against torch-fidelity: 100 subsets of 1,000 x 2048.

    python benchmarks/bench_kid.py [--subsets=100] [--rounds=2] [--json=PATH]

torch-fidelity takes the time of its subsets however many samples they are drawn from; ours depends on that number, so
there are three: from 10,000 samples on, either has as many products to compute. Both take the same embeddings in
float32. Rounds alternate between the two; a time is the best of its rounds. The errors are from torch-fidelity's code
on float64 embeddings. Target: at least 5 times as fast on 2 CPU cores, and 1.5 times from 10,000 samples.
"""

import argparse
import json
import os
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from drumgan_jax.evaluation.kernel import kernel_distance

try:
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric
except ImportError:
    torch = None

FEATURES = 2048
# Least ratio by the number of samples.
TARGETS = {2000: 5.0, 5000: 5.0, 10000: 1.5}


def embeddings(samples: int, seed: int, shift: float) -> np.ndarray:
    """Rectified normal values of unlike strength, as Inception's are."""
    strength = np.random.default_rng(99).gamma(0.5, 1.0, FEATURES)
    drawn = np.random.default_rng(seed).standard_normal((samples, FEATURES), dtype=np.float32)
    return (np.maximum(drawn + 0.3 + shift, 0) * strength).astype(np.float32)


def fidelitys(real: np.ndarray, fake: np.ndarray, subsets: int) -> float:
    """torch-fidelity's value; its first input is the generated set."""
    result = kid_features_to_metric(
        torch.from_numpy(fake),
        torch.from_numpy(real),
        kid_subsets=subsets,
        kid_subset_size=1000,
        rng_seed=2020,
        verbose=False,
    )
    return result["kernel_inception_distance_mean"]


def measure(samples: int, subsets: int, rounds: int) -> dict:
    """Seconds of both, their ratio, and how far each is from the float64 answer."""
    real, fake = embeddings(samples, 0, 0.0), embeddings(samples, 1, 0.02)
    runs = {"ours": lambda: kernel_distance(real, fake, subsets).value}
    if torch is not None:
        runs["torch_fidelity"] = lambda: fidelitys(real, fake, subsets)
    seconds, values = dict.fromkeys(runs, np.inf), dict.fromkeys(runs, np.nan)
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            values[name] = run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    result: dict = {"samples": samples, "subsets": subsets, "features": FEATURES, "seconds": seconds}
    if torch is not None:
        exact = fidelitys(real.astype(np.float64), fake.astype(np.float64), subsets)
        result["ratio"] = seconds["torch_fidelity"] / seconds["ours"]
        result["relative_difference"] = {name: abs(value / exact - 1) for name, value in values.items()}
    return result


def main() -> None:
    """Print the table; write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subsets", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = [measure(samples, arguments.subsets, arguments.rounds) for samples in TARGETS]

    print(f"NumPy {np.__version__}, {os.cpu_count()} cores; {arguments.subsets} subsets of 1000 x {FEATURES}, seconds")
    if torch is None:
        print("torch-fidelity is not installed here, so there is nothing to compare with (pip install torch-fidelity).")
        for r in results:
            print(f"from {r['samples']} samples: ours {r['seconds']['ours']:.2f}")
    else:
        print("| samples | torch-fidelity | ours | ratio | torch-fidelity's error | our error |")
        print("|---|---|---|---|---|---|")
        for r in results:
            seconds, error = r["seconds"], r["relative_difference"]
            print(
                f"| {r['samples']} | {seconds['torch_fidelity']:.2f} | {seconds['ours']:.2f} | {r['ratio']:.2f}"
                f" | {error['torch_fidelity']:.1e} | {error['ours']:.1e} |"
            )
        for r in results:
            target = TARGETS[r["samples"]]
            met = "met" if r["ratio"] >= target else "not met"
            print(f"from {r['samples']} samples: ratio {r['ratio']:.2f}, target {target:g}: {met}")
    if arguments.json:
        against = None if torch is None else {name: version(name) for name in ("torch", "torch-fidelity")}
        arguments.json.write_text(json.dumps({"targets": TARGETS, "against": against, "results": results}, indent=2))


if __name__ == "__main__":
    main()
