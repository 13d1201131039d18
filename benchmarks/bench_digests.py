"""Verifying a checkpoint beside restoring it: the digests of its files against Orbax's reading of them.

    python benchmarks/bench_digests.py [--megabytes=32,256] [--leaves=256] [--rounds=7] [--json=PATH]

A state of random float32 arrays, a quarter of it the moving average, is saved as training saves it. Then, in turns, its
files are verified (`runs.digests`), the state is restored without verification, and the files are read with SHA-256
and with BLAKE2b for comparison; all from the page cache, where digests cost most. Target: the verification takes under
10 % of the restore, by the medians.
"""

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import flax.struct  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from drumgan_jax.runs import digests  # noqa: E402
from drumgan_jax.runs.checkpoints import Checkpoints  # noqa: E402

LIMIT = 0.1


@flax.struct.dataclass
class State:
    """What is saved."""

    arrays: Any
    ema: Any


def random_state(megabytes: float, leaves: int) -> State:
    """Arrays of one size, three quarters of the leaves in the state and one in its moving average."""
    random = np.random.default_rng(0)
    size = round(megabytes * 2**20 / 4 / leaves)
    arrays = [jnp.asarray(random.standard_normal(size, np.float32)) for _ in range(leaves)]
    return State(arrays[leaves // 4 :], {"params": arrays[: leaves // 4]})


def read_with(name: str, checkpoint: Path) -> None:
    """Read all files of a checkpoint with a digest of the standard library."""
    for path in checkpoint.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                hashlib.file_digest(file, name)


def measure(megabytes: float, leaves: int, rounds: int) -> dict[str, float]:
    """Median seconds of each way to read a checkpoint, and the ratio of verification to restore."""
    state = random_state(megabytes, leaves)
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(folder, 1, "none")
        checkpoints.save(1, state)
        checkpoints.wait()
        path = checkpoints.directory / "1"
        assert digests.first_altered(path) is None
        ways: dict[str, Callable[[], Any]] = {
            "verify": lambda: digests.first_altered(path),
            "restore": lambda: jax.block_until_ready(checkpoints._load(1, target)),
            "sha256": lambda: read_with("sha256", path),
            "blake2b": lambda: read_with("blake2b", path),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - began)
        checkpoints.close()
        stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    medians = {name: statistics.median(one) for name, one in seconds.items()}
    return {"megabytes": stored / 2**20, **medians, "ratio": medians["verify"] / medians["restore"]}


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", default="32,256")
    parser.add_argument("--leaves", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = [measure(float(one), options.leaves, options.rounds) for one in options.megabytes.split(",")]
    met = all(one["ratio"] < LIMIT for one in results)
    print("     MiB  restore   verify  of restore   SHA-256  BLAKE2b")
    for one in results:
        print(
            f"{one['megabytes']:8.0f} {one['restore']:7.3f}s {one['verify']:7.4f}s {100 * one['ratio']:9.1f} %"
            f" {one['sha256']:8.3f}s {one['blake2b']:7.3f}s"
        )
    print(f"verification under {100 * LIMIT:.0f} % of the restore: {'yes' if met else 'no'}")
    report = {"benchmark": "digests", "limit": LIMIT, "met": met, "results": results}
    print(json.dumps(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
