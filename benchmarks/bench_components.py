"""Principal components of 1,000,000 w of 512 dimensions against scikit-learn's PCA.

    python benchmarks/bench_components.py [--quick] [--rounds=3] [--json=PATH]

Both get the same float32 samples: scikit-learn's `PCA().fit` one array in memory, which is what it takes; ours the same
rows chunk by chunk, all components exactly, and the first 20 by the randomised search. For so many rows scikit-learn's
default solver is `covariance_eigh` since version 1.5, which in float32 is not exact to 1e-4 where samples have a mean.
In float64 it is, and so is the full singular value decomposition, the default before 1.5. These two are timed on a
twentieth of the rows, and multiplied; so is ours with drawing the samples from a mapping network of 8 layers, which is
what `Instrument.components` does. Rounds alternate; a time is the best of its rounds.

Peak memory is what a process of its own adds to what it had with the samples in place (ours: with one chunk of them,
the others being made as they are needed). The error is the largest entry by which the first 20 directions differ, up to
sign, from the eigenvectors of the covariance in float64. Target: the randomised search at least 2 times as fast as
scikit-learn's fit, and no further off.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

TARGET = 2.0
WIDTH, CHUNK, SHOWN = 512, 16_384, 20
SHARE = 20  # one row in so many, where the time is multiplied


def make_samples(count: int) -> np.ndarray:
    """Rows [count, 512] float32 with a falling spectrum, as w have, and a mean."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    turn *= (1.0 / (1.0 + np.arange(WIDTH)) ** 0.7).astype(np.float32)[:, None]
    rows = np.empty((count, WIDTH), np.float32)
    for start in range(0, count, CHUNK):
        part = rows[start : start + CHUNK]
        rng.standard_normal(part.shape, np.float32, part)
        part[:] = part @ turn + 0.3
    return rows


