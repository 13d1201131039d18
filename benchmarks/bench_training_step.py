"""A training step of StyleGAN2 with shared kernels against the same network with a kernel per example.

    python benchmarks/bench_training_step.py [--rounds=2] [--json=PATH]

The step is the gradients of both players' losses, generator then discriminator, at the two systems' sizes. The other
network differs in one thing: its modulated convolutions give each example its own kernel and run as one grouped
convolution (batch groups), as the reference's do in PyTorch. Rounds alternate between the two, after one that is not
counted (compilation); a time is the best of its rounds. On CPU widths are reduced, and the target is at least 3 times
as fast. On a GPU widths are full, convolutions in bfloat16, and the table also has seconds per 1,000 images, achieved
FLOP/s over the measured peak of a matrix product, and peak memory.
"""

import argparse
import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp

from drumgan_jax.networks import modulated
from drumgan_jax.networks.convolution import DIMENSIONS
from drumgan_jax.networks.resampling import blur
from drumgan_jax.networks.stylegan2 import Discriminator, Generator
from drumgan_jax.objectives.logistic import Logistic

TARGET = 3.0
ON_CPU = jax.default_backend() == "cpu"


@dataclasses.dataclass(frozen=True)
class Case:
    """A system's networks, and a batch."""

    system: str
    shape: tuple[int, int, int]
    base: tuple[int, int]
    batch: int
    channel_base: int
    channel_max: int
    latent: int

    @property
    def label(self) -> str:
        """Name for the table."""
        return f"{self.system} {'x'.join(map(str, self.shape))}, batch {self.batch}"


CASES = (
    [
        Case("splice_loops", (256, 512, 1), (4, 8), 4, 4096, 64, 64),
        Case("electrogan", (1024, 1024, 1), (4, 4), 4, 4096, 32, 64),
    ]
    if ON_CPU
    else [
        Case("splice_loops", (256, 512, 1), (4, 8), 32, 32768, 512, 512),
        Case("electrogan", (1024, 1024, 1), (4, 4), 16, 32768, 512, 512),
    ]
)


