"""What an evaluation takes: clips a second of every embedder, and its share of the time of training.

    python benchmarks/bench_evaluation.py [--rounds=3] [--json=PATH]

First table: a batch of windows through each embedder, and the share that embedding has of measuring fid, kid and prdc
of 1,024 one-shots against 1,024 (the rest is cutting, resampling and the figures). Embedders whose published weights
are not here run with random ones: the work is the same.

Second table: evaluation against training in the schedule of the `full` configs, reckoned from measured parts. A step's
time is its FLOPs (XLA's count, as lowered) at the rate that the generator's forward pass reaches at full width on this
machine: backward passes are slower, so the share is an upper bound. The evaluation's parts (generating, phase
reconstruction, resampling, embedding, figures) are measured at full size on a few sounds, and scaled to all of them.
"""

import argparse
import importlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.configs import electrogan, splice_loops
from drumgan_jax.core.keys import Purpose, sound_keys
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.evaluation.collecting import EMBEDDINGS, WINDOWS_PER_DEVICE, Sound, Stream
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.embedders import EMBEDDERS, OF_EXAMPLES, build_embedder
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.systems.gan import build_gan
from drumgan_jax.training.tasks import build_task
from drumgan_jax.weights import store

SOUNDS = 1024
TARGET = 0.05
# Embedders of published weights, and the shape of an example to their networks.
PUBLISHED = {
    "inception": (1, 299, 299, 3),
    "musicnn": (1, 96, 187, 1),
    "picture": (1, 299, 299, 3),
    "short_chunk": (1, 128, 231, 1),
    "vggish": (1, 96, 64, 1),
}


def best_of(rounds: int, run: Callable[[], Any]) -> float:
    """Seconds of the fastest of some calls, after one that compiles."""
    jax.block_until_ready(run())
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def noises(count: int, samples: int) -> np.ndarray:
    """Decaying noise [count, samples]."""
    rng = np.random.default_rng(0)
    decay = np.exp(-np.arange(samples) / (samples / 5))
    return (0.3 * rng.standard_normal((count, samples)) * decay).astype(np.float32)


def embedder_of(name: str, representation: Any = None) -> Embedder:
    """An embedder, with random weights where the published ones are not here."""
    given = {"representation": representation} if name in OF_EXAMPLES else {}
    try:
        return build_embedder(name, **given)
    except ValueError:
        with mock.patch.object(store, "load", return_value=({}, "random")):
            return random_embedder(name, **given)


def random_embedder(name: str, **given: Any) -> Embedder:
    """An embedder of published weights, with others of the same shapes."""
    module = importlib.import_module(f"drumgan_jax.evaluation.embedders.{EMBEDDERS[name]}")

    def drawn(_: Any, network: Any) -> Any:
        shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(PUBLISHED[name]))
        return jax.tree.map(lambda leaf: np.full(leaf.shape, 1e-3, leaf.dtype), shapes)

    with mock.patch.object(module, "from_tensorflow" if name == "musicnn" else "from_torch", drawn):
        return module.build(**given)


