"""A training step of the projected GAN against StyleGAN2's, with its regularisers, at equal batch.

    python -m benchmarks.bench_projected_step [--rounds=3] [--batch=16] [--json=PATH]

Both are the tasks' own phases: the generator's and the discriminator's, each with its Adam, the lazy regularisers at
their intervals (R1 in every 16th step, path lengths in every 4th; the projected GAN has none), and the averages. The
generator is the same. Feature networks have random weights, whose values cost the same as any. Rounds alternate between
the two, after one that is not counted (compilation); a time is the best of its rounds. On CPU the networks are those of
`tiny`; on a GPU those of `full`, convolutions in bfloat16.
"""

import argparse
import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import jax

from benchmarks.bench_one_shot_steps import copy_of
from benchmarks.bench_training_step import ON_CPU, seconds
from drumgan_jax.configs import pjloopgan
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.systems.feature_networks import PUBLISHED, RANDOM, described
from drumgan_jax.training.tasks.gan import GanTask, build_gan_task

SIZE = "tiny" if ON_CPU else "full"
ROWS = ("stylegan2", "vggish", "scnn_loops", "vggish_scnn_loops")


@dataclasses.dataclass
class Part:
    """A part of a system's step, ready to run.

    Attributes:
        interval: it runs in every such step.
        run: of a copy of the state.
        best: seconds.
    """

    interval: int
    run: Callable[[Any], Any]
    best: float = float("inf")


def task_of(row: str, batch: int) -> GanTask:
    """The task of a row of the paper's table, with plain statistics and random feature networks."""
    config = pjloopgan.get_config(f"{SIZE}-{row}")
    config.train.batch_size = batch
    config.train.compute_dtype = "auto"
    values = json.loads(config.to_json())
    values["representation"] |= {"mean": 0.0, "std": 1.0}
    return build_gan_task(with_random_features(values) | {"labels": []}, make_mesh())


def with_random_features(values: dict[str, Any]) -> dict[str, Any]:
    """A config whose published feature networks have random weights instead, at the published sizes."""
    features = values.get("feature_networks", {})
    for feature in features.values():
        if feature["weights"] in PUBLISHED:
            network: Any = PUBLISHED[feature["weights"]].network
            fields = {"vggish": ("widths",), "short_chunk": ("channels", "blocks")}[feature["kind"]]
            feature |= {"weights": RANDOM, "network": {field: getattr(network, field) for field in fields}}
    return values | {"feature_networks": described(features)}


def parts_of(task: GanTask, batch: int) -> tuple[dict[str, Part], Any]:
    """The compiled parts of a step by name, and a state."""
    state = task.init()
    x = jax.random.normal(jax.random.key(0), (batch, *task.gan.representation.shape))
    stage = task._stage(0)
    phases = {
        name: Part(interval, lambda state, phase=phase: phase(state, {"x": x}))
        for name, interval, phase in stage.phases
    }
    return {**phases, "averages": Part(1, stage.average)}, state


def main() -> None:
    """Print the table; write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="timed steps of each system")
    parser.add_argument("--batch", type=int, default=16 if ON_CPU else 64)
    parser.add_argument("--json", help="file to write the results to")
    arguments = parser.parse_args()
    systems = {row: parts_of(task_of(row, arguments.batch), arguments.batch) for row in ROWS}
    for timed in (False, *[True] * arguments.rounds):
        for parts, state in systems.values():
            for part in parts.values():
                fresh = copy_of(state)
                taken = seconds(functools.partial(part.run, fresh))
                part.best = min(part.best, taken) if timed else part.best
    device = jax.devices()[0].device_kind
    print(f"{device}, JAX {jax.__version__}, {SIZE}, batch {arguments.batch}")
    results = []
    for row, (parts, _) in systems.items():
        total = sum(part.best / part.interval for part in parts.values())
        of_parts = {name: {"seconds": part.best, "interval": part.interval} for name, part in parts.items()}
        results.append({"row": row, "seconds": total, "images_per_second": arguments.batch / total, "parts": of_parts})
        results[-1]["ratio"] = results[0]["seconds"] / total
        told = ", ".join(
            f"{name} {1e3 * part.best:.4g} ms" + (f" in every {part.interval}th" if part.interval > 1 else "")
            for name, part in parts.items()
        )
        print(
            f"{row}: {arguments.batch / total:.4g} images a second, {results[-1]['ratio']:.2f} times stylegan2 ({told})"
        )
    if arguments.json:
        report = {"device": device, "jax": jax.__version__, "size": SIZE, "batch": arguments.batch, "results": results}
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
