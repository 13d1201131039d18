"""One sound on one CPU core: from latents to waveform, and from waveform to latents.

    python benchmarks/bench_one_sound.py [CONFIG:VARIANT | FILE.npz ...] [--rounds=200] [--seconds=60] [--json=PATH]

What is measured is `Instrument.render` of one sound and of 16, and `Instrument.encode` likewise where there is an
encoder: NumPy arrays in, NumPy arrays out, compiled before. A config gives random weights, which take as long as
trained ones, wholly grown; its encoder is that of CONFIG_encoder.py, if there is one. An .npz is a packed instrument.
Without arguments: both one-shot systems at full size, and the packaged model if there is one. The process keeps itself
to one core, so XLA has one thread. Every case is repeated `rounds` times or for `seconds`, whichever is less, at least
10 times. Targets for one sound, by the median: the sound's own duration for a config, 50 ms for a packed instrument.
"""

import argparse
import importlib.util
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# Before JAX counts the cores, and whatever accelerator there is.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=1"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from drumgan_jax.core.weight_file import variables_digest  # noqa: E402
from drumgan_jax.play.instrument import BATCH, Instrument  # noqa: E402
from drumgan_jax.play.load import SHIPPED, load  # noqa: E402
from drumgan_jax.systems.encoder import Encoding, build_encoder  # noqa: E402
from drumgan_jax.systems.gan import gan_at  # noqa: E402

PACKED_TARGET = 0.05
FULL = ("configs/drumgan_vst.py:full", "configs/style_drumsynth.py:full")


def read_config(spec: str) -> dict[str, Any]:
    """The config of FILE.py:VARIANT."""
    path, _, variant = spec.partition(":")
    found = importlib.util.spec_from_file_location("benchmarked_config", ROOT / path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return json.loads(json.dumps(module.get_config(variant or "full").to_dict()))


def random_instrument(spec: str) -> Instrument:
    """An instrument of a config with random weights, wholly grown, and its encoder likewise."""
    config = read_config(spec)
    labels = tuple(config["preparation"]["labels"]) or ("kick", "snare")
    labels = labels if config["task"]["conditional"] else ()
    if config["representation"]["kind"] != "waveform":
        config["representation"] |= {"mean": 0.0, "std": 1.0}
    step = sum(config.get("growth", {}).get("images", ()))
    gan, growth = gan_at(config, len(labels), step)
    weights = jnp.zeros((1, len(labels))) if labels else None
    z = jnp.zeros((1, gan.generator.z_dim))
    variables = jax.jit(lambda key: gan.generator.init(key, z, weights, None))(jax.random.key(0))
    packed = None
    path, _, variant = spec.partition(":")
    encoders = path.replace(".py", "_encoder.py")
    if (ROOT / encoders).exists():
        section = read_config(f"{encoders}:{variant}")
        encoder = build_encoder(section, gan, len(labels))
        packed = Encoding(encoder, section["encoder"], jax.jit(encoder.init)(jax.random.key(1)))
    return Instrument(
        gan, {**variables, **growth}, labels, step, config, variables_digest(variables), own_encoding=packed
    )


def times(run: Callable[[], Any], rounds: int, seconds: float) -> dict[str, float]:
    """Median and 99th percentile of a run in seconds, after two that are not counted."""
    run(), run()
    taken: list[float] = []
    while len(taken) < 10 or (len(taken) < rounds and sum(taken) < seconds):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return {"median": float(np.median(taken)), "p99": float(np.percentile(taken, 99)), "rounds": len(taken)}


def measure(name: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Everything of one instrument."""
    packed = name.endswith(".npz")
    instrument = load(name) if packed else random_instrument(name)
    rate, samples = instrument.sample_rate, instrument.gan.representation.num_samples
    duration = samples / rate
    rng = np.random.default_rng(0)
    sounds = [rng.standard_normal(samples).astype(np.float32) * 0.1 for _ in range(BATCH)]
    runs: dict[str, Callable[[], Any]] = {}
    for count in (1, BATCH):
        latents = instrument.draw(range(count))
        runs[f"render {count}"] = lambda latents=latents: instrument.render(latents)
        if instrument.encoding is not None:
            runs[f"encode {count}"] = lambda audio=sounds[:count]: instrument.encode(audio, rate)
    figures = {what: times(run, rounds, seconds) for what, run in runs.items()}
    target = PACKED_TARGET if packed else duration
    parameters = sum(leaf.size for leaf in jax.tree.leaves(instrument.variables["params"]))
    return {
        "name": Path(name).name,
        "parameters": parameters,
        "duration": duration,
        "seconds": figures,
        "target": target,
        "met": figures["render 1"]["median"] <= target,
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instruments", nargs="*")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = options.instruments or [*FULL, *([str(SHIPPED)] if SHIPPED.is_file() else [])]
    warnings.simplefilter("error")
    results = [measure(name, options.rounds, options.seconds) for name in names]

    print(f"JAX {jax.__version__}, one core of {os.cpu_count()}; milliseconds, median (99th percentile)")
    print("| | parameters | sound | render 1 | render 16 | encode 1 | encode 16 | target, render 1 |")
    print("|---|---|---|---|---|---|---|---|")
    for one in results:
        cells = [
            f"{1e3 * figure['median']:.1f} ({1e3 * figure['p99']:.1f})" if figure else ""
            for figure in (one["seconds"].get(f"{what} {n}") for what in ("render", "encode") for n in (1, BATCH))
        ]
        met = "met" if one["met"] else "not met"
        row = [one["name"], f"{one['parameters']:,}", f"{1e3 * one['duration']:.0f} ms", *cells]
        print(f"| {' | '.join(row)} | {1e3 * one['target']:.0f} ms: {met} |")
    result = {"benchmark": "one_sound", "jax": jax.__version__, "results": results}
    print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
