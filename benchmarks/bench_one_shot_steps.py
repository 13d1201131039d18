"""Training steps of the two one-shot systems against the same networks written straightforwardly.

    python -m benchmarks.bench_one_shot_steps [--rounds=3] [--batch=4] [--json=PATH]

The step is the task's own: the critic's with gradient penalty, and the generator's, each with its Adam, wholly grown.
The straightforward networks compute the same function by other convolutions: drumgan_vst repeats neighbours before it
convolves, in the forward pass too; style_drumsynth repeats samples before it convolves, and halves by a strided
convolution. Rounds alternate between the two, after one that is not counted (compilation); a time is the best of its
rounds. On CPU the networks are those of `packaged`, and XLA has one core if the process is bound to one. On a GPU they
are those of `full`, convolutions in bfloat16, with sounds a second and FLOP/s over the measured peak of a matrix
product.
"""

import argparse
import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp

from benchmarks.bench_training_step import ON_CPU, matrix_peak, seconds
from drumgan_jax.configs import drumgan_vst, style_drumsynth
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.networks import progressive, style_waveform
from drumgan_jax.networks.convolution import DIMENSIONS, convolve
from drumgan_jax.networks.growing import upsample_nearest
from drumgan_jax.networks.waveform_layers import same_convolution
from drumgan_jax.training.tasks.gan import GanTask, build_gan_task

SYSTEMS = {"drumgan_vst": drumgan_vst, "style_drumsynth": style_drumsynth}
LABELS = ["kick", "snare", "cymbal"]


def plain_enlarging(x: jax.Array, kernel: jax.Array, factors: tuple[int, int]) -> jax.Array:
    """What `enlarge_and_convolve` computes, one after the other."""
    return convolve(upsample_nearest(x, (x.shape[1] * factors[0], x.shape[2] * factors[1])), kernel)


def plain_doubling(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """What `waveform_layers.up_convolution` computes, one after the other."""
    return same_convolution(jnp.repeat(x, 2, axis=2), kernel)


def plain_halving(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """What `waveform_layers.down_convolution` computes, as a strided convolution."""
    return jax.lax.conv_general_dilated(
        x, kernel.astype(x.dtype), (1, 2), ((0, 0), (6, 8)), dimension_numbers=DIMENSIONS
    )


@contextlib.contextmanager
def straightforward() -> Iterator[None]:
    """Networks traced inside are written straightforwardly."""
    with (
        mock.patch.object(progressive, "enlarge_and_convolve", plain_enlarging),
        mock.patch.object(style_waveform, "up_convolution", plain_doubling),
        mock.patch.object(style_waveform, "down_convolution", plain_halving),
    ):
        yield


def task_of(system: str, batch: int) -> GanTask:
    """A system's task with random statistics of its data."""
    config = SYSTEMS[system].get_config("packaged" if ON_CPU else "full")
    config.train.batch_size = batch
    config.train.compute_dtype = "auto"
    values = json.loads(config.to_json())
    if values["representation"]["kind"] == "complex":
        values["representation"] |= {"mean": 0.0, "std": 1.0}
    return build_gan_task(values | {"labels": LABELS}, make_mesh())


def measure(system: str, batch: int, rounds: int, peak: float) -> dict[str, Any]:
    """Seconds of each phase in both forms, their ratio, and what the step makes of the chip."""
    ours, theirs = task_of(system, batch), task_of(system, batch)
    shape = ours.gan.representation.shape
    rows = {
        "x": jax.random.normal(jax.random.key(0), (batch, *shape)),
        "labels": jnp.tile(jnp.eye(3), (batch, 1))[:batch],
    }
    data = {key: rows["x" if key == "x" else "labels"] for key in ours.keys}
    batch_shapes = {key: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for key, leaf in data.items()}
    lowered = ours.lower(batch_shapes)
    with straightforward():
        plain = {name: step.compile() for name, step in theirs.lower(batch_shapes).items()}
    compiled = {name: step.compile() for name, step in lowered.items()}
    state = ours.init()
    named = {"x": data["x"], "labels": rows["labels"]}
    times: dict[str, dict[str, float]] = {}
    for name, step in compiled.items():
        both = {"ours": step, "straightforward": plain[name]}
        losses = [float(run(step, state, named)[1][f"loss/{name}"]) for step in both.values()]
        assert abs(losses[0] - losses[1]) < (1e-3 if ON_CPU else 5e-2) * (1 + abs(losses[0])), losses
        best = dict.fromkeys(both, float("inf"))
        for _ in range(rounds):
            for form, step in both.items():
                fresh = copy_of(state)
                best[form] = min(best[form], seconds(lambda step=step, fresh=fresh: step(fresh, named)))
        times[name] = best
    critic_steps = ours._task.critic_steps
    total = {
        form: times["discriminator"][form] + times["generator"][form] / critic_steps
        for form in ("ours", "straightforward")
    }
    flops = {name: (step.cost_analysis() or {}).get("flops", float("nan")) for name, step in lowered.items()}
    work = flops["discriminator"] + flops["generator"] / critic_steps
    return {
        "system": system,
        "batch": batch,
        "phases": times,
        "seconds": total,
        "ratio": total["straightforward"] / total["ours"],
        "sounds_per_second": batch / total["ours"],
        "part_of_matrix_peak": work / total["ours"] / peak,
    }


def copy_of(state: Any) -> Any:
    """A state that a step may take as its own."""
    return jax.block_until_ready(jax.tree.map(jnp.copy, state))


def run(step: Callable[..., Any], state: Any, batch: Any) -> Any:
    """The step's result, of a copy of the state."""
    return step(copy_of(state), copy.copy(batch))


def main() -> None:
    """Print the table; write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="timed steps of each network")
    parser.add_argument("--batch", type=int, default=4 if ON_CPU else 32)
    parser.add_argument("--json", help="file to write the results to")
    arguments = parser.parse_args()
    peak = matrix_peak()
    device = jax.devices()[0].device_kind
    print(f"{device}, JAX {jax.__version__}, matrix product {peak / 1e12:.2f} TFLOP/s")
    results = []
    for system in SYSTEMS:
        result = measure(system, arguments.batch, arguments.rounds, peak)
        results.append(result)
        phases = ", ".join(
            f"{name} {1e3 * times['ours']:.0f} against {1e3 * times['straightforward']:.0f} ms"
            for name, times in result["phases"].items()
        )
        print(
            f"{system}, batch {result['batch']}: {phases}; a step {result['ratio']:.2f} times as fast, "
            f"{result['sounds_per_second']:.1f} sounds a second, {result['part_of_matrix_peak']:.0%} of the peak",
            flush=True,
        )
    if arguments.json:
        report = {"device": device, "jax": jax.__version__, "matrix_peak": peak, "results": results}
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