def throughput(name: str, rounds: int) -> dict[str, float | None]:
    """Windows a second of an embedder, and, unless it takes minutes, the share of embedding in measuring with it."""
    embedder = embedder_of(name)
    windows = jnp.asarray(noises(WINDOWS_PER_DEVICE, embedder.window))
    compiled = jax.jit(embedder.embed)
    variables = jax.device_put(embedder.variables)
    seconds = best_of(rounds, lambda: compiled(variables, windows))
    rate = WINDOWS_PER_DEVICE / seconds
    if rate < 20:
        return {"windows_per_second": rate, "embedding_share": None}
    metrics = ("fid", "kid") if name == "log_mel" else ("fid", "kid", "prdc")
    suite = Suite(tuple((metric, embedder) for metric in metrics), None)
    sounds = noises(SOUNDS, 24_064)

    def measured() -> None:
        stream = Stream(SOUNDS, [Sound(one, 44_100, "noise") for one in sounds])
        seen = suite.embed(stream)
        suite.compare(seen, seen)

    measured()
    start = time.perf_counter()
    measured()
    whole = time.perf_counter() - start
    batches = -(-SOUNDS // WINDOWS_PER_DEVICE)
    return {"windows_per_second": rate, "embedding_share": batches * seconds / whole}


def training_share(name: str, config: Any, rounds: int) -> dict[str, float]:
    """Seconds of an evaluation and of the training between two, in a full config's schedule."""
    values = config.to_dict()
    values["representation"].update(mean=-4.0, std=2.0)
    values["labels"] = []
    values["train"]["compute_dtype"] = "float32"
    gan = build_gan(values, 0)
    step_flops = flops_of_step(values, gan)

    batch = 2
    z = jax.random.normal(jax.random.key(0), (batch, gan.generator.z_dim))
    variables = jax.jit(lambda key: gan.generator.init(key, z, None, key))(jax.random.key(1))
    forward = jax.jit(lambda variables, z: gan.generator.apply(variables, z, None, jax.random.key(2)))
    forward_flops = float(forward.lower(variables, z).cost_analysis()["flops"])
    generating = best_of(rounds, lambda: forward(variables, z)) / batch
    decode = jax.jit(gan.decoder.decode)
    x = forward(variables, z)
    keys = sound_keys(jnp.arange(batch, dtype=jnp.uint32), Purpose.PHASE)
    decoding = best_of(rounds, lambda: decode(x, keys)) / batch

    settings = values["evaluation"]
    names = [name.split(":") for name in settings["metrics"]]
    suite = Suite(tuple((metric, embedder_of(embedder, gan.representation)) for metric, embedder in names), None)
    few = 64
    waveforms = noises(few, gan.representation.num_samples)
    rate = gan.representation.sample_rate

    def seen() -> Any:
        return suite.embed(Stream(few, [Sound(one, rate, "noise") for one in waveforms]))

    embedding = best_of(rounds, seen) / few
    rows = seen()
    scale = settings["num_samples"] / few
    start = time.perf_counter()
    suite.compare(rows, rows)
    # The neighbours' part grows with the square of the number of sounds, what is made of moments does not grow.
    by_pairs = any(EMBEDDINGS in parts for parts in suite.needs.values())
    figures = (time.perf_counter() - start) * (scale**2 if by_pairs else 1.0)
    evaluation = settings["num_samples"] * (generating + decoding + embedding) + figures
    step = step_flops / (forward_flops / (batch * generating))
    return {
        "evaluation_seconds": evaluation,
        "generating": settings["num_samples"] * generating,
        "decoding": settings["num_samples"] * decoding,
        "embedding": settings["num_samples"] * embedding,
        "figures": figures,
        "step_seconds": step,
        "between_seconds": settings["every"] * step,
        "share": evaluation / (evaluation + settings["every"] * step),
    }


def flops_of_step(config: dict[str, Any], gan: Any) -> float:
    """FLOPs of a mean training step: every phase by how often it runs."""
    task = build_task(config, make_mesh())
    shape = (config["train"]["batch_size"], *gan.representation.shape)
    lowered = task.lower({"x": jax.ShapeDtypeStruct(shape, "float32")})
    intervals = {regularizer.name: regularizer.interval for regularizer in gan.objective.regularizers}
    return sum(float(one.cost_analysis()["flops"]) / intervals.get(phase, 1) for phase, one in lowered.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    print(f"JAX {jax.__version__} on {jax.devices()[0].platform}, {os.cpu_count()} cores")
    print("| embedder | windows a second | of s | share of evaluation |")
    print("|---|---|---|---|")
    embedders = {}
    for name in ("drums", "log_mel", "vgg16", *(one for one in PUBLISHED if one not in OF_EXAMPLES)):
        result = embedders[name] = throughput(name, arguments.rounds)
        length = embedder_of(name).window / embedder_of(name).sample_rate
        share = "" if result["embedding_share"] is None else f"{result['embedding_share']:.0%}"
        print(f"| {name} | {result['windows_per_second']:.4g} | {length:.3g} | {share} |")

    print("| full config | evaluation | step | training between | share of training | target |")
    print("|---|---|---|---|---|---|")
    shares = {}
    for name, module in (("splice_loops", splice_loops), ("electrogan", electrogan)):
        result = shares[name] = training_share(name, module.get_config("full"), arguments.rounds)
        print(
            f"| {name} | {result['evaluation_seconds']:.0f} s | {result['step_seconds']:.1f} s"
            f" | {result['between_seconds'] / 3600:.1f} h | {result['share']:.2%} | {TARGET:.0%} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"target": TARGET, "embedders": embedders, "training": shares}, indent=2))


if __name__ == "__main__":
    main()
