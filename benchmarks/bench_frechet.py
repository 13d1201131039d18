"""The Fréchet distance against the form with scipy.linalg.sqrtm, on sets of 10,000 x 2048.

    python benchmarks/bench_frechet.py [--samples=10000] [--features=2048] [--rounds=3] [--json=PATH]

Both are timed from the same embeddings in float32: the statistics, then the distance; and the distance alone. Rounds
alternate between the two; a time is the best of its rounds. Target: at least 3 times as fast on 2 CPU cores.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
import scipy.linalg

from drumgan_jax.evaluation.frechet import frechet_distance
from drumgan_jax.evaluation.moments import Moments

TARGET = 3.0
Statistics = tuple[np.ndarray, np.ndarray]


def embeddings(samples: int, features: int, seed: int, shift: float) -> np.ndarray:
    """Rectified normal values of unlike strength, as Inception's are."""
    strength = np.random.default_rng(99).gamma(0.5, 1.0, features)
    drawn = np.random.default_rng(seed).standard_normal((samples, features), dtype=np.float32)
    return (np.maximum(drawn + 0.3 + shift, 0) * strength).astype(np.float32)


def scipys_statistics(x: np.ndarray) -> Statistics:
    return x.mean(axis=0, dtype=np.float64), np.cov(x, rowvar=False)


def scipys_distance(a: Statistics, b: Statistics) -> float:
    root = np.asarray(scipy.linalg.sqrtm(a[1] @ b[1])).real
    return float(np.sum((a[0] - b[0]) ** 2) + np.trace(a[1]) + np.trace(b[1]) - 2 * np.trace(root))


def measure(samples: int, features: int, rounds: int) -> dict:
    """Seconds of both, their ratios, and how far the answers are apart."""
    sets = embeddings(samples, features, 0, 0.0), embeddings(samples, features, 1, 0.02)
    sides: dict[str, tuple[Callable, Callable]] = {
        "ours": (Moments.of, frechet_distance),
        "scipy": (scipys_statistics, scipys_distance),
    }
    statistics, distance, values = (dict.fromkeys(sides, np.inf) for _ in range(3))
    for _ in range(rounds):
        for name, (describe, compare) in sides.items():
            start = time.perf_counter()
            described = [describe(x) for x in sets]
            middle = time.perf_counter()
            values[name] = compare(*described)
            end = time.perf_counter()
            statistics[name] = min(statistics[name], middle - start)
            distance[name] = min(distance[name], end - middle)
    both = {name: statistics[name] + distance[name] for name in sides}
    return {
        "samples": samples,
        "features": features,
        "statistics_seconds": statistics,
        "distance_seconds": distance,
        "seconds": both,
        "ratio": both["scipy"] / both["ours"],
        "distance_ratio": distance["scipy"] / distance["ours"],
        "relative_difference": abs(values["ours"] / values["scipy"] - 1),
    }


def main() -> None:
    """Print the table; write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    r = measure(arguments.samples, arguments.features, arguments.rounds)

    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, {os.cpu_count()} cores")
    print(f"{r['samples']} x {r['features']}, seconds:")
    print("| | statistics | distance | both |")
    print("|---|---|---|---|")
    for name in ("scipy", "ours"):
        times = (r[key][name] for key in ("statistics_seconds", "distance_seconds", "seconds"))
        print(f"| {name} | " + " | ".join(f"{seconds:.2f}" for seconds in times) + " |")
    print(f"distance alone {r['distance_ratio']:.2f} times as fast; answers differ by {r['relative_difference']:.1e}")
    met = "met" if r["ratio"] >= TARGET else "not met"
    print(f"ratio {r['ratio']:.2f}, target {TARGET:g}: {met}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"target": TARGET, "scipy": scipy.__version__, "results": [r]}, indent=2))


if __name__ == "__main__":
    main()
