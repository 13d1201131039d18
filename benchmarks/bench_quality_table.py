"""The whole table of quality of the packaged instrument, with compilation and without.

    python -m benchmarks.bench_quality_table [--sounds=300]

The target is 60 s on two idle cores for 300 sounds once everything is compiled: the sets, their embeddings, the sound
family, classes, sliders, components and novelty.
"""

import argparse
import time

import jax

from drumgan_jax.evaluation.quality import METRICS
from drumgan_jax.evaluation.quality.judge import packaged_judge
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.play.load import load
from drumgan_jax.play.quality import packaged_yardstick, quality

TARGET = 60.0


def main() -> None:
    """Measure and print; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=int, default=300)
    sounds = parser.parse_args().sounds
    jax.config.update("jax_enable_compilation_cache", False)
    instrument, suite, judge = load(), Suite.of(METRICS), packaged_judge()
    seconds = []
    for name in ("with compilation", "compiled"):
        began = time.perf_counter()
        quality(instrument, packaged_yardstick(suite, judge, sounds), "packaged")
        seconds.append(time.perf_counter() - began)
        print(f"{name:<18} {seconds[-1]:6.1f} s")
    print(f"compilation takes {seconds[0] / seconds[1] - 1.0:.2f} times as long as the rest")
    print(f"target {TARGET:.0f} s: {TARGET / seconds[1]:.1f} times as fast")


if __name__ == "__main__":
    main()
