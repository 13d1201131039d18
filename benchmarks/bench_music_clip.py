"""One clip of electrogan at full size, 23.77 s at 44.1 kHz: from latents to waveform, and in its two parts.

    python benchmarks/bench_music_clip.py [--batch=1] [--rounds=10] [--dtype=float32] [--json=PATH]

Havenaar (2023, section 8) gives 1.01 s for "generating STFT images and the post processing pipeline (normalization,
GLA)" of 23.77 s of sound, on an RTX 3090. What is measured here is that: ws of drawn z to the picture, and the picture
to the waveform by 10 iterations of Griffin-Lim, on whatever device JAX has, compiled before, with random weights, which
take as long as trained ones. Beside the times stand each part's arithmetic as XLA counts it, and that of one large
matrix product in the same run: a part near the product's speed is bound by arithmetic, one far below it by memory.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.configs import electrogan
from drumgan_jax.core.keys import Purpose, sound_keys
from drumgan_jax.latents.seeds import noise_of, z_of
from drumgan_jax.systems.gan import gan_at

PAPER_SECONDS = 1.01
SIDE = 4096


def best_time(run: Callable[..., Any], arguments: tuple[Any, ...], rounds: int) -> float:
    """Least time of a compiled function in seconds, after one run that is not counted."""
    jax.block_until_ready(run(*arguments))
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(run(*arguments))
        taken.append(time.perf_counter() - start)
    return min(taken)


def measure(function: Callable[..., Any], arguments: tuple[Any, ...], rounds: int) -> dict[str, float]:
    """Seconds, best of several, and XLA's count of operations and of bytes that are read and written."""
    compiled = jax.jit(function).lower(*arguments).compile()
    cost = compiled.cost_analysis() or {}
    operations, traffic = float(cost.get("flops", np.nan)), float(cost.get("bytes accessed", np.nan))
    return {"seconds": best_time(compiled, arguments, rounds), "operations": operations, "bytes": traffic}


def clip_parts(batch: int, dtype: str, rounds: int) -> tuple[dict[str, dict[str, float]], float]:
    """The figures of each part, and the length of a clip in seconds."""
    config = json.loads(json.dumps(electrogan.get_config("full").to_dict()))
    config["representation"] |= {"mean": -3.0, "std": 4.0}
    config["train"]["compute_dtype"] = dtype
    gan, _ = gan_at(config, 0, 0)
    z = z_of(np.arange(batch, dtype=np.uint32), gan.generator.z_dim)
    variables = jax.jit(lambda key: gan.generator.init(key, z, None, None))(jax.random.key(0))
    numbers = jnp.arange(batch, dtype=jnp.uint32)

    def picture(variables: Any, z: Any) -> Any:
        ws = gan.map(variables, z, None, 1.0)
        return gan.synthesize(variables, ws, noise_of(numbers, gan.generator.noise_sizes))

    def waveform(x: Any) -> Any:
        return gan.decoder.decode(x, sound_keys(numbers, Purpose.PHASE))

    # The networks of a new generator give near-constant pictures; the phases are sought for a picture with detail.
    x = jax.random.uniform(jax.random.key(1), (batch, *gan.representation.shape), jnp.float32, -1.0, 1.0)
    a = jax.random.normal(jax.random.key(2), (SIDE, SIDE), jnp.bfloat16 if dtype == "bfloat16" else jnp.float32)
    parts = {
        "picture": measure(picture, (variables, z), rounds),
        "phases": measure(waveform, (x,), rounds),
        "whole": measure(lambda variables, z: waveform(picture(variables, z)), (variables, z), rounds),
        "matrix product": measure(lambda a: a @ a, (a,), rounds),
    }
    return parts, gan.representation.num_samples / gan.representation.sample_rate


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    parts, duration = clip_parts(options.batch, options.dtype, options.rounds)
    device = jax.devices()[0].device_kind
    print(f"JAX {jax.__version__}, {device}, batch {options.batch}, {options.dtype}; per clip of {duration:.2f} s")
    print("| part | seconds | operations | GB read and written | operations a second |")
    print("|---|---|---|---|---|")
    for name, one in parts.items():
        share = 1 if name == "matrix product" else options.batch
        columns = [f"{one['seconds'] / share:.3g}", f"{one['operations'] / share / 1e9:.4g} G"]
        columns += [f"{one['bytes'] / share / 1e9:.3g}", f"{one['operations'] / one['seconds'] / 1e9:.4g} G"]
        print(f"| {name} | {' | '.join(columns)} |")
    seconds = parts["whole"]["seconds"] / options.batch
    print(f"{duration / seconds:.2f} times as fast as it sounds; {PAPER_SECONDS / seconds:.2f} times as fast as 1.01 s")
    result = {"benchmark": "music_clip", "jax": jax.__version__, "device": device, "clip": duration, "parts": parts}
    print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
