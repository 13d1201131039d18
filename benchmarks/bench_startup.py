"""Start-up: importing the package, and the first training step without and with the compilation cache.

    python benchmarks/bench_startup.py [--rounds=3] [--json=PATH]

A start is a process of its own, from its creation until its first step is complete, on `splice_loops.py:tiny` with a
synthetic data set. The first start of a round has an empty compilation cache, the second that of the first. Targets:
the import under 1.5 s; no TensorFlow imported by it or before the first step; the second start at least 3 times
sooner at its first step. `drumgan_jax.load` is what imports JAX and all that playing a run needs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from training_cases import write_dataset  # noqa: E402

from drumgan_jax.configs import splice_loops  # noqa: E402

IMPORT_LIMIT, RATIO = 1.5, 3.0
IMPORT = """
import sys, time
start = time.perf_counter()
import drumgan_jax
print(time.perf_counter() - start, "tensorflow" in sys.modules)
"""
START = """
import json, sys, time
from ml_collections import ConfigDict
from drumgan_jax.training import loop

add = loop.MetricsWindow.add

def first(window, step, metrics):
    import jax
    jax.block_until_ready(metrics)
    print(time.time(), "tensorflow" in sys.modules)
    sys.exit()

loop.MetricsWindow.add = first
loop.train(ConfigDict(json.loads(sys.argv[1])), sys.argv[2])
"""


def run(code: str, *arguments: str, cache: Path | None = None) -> tuple[float, bool]:
    """The figure that a process of its own prints, and whether it had imported TensorFlow."""
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    if cache is not None:
        env.update(JAX_COMPILATION_CACHE_DIR=str(cache), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0.1")
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    figure, tensorflow = done.stdout.split()
    return float(figure), tensorflow == "True"


def start(config: str, folder: Path, cache: Path) -> tuple[float, bool]:
    """Seconds from the creation of a training process until its first step, and whether TensorFlow was imported."""
    begin = time.time()
    end, tensorflow = run(START, config, str(folder), cache=cache)
    return end - begin, tensorflow


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    imports = [run(IMPORT) for _ in range(options.rounds + 2)]
    loads = [run(IMPORT.replace("import drumgan_jax", "import drumgan_jax; drumgan_jax.load")) for _ in range(2)]
    starts = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = splice_loops.get_config("tiny")
        config.data.dir = os.fspath(write_dataset(folder, representation=config.representation.to_dict()).parent)
        config.evaluation.every = 0
        for number in range(options.rounds):
            cache = folder / f"cache{number}"
            starts.append([start(config.to_json(), folder / f"run{number}{i}", cache) for i in range(2)])

    result = {
        "import_seconds": min(seconds for seconds, _ in imports),
        "import_with_load_seconds": min(seconds for seconds, _ in loads),
        "first_start_seconds": statistics.median(one[0][0] for one in starts),
        "second_start_seconds": statistics.median(one[1][0] for one in starts),
        "ratio": statistics.median(one[0][0] / one[1][0] for one in starts),
        "tensorflow_imported": any(flag for _, flag in imports + loads)
        or any(flag for one in starts for _, flag in one),
    }
    met = {
        "import": result["import_seconds"] < IMPORT_LIMIT,
        "ratio": result["ratio"] >= RATIO,
        "no TensorFlow": not result["tensorflow_imported"],
    }
    print(f"import drumgan_jax          {result['import_seconds']:8.3f} s   (target under {IMPORT_LIMIT} s)")
    print(f"with drumgan_jax.load       {result['import_with_load_seconds']:8.3f} s")
    print(f"first start to first step   {result['first_start_seconds']:8.2f} s")
    print(f"second start to first step  {result['second_start_seconds']:8.2f} s")
    print(f"ratio                       {result['ratio']:8.2f}     (target at least {RATIO})")
    print(f"TensorFlow imported         {'yes' if result['tensorflow_imported'] else 'no':>8}     (target no)")
    print(json.dumps({"benchmark": "startup", **result, "met": met}))
    if options.json:
        options.json.write_text(json.dumps({"benchmark": "startup", **result, "met": met}, indent=2) + "\n")


if __name__ == "__main__":
    main()
