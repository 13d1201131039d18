"""Forms of the networks' convolutions and of resampling: which are fastest here.

    python benchmarks/bench_resampling.py [--rounds=3] [--json=PATH]

For each operation, the form the networks use and the others that compute the same: forward, gradient by all inputs, and
gradient of the squared gradient (what R1 and path length need). All are compiled first and checked against each other;
rounds alternate between the forms, and a time is the best of its rounds. The networks' choices are for CPU; on another
backend this prints what to choose there.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.networks import convolution, convolution_on_cpu, resampling

Form = Callable[..., jax.Array]
# Batch, freq and time of the small image, channels.
SIZES = [(4, 16, 32, 128), (4, 64, 128, 16)]


def same_kernel_gradient_by_products() -> Form:
    """The plain convolution, its kernel's gradient as nine products of shifted images."""

    @jax.custom_vjp
    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return same_plain(x, kernel)

    def backward(kept: tuple[jax.Array, jax.Array], y: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, kernel = kept
        freq, time = y.shape[1:3]
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        products = [
            [jnp.einsum("bfti,bfto->io", padded[:, r : r + freq, s : s + time], y) for s in range(3)] for r in range(3)
        ]
        return convolve(y, kernel[::-1, ::-1].swapaxes(2, 3)), jnp.stack([jnp.stack(row) for row in products])

    convolve.defvjp(lambda x, kernel: (convolve(x, kernel), (x, kernel)), backward)
    return convolve


def same_plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The plain convolution with JAX's own derivatives."""
    return convolution.plain(x, kernel, convolution_on_cpu.Geometry(padding=((1, 1), (1, 1))))


def double_plain(y: jax.Array, kernel: jax.Array) -> jax.Array:
    """The transpose of halving by JAX's rule."""
    return convolution.plain_transpose(y, kernel, convolution.HALVING, (2 * y.shape[1] + 1, 2 * y.shape[2] + 1))


def up_plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Dilated convolution and blur, with JAX's own derivatives."""
    kernel = kernel.swapaxes(2, 3)
    return 4 * resampling._blurred_slices(double_plain(x, kernel), 1, 1)


def up_phases(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """As phases and blur, with JAX's own derivatives."""
    kernel = kernel.swapaxes(2, 3)
    return 4 * resampling._blurred_slices(
        convolution_on_cpu._transpose_by_phases(x, kernel, convolution.HALVING)[:, :-1, :-1], 1, 1
    )


def up_fused(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Kernel and blur as one 6 x 6 kernel, of which each of the four output phases sees 3 x 3 taps."""
    batch, freq, time, channels = x.shape
    features = kernel.shape[-1]
    taps = 2 * np.asarray(resampling.BLUR, np.float32)
    whole = sum(
        jnp.pad(kernel * (a * b), ((i, 3 - i), (j, 3 - j), (0, 0), (0, 0)))
        for i, a in enumerate(taps)
        for j, b in enumerate(taps)
    )
    phases = whole.reshape(3, 2, 3, 2, channels, features)[::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5)
    y = convolution.convolve(x, phases.reshape(3, 3, channels, 4 * features))
    y = y.reshape(batch, freq, time, 2, 2, features).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(batch, 2 * freq, 2 * time, features)


def down_plain(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Blur and strided convolution, with JAX's own derivatives."""
    return convolution.plain(resampling._blurred_slices(x, 2, 1), kernel, convolution.HALVING)


def depthwise(x: jax.Array, padding: int, stride: int, dilation: int, gain: float) -> jax.Array:
    """The blur as a depthwise convolution."""
    channels = x.shape[-1]
    blur = gain * np.outer(resampling.BLUR, resampling.BLUR).astype(np.float32)
    return jax.lax.conv_general_dilated(
        x,
        jnp.tile(jnp.asarray(blur)[:, :, None, None], (1, 1, 1, channels)),
        (stride, stride),
        ((padding, padding),) * 2,
        lhs_dilation=(dilation, dilation),
        dimension_numbers=convolution.DIMENSIONS,
        feature_group_count=channels,
    )


def separable(x: jax.Array, padding: int) -> jax.Array:
    """The blur as four slices on one axis, then on the other."""
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    for axis in (1, 2):
        size = x.shape[axis] - 3
        slices = [jax.lax.slice_in_dim(x, i, i + size, axis=axis) for i in range(4)]
        x = sum(tap * piece for tap, piece in zip(resampling.BLUR, slices, strict=True))
    return x


def banded(x: jax.Array, padding: int) -> jax.Array:
    """The blur as a banded matrix product on each axis."""

    def band(size: int) -> np.ndarray:
        rows = np.arange(size + 2 * padding - 3)[:, None]
        offset = np.arange(size)[None, :] - rows + padding
        return np.where((offset >= 0) & (offset < 4), np.take(resampling.BLUR, offset.clip(0, 3)), 0).astype(np.float32)

    return jnp.einsum("pf,qt,bftc->bpqc", band(x.shape[1]), band(x.shape[2]), x)


def operations(
    batch: int, freq: int, time: int, channels: int
) -> dict[str, tuple[tuple[jax.Array, ...], dict[str, Form]]]:
    """Per operation its arguments and forms; the first is the networks' own."""
    keys = jax.random.split(jax.random.key(0), 3)
    small = jax.random.normal(keys[0], (batch, freq, time, channels))
    large = jax.random.normal(keys[1], (batch, 2 * freq, 2 * time, channels))
    kernel = jax.random.normal(keys[2], (3, 3, channels, channels)) / (3 * channels**0.5)
    return {
        "convolution": (
            (large, kernel),
            {
                "own derivatives": convolution.convolve,
                "XLA's": same_plain,
                "kernel gradient as nine products": same_kernel_gradient_by_products(),
            },
        ),
        "up-convolution": (
            (small, kernel),
            {
                "own derivatives": resampling.up_convolution,
                "dilated, plain": up_plain,
                "phases, plain": up_phases,
                "one fused kernel": up_fused,
            },
        ),
        "down-convolution": (
            (large, kernel),
            {"own derivatives": resampling.down_convolution, "strided, plain": down_plain},
        ),
        "blur": (
            (large,),
            {
                "sixteen slices": lambda x: resampling.blur(x, 1),
                "four slices an axis": lambda x: separable(x, 1),
                "banded matrices": lambda x: banded(x, 1),
                "depthwise": lambda x: depthwise(x, 1, 1, 1, 1.0),
            },
        ),
        "upsample": (
            (small,),
            {"slices": resampling.upsample, "depthwise": lambda x: depthwise(x, 2, 1, 2, 4.0)},
        ),
        "downsample": (
            (large,),
            {"slices": resampling.downsample, "depthwise": lambda x: depthwise(x, 1, 2, 1, 1.0)},
        ),
    }


def stages(form: Form, linear: bool) -> dict[str, Form]:
    """Forward, gradient, and gradient of the squared gradient; the last is not asked of what is linear."""

    def gradient(*arguments: jax.Array) -> Any:
        y, pull_back = jax.vjp(form, *arguments)
        return pull_back(jnp.cos(y))

    def second(*arguments: jax.Array) -> Any:
        def squared(*arguments: jax.Array) -> jax.Array:
            return jnp.sum(jnp.square(gradient(*arguments)[0]))

        return jax.grad(squared, tuple(range(len(arguments))))(*arguments)

    return {"forward": form, "gradient": gradient} | ({} if linear else {"second": second})


def measure(arguments: tuple[jax.Array, ...], forms: dict[str, Form], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each form and stage.

    Raises:
        AssertionError: two forms do not compute the same.
    """
    compiled = {
        (name, stage): jax.jit(function)
        for name, form in forms.items()
        for stage, function in stages(form, len(arguments) == 1).items()
    }
    first: dict[str, Any] = {}
    for (name, stage), function in compiled.items():
        results = jax.tree.leaves(jax.block_until_ready(function(*arguments)))
        for a, b in zip(results, first.setdefault(stage, results), strict=True):
            assert jnp.abs(a - b).max() <= 1e-4 * (1 + jnp.abs(b).max()), f"{name} differs ({stage})"
    best: dict[str, dict[str, float]] = {name: {} for name in forms}
    for _ in range(rounds):
        for (name, stage), function in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(function(*arguments))
            elapsed = 1000 * (time.perf_counter() - start)
            best[name][stage] = min(elapsed, best[name].get(stage, elapsed))
    return best


def main() -> None:
    """Print the table; write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each form")
    parser.add_argument("--json", help="file to write the results to")
    options = parser.parse_args()
    device = jax.devices()[0].device_kind
    print(f"{device}, JAX {jax.__version__}; milliseconds")
    results = []
    for size in SIZES:
        for operation, (arguments, forms) in operations(*size).items():
            best = measure(arguments, forms, options.rounds)
            results.append({"size": size, "operation": operation, "milliseconds": best})
            for name, times in best.items():
                row = "  ".join(f"{stage} {value:8.1f}" for stage, value in times.items())
                print(f"{'x'.join(map(str, size)):>14}  {operation:16}  {name:32}  {row}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"device": device, "jax": jax.__version__, "results": results}, file, indent=2)


if __name__ == "__main__":
    main()