def kernel_per_example(
    x: jax.Array, kernel: jax.Array, styles: jax.Array, up: bool, compute_dtype: jnp.dtype
) -> jax.Array:
    """What `modulated_convolution` computes, with the kernel modulated and demodulated instead of the activations."""
    batch, freq, time, channels = x.shape
    own = kernel * styles[:, None, None, :, None]
    own = own * jax.lax.rsqrt(jnp.square(own).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
    if up:
        own = own[:, ::-1, ::-1]
    features = own.shape[-1]
    # Examples become groups of channels.
    own = own.transpose(1, 2, 3, 0, 4).reshape(3, 3, channels, batch * features).astype(compute_dtype)
    x = x.astype(compute_dtype).transpose(1, 2, 0, 3).reshape(1, freq, time, batch * channels)
    x = jax.lax.conv_general_dilated(
        x,
        own,
        (1, 1),
        ((2, 2), (2, 2)) if up else "SAME",
        lhs_dilation=(2, 2) if up else (1, 1),
        dimension_numbers=DIMENSIONS,
        feature_group_count=batch,
    )
    x = x.reshape(*x.shape[1:3], batch, features).transpose(2, 0, 1, 3)
    return (4 * blur(x, 1) if up else x).astype(jnp.float32)


@contextlib.contextmanager
def per_example() -> Iterator[None]:
    """While tracing inside, modulated convolutions have a kernel per example."""
    with mock.patch.object(modulated, "modulated_convolution", kernel_per_example):
        yield


def training_step(case: Case) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Gradients of both losses, and their arguments."""
    width = {"channel_base": case.channel_base, "channel_max": case.channel_max, "base": case.base}
    dtype = jnp.float32 if ON_CPU else jnp.bfloat16
    generator = Generator(case.shape, z_dim=case.latent, w_dim=case.latent, compute_dtype=dtype, **width)
    discriminator = Discriminator(case.shape, compute_dtype=dtype, **width)
    objective = Logistic(r1_gamma=1.0)
    z = jax.random.normal(jax.random.key(0), (case.batch, case.latent))
    real = jax.random.normal(jax.random.key(1), (case.batch, *case.shape))

    def generate(made: Any, z: jax.Array, key: jax.Array) -> jax.Array:
        return generator.apply({"params": made}, z, None, key)

    def generator_loss(made: Any, judged: Any, z: jax.Array, key: jax.Array) -> jax.Array:
        critique = discriminator.apply({"params": judged}, generate(made, z, key), None)
        return objective.generator_loss(critique, None)[0]

    def discriminator_loss(judged: Any, made: Any, z: jax.Array, real: jax.Array, key: jax.Array) -> jax.Array:
        fake, truth = (discriminator.apply({"params": judged}, x, None) for x in (generate(made, z, key), real))
        return objective.discriminator_loss(truth, fake, None)[0]

    def step(made: Any, judged: Any, z: jax.Array, real: jax.Array, key: jax.Array) -> Any:
        of_generator = jax.value_and_grad(generator_loss)(made, judged, z, key)
        of_discriminator = jax.value_and_grad(discriminator_loss)(judged, made, z, real, key)
        return of_generator, of_discriminator

    made = jax.jit(lambda key: generator.init(key, z, None, None)["params"])(jax.random.key(2))
    judged = jax.jit(lambda key: discriminator.init(key, real, None)["params"])(jax.random.key(3))
    return step, (made, judged, z, real, jax.random.key(4))


def seconds(run: Callable[[], Any]) -> float:
    """Time until the result is there."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def matrix_peak() -> float:
    """FLOP/s of a large matrix product in the dtype of the convolutions."""
    size, dtype = (2048, jnp.float32) if ON_CPU else (8192, jnp.bfloat16)
    a = jax.random.normal(jax.random.key(0), (size, size)).astype(dtype)
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    return 2 * size**3 / min(seconds(lambda: product(a)) for _ in range(10))


def measure(case: Case, rounds: int, peak: float) -> dict[str, Any]:
    """Seconds per step of both networks, their ratio, and what the step makes of the chip."""
    step, arguments = training_step(case)
    lowered = jax.jit(step).lower(*arguments)
    shared = lowered.compile()
    # A function of its own: jit would find the trace of the other.
    with per_example():
        grouped = jax.jit(lambda *arguments: step(*arguments)).lower(*arguments).compile()
    (loss, _), (critic_loss, _) = shared(*arguments)
    memory = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    (other_loss, _), (other_critic_loss, _) = grouped(*arguments)
    for a, b in ((loss, other_loss), (critic_loss, other_critic_loss)):
        assert abs(a - b) < (1e-3 if ON_CPU else 5e-2) * (1 + abs(a)), "the two networks are not the same function"
    times: dict[str, list[float]] = {"shared": [], "per_example": []}
    for _ in range(rounds):
        times["shared"].append(seconds(lambda: shared(*arguments)))
        times["per_example"].append(seconds(lambda: grouped(*arguments)))
    best = {name: min(values) for name, values in times.items()}
    flops = (lowered.cost_analysis() or {}).get("flops", float("nan"))
    return {
        "case": dataclasses.asdict(case),
        "seconds": best,
        "ratio": best["per_example"] / best["shared"],
        "seconds_per_1000_images": 1000 * best["shared"] / case.batch,
        "flops_per_second": flops / best["shared"],
        "part_of_matrix_peak": flops / best["shared"] / peak,
        "peak_bytes": memory,
    }


def main() -> None:
    """Print the table; write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2, help="timed steps of each network")
    parser.add_argument("--json", help="file to write the results to")
    arguments = parser.parse_args()
    peak = matrix_peak()
    device = jax.devices()[0].device_kind
    print(f"{device}, JAX {jax.__version__}, matrix product {peak / 1e12:.2f} TFLOP/s")
    results = []
    for case in CASES:
        result = measure(case, arguments.rounds, peak)
        results.append(result)
        memory = f", {result['peak_bytes'] / 2**30:.1f} GiB" if result["peak_bytes"] else ""
        print(
            f"{case.label}: {result['seconds']['shared']:.2f} s a step, a kernel per example "
            f"{result['seconds']['per_example']:.2f} s: {result['ratio']:.1f} times; "
            f"{result['seconds_per_1000_images']:.0f} s per 1,000 images, "
            f"{result['part_of_matrix_peak']:.0%} of the matrix peak{memory}",
            flush=True,
        )
    if ON_CPU:
        print(f"target: at least {TARGET:.0f} times on CPU")
    if arguments.json:
        report = {"device": device, "jax": jax.__version__, "matrix_peak": peak, "target": TARGET, "results": results}
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=2)


if __name__ == "__main__":
    main()