def ours(rows: np.ndarray, randomised: bool = False) -> np.ndarray:
    """Our directions [512, 512], or the first 20 of the randomised search."""
    from drumgan_jax.latents.components import principal_components

    chunks = (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
    return principal_components(chunks, count=SHOWN if randomised else None, randomised=randomised).directions


def scikit_learns(rows: np.ndarray, solver: str = "auto") -> np.ndarray:
    """scikit-learn's directions [512, 512]."""
    from sklearn.decomposition import PCA

    return PCA(svd_solver=solver).fit(rows).components_


@functools.cache
def mapping() -> tuple[Any, Any]:
    """A generator with a mapping network of full width, and its variables."""
    import jax
    import jax.numpy as jnp

    from drumgan_jax.networks.stylegan2 import Generator

    generator = Generator((8, 16, 1), base=(8, 16), channel_max=8)
    init = jax.jit(lambda key: generator.init(key, jnp.zeros((1, 512)), None, None))
    return generator, init(jax.random.key(0))


def drawn(count: int) -> np.ndarray:
    """Our directions [512, 512] of w drawn from a mapping network."""
    from drumgan_jax.latents.components import components_of

    generator, variables = mapping()
    return components_of(generator, variables, 0, count).directions


def peak_memory(who: str, count: int) -> float:
    """MiB that a process of its own adds at its peak to what it had before."""
    command = [sys.executable, __file__, f"--memory={who}", f"--count={count}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return float(done.stdout)


def tell_memory(who: str, count: int) -> None:
    """Print the MiB of `peak_memory`, from inside the process."""
    from drumgan_jax.latents.components import principal_components

    rows = make_samples(CHUNK if who == "ours" else count)
    if who == "ours":
        chunks = max(1, count // CHUNK)
        principal_components([rows])
        print(added(lambda: principal_components(rows.copy() for _ in range(chunks))))
    else:
        scikit_learns(rows[: 20 * WIDTH])
        print(added(lambda: scikit_learns(rows)))


def added(run: Callable[[], object]) -> float:
    """MiB by which the resident memory exceeds, at its peak while something runs, what it was before."""
    done, sizes = threading.Event(), [resident()]

    def watch() -> None:
        while not done.wait(0.002):
            sizes.append(resident())

    thread = threading.Thread(target=watch)
    thread.start()
    run()
    done.set()
    thread.join()
    return max(sizes) - sizes[0]


def resident() -> float:
    """Resident memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def furthest(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of the first directions, up to sign."""
    found, expected = found[:SHOWN], expected[:SHOWN]
    signs = np.sign(np.sum(found * expected, axis=1))[:, None]
    return float(np.abs(found * signs - expected).max())


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100,000 samples instead of 1,000,000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        tell_memory(options.memory, options.count)
        return
    result = measure(100_000 if options.quick else 1_000_000, options.rounds)
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def measure(count: int, rounds: int) -> dict[str, Any]:
    """Seconds, errors and memory for `count` samples; each time the best of so many rounds."""
    import jax
    import sklearn

    rows = make_samples(count)
    few = rows[: max(count // SHARE, 2 * WIDTH)]
    runs = {
        "scikit-learn, default solver": lambda: scikit_learns(rows),
        "ours": lambda: ours(rows),
        "ours, randomised": lambda: ours(rows, randomised=True),
    }
    # Compile both sizes of chunk of what is drawn.
    drawn(CHUNK + len(few) % CHUNK)
    seconds = dict.fromkeys(runs, np.inf)
    found = {}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            found[name] = run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    for name, run in (
        ("scikit-learn, default solver, float64 (multiplied)", lambda: scikit_learns(few.astype(np.float64))),
        ("scikit-learn, full solver (multiplied)", lambda: scikit_learns(few, "full")),
        ("ours, with drawing w (multiplied)", lambda: drawn(len(few))),
    ):
        start = time.perf_counter()
        run()
        seconds[name] = (time.perf_counter() - start) * count / len(few)
    # The exact answer by the covariance in float64, as its singular value decomposition of all rows would need 16 GB.
    exact = np.linalg.eigh(covariance(rows))[1].T[::-1]
    ratio = seconds["scikit-learn, default solver"] / seconds["ours, randomised"]
    errors = {name: furthest(found[name], exact) for name in runs}
    return {
        "benchmark": "components",
        "samples": count,
        "width": WIDTH,
        "device": jax.devices()[0].device_kind,
        "scikit_learn": sklearn.__version__,
        "seconds": seconds,
        "ratio": ratio,
        "error": errors,
        "peak_mib": {who: peak_memory(who, count) for who in ("ours", "scikit_learn")},
        "met": ratio >= TARGET and errors["ours, randomised"] <= errors["scikit-learn, default solver"],
    }


def show(result: dict[str, Any]) -> None:
    """Print what `measure` returns, as a table and as JSON."""
    seconds, versions = result["seconds"], f"scikit-learn {result['scikit_learn']}, NumPy {np.__version__}"
    print(f"{result['samples']:,} x {WIDTH} float32; {versions}, {os.cpu_count()} cores")
    print("| | seconds | scikit-learn's time over it |\n|---|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.2f} | {seconds['scikit-learn, default solver'] / value:.2f} |")
    for name, value in result["error"].items():
        print(f"error of the first {SHOWN} directions, {name}: {value:.1e}")
    for name, value in result["peak_mib"].items():
        print(f"peak memory added, {name}: {value:.0f} MiB")
    print(f"ratio {result['ratio']:.2f}, target {TARGET:g}: {'met' if result['met'] else 'not met'}")
    print(json.dumps(result))


def covariance(rows: np.ndarray) -> np.ndarray:
    """Covariance [512, 512] in float64."""
    mean = rows.mean(axis=0, dtype=np.float64)
    total = np.zeros((WIDTH, WIDTH))
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK] - mean
        total += part.T @ part
    return total / (len(rows) - 1)


if __name__ == "__main__":
    main()
