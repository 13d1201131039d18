"""Vocoders on one CPU core: times faster than real time, beside mel inversion and Griffin-Lim, and their gradients.

    python benchmarks/bench_vocoder.py [--vocoder=FILE_OR_RUN --data=DATA_SET] [--rounds=5] [--json=PATH]

Four tables. *Sounds*: seconds of sound made in a second, of MelGAN at the sizes of configs/melgan.py with random
weights and of Griffin-Lim by iterations, one sound of 1.92 s at a time, from mel bands to samples. *Gradients*: of the
convolutions, in the forms that the networks use and in the plain ones. *Quality*, with --vocoder and --data: speeds of
a trained vocoder and of Griffin-Lim beside their distances from the recordings of the data set's split "test". *Tone*,
with --vocoder: in what it makes of 20 s of noise and of silence, the power at multiples of the hop rate over that of
the frequencies around them. The process keeps to one core. A time is the best of its rounds.
"""

import argparse
import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before JAX counts the cores.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from drumgan_jax.audio.representations import build_representation  # noqa: E402
from drumgan_jax.configs import melgan  # noqa: E402
from drumgan_jax.data.dataset import open_dataset  # noqa: E402
from drumgan_jax.networks import weight_normalized as layers  # noqa: E402
from drumgan_jax.runs.load import load_vocoder  # noqa: E402
from drumgan_jax.systems.decoders import GriffinLim, build_decoder  # noqa: E402
from drumgan_jax.systems.vocoder import TrainedVocoder, build_vocoder  # noqa: E402
from drumgan_jax.training.tasks.vocoder import FIGURES  # noqa: E402

ITERATIONS = (1, 2, 4, 8, 32, 64)
KEY = jax.random.key(0)
KEYS = KEY[None]


def best(function: Callable[..., Any], *arguments: Any, rounds: int) -> float:
    """Seconds, after a first call that is not counted."""
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return min(times)


def representation_of(config: Any, **changes: Any) -> Any:
    """The representation of a config, with statistics near a data set's."""
    return build_representation({**config.representation.to_dict(), "mean": -2.7, "std": 1.2, **changes})


def sounds(rounds: int) -> list[dict[str, Any]]:
    """Speed of each way to sound, one sound of 1.92 s at a time."""
    rows = []
    x = jax.random.normal(KEY, (1, *representation_of(melgan.full()).shape))
    for variant in ("full", "packaged"):
        config = melgan.get_config(variant)
        frames = {"num_frames": x.shape[2]}
        inner = representation_of(config, **frames)
        section = {**config.representation.to_dict(), "mean": -2.7, "std": 1.2, **frames}
        vocoder = build_vocoder({"representation": section, "vocoder": config.vocoder.to_dict()})
        variables = jax.jit(vocoder.init)(KEY)
        trained = TrainedVocoder(vocoder, jax.device_get(variables), {})
        decoder = build_decoder({"kind": "vocoder", "path": variant}, inner, lambda _, trained=trained: trained)
        start = time.perf_counter()
        decode = jax.jit(lambda x, decoder=decoder: decoder.decode(x, KEYS)).lower(x).compile()
        compiled = time.perf_counter() - start
        rows.append({"way": f"melgan {variant}", **_speed(decode, x, inner, rounds), "compile_seconds": compiled})
    for iterations in ITERATIONS:
        shown = representation_of(melgan.full())
        decoder = GriffinLim(shown, iterations)
        decode = jax.jit(lambda x, decoder=decoder: decoder.decode(x, KEYS))
        rows.append({"way": f"griffin_lim {iterations}", **_speed(decode, x, shown, rounds)})
    return rows


def quality(path: str, data: str, rounds: int) -> list[dict[str, Any]]:
    """Speed and distances of a trained vocoder and of Griffin-Lim on recordings."""
    dataset, trained = open_dataset(data), load_vocoder(path)
    real = np.concatenate(list(dataset.waveforms(dataset.held_out, 1000, 16)))
    inner: Any = dataset.representation
    ways: dict[str, Any] = {"vocoder": build_decoder({"kind": "vocoder", "path": path}, inner, lambda _: trained)}
    for iterations in ITERATIONS:
        ways[f"griffin_lim {iterations}"] = GriffinLim(inner, iterations)
    rows = []
    for name, decoder in ways.items():
        decode = jax.jit(lambda x, decoder=decoder: decoder.decode(x, KEYS))
        made = np.concatenate([decode(inner.encode(one[None])) for one in real])
        x = inner.encode(real[:1])
        figures = {}
        for figure, of_pair in FIGURES.items():
            compiled = jax.jit(lambda pair, of_pair=of_pair: of_pair(*pair))
            pairs = ((a[None], b[None]) for a, b in zip(real, made, strict=True))
            figures[figure] = float(np.mean([compiled(pair) for pair in pairs]))
        rows.append({"way": name, **_speed(decode, x, inner, rounds), **figures, "sounds": len(real)})
    return rows


def tone(path: str) -> list[dict[str, Any]]:
    """Power at multiples of the hop rate over that between 3 and 20 Hz beside them, in dB: mean and largest."""
    trained = load_vocoder(path)
    scale = trained.vocoder.representation
    frames = 20 * scale.sample_rate // scale.hop_length
    long: Any = dataclasses.replace(trained.vocoder, representation=dataclasses.replace(scale, num_frames=frames))
    length = long.representation.num_samples
    rng = np.random.default_rng(0)
    make = jax.jit(lambda x: long.render(trained.variables, long.representation.transform(x)))
    rows = []
    for name, level in (("noise at -20 dB", 0.1), ("noise at -60 dB", 0.001), ("silence", 0.0)):
        original = (level * rng.standard_normal(length)).astype(np.float32)
        made = np.asarray(make(original[None]))[0]
        row = {"of": name, "rms_db": 10 * np.log10(np.mean(np.square(made, dtype=np.float64)) + 1e-20)}
        for side, sound in (("vocoder", made), ("original", original)):
            excess = hop_excess(sound, scale.sample_rate, scale.sample_rate / scale.hop_length)
            row |= {f"{side}_mean_db": float(excess.mean()), f"{side}_largest_db": float(excess.max())}
        rows.append(row)
    return rows


def hop_excess(sound: np.ndarray, rate: int, hop_rate: float) -> np.ndarray:
    """dB of each multiple of the hop rate over its surroundings, of spectra of 1 s, averaged."""
    windows = np.lib.stride_tricks.sliding_window_view(np.float64(sound), rate)[:: rate // 2] * np.hanning(rate)
    power = np.square(np.abs(np.fft.rfft(windows))).mean(axis=0) + 1e-20
    places = np.round(np.arange(hop_rate, rate / 2 - 20, hop_rate)).astype(int)
    around = np.stack([power[places + offset] for offset in (*range(-20, -2), *range(3, 21))]).mean(axis=0)
    return 10 * np.log10(power[places] / around)


def _speed(decode: Callable[..., Any], x: Any, shown: Any, rounds: int) -> dict[str, float]:
    seconds = best(decode, x, rounds=rounds)
    return {"seconds": seconds, "times_real_time": shown.num_samples / shown.sample_rate / seconds}


def _plain_up(x: Any, kernel: Any) -> Any:
    factor, width = len(kernel) // 2, len(kernel)
    start = factor // 2 + factor % 2
    padding = (width - 1 - start, width - 1 - start + factor % 2)
    return jax.lax.conv_general_dilated(
        x, kernel[::-1], (1,), (padding,), lhs_dilation=(factor,), dimension_numbers=("NWC", "WIO", "NWC")
    )


def _plain_strided(x: Any, kernel: Any, groups: int) -> Any:
    return jax.lax.conv_general_dilated(
        x, kernel, (4,), "VALID", feature_group_count=groups, dimension_numbers=("NWC", "WIO", "NWC")
    )


def _plain(x: Any, kernel: Any, dilation: int) -> Any:
    return jax.lax.conv_general_dilated(
        x, kernel, (1,), "VALID", rhs_dilation=(dilation,), dimension_numbers=("NWC", "WIO", "NWC")
    )


def gradients(rounds: int) -> list[dict[str, Any]]:
    """Seconds of both gradients of a batch of 4 crops of the packaged size, in both forms."""
    cases: list[tuple[str, tuple[int, ...], tuple[int, ...], Callable[..., Any], Callable[..., Any]]] = [
        ("up 5", (4, 50, 128), (10, 128, 64), layers.up_convolution, _plain_up),
        ("up 4", (4, 1000, 32), (8, 32, 16), layers.up_convolution, _plain_up),
        (
            "dilated 9",
            (4, 4018, 16),
            (3, 16, 16),
            functools.partial(layers.convolution, dilation=9),
            functools.partial(_plain, dilation=9),
        ),
        (
            "strided, 16 groups",
            (4, 540, 64),
            (41, 4, 128),
            functools.partial(layers.strided_convolution, stride=4, groups=16),
            functools.partial(_plain_strided, groups=16),
        ),
    ]
    rows = []
    for name, shape, kernel_shape, ours, plain in cases:
        x, kernel = jax.random.normal(KEY, shape), jax.random.normal(KEY, kernel_shape)
        times = [
            best(jax.jit(jax.grad(lambda x, k, f=f: jnp.sum(jnp.square(f(x, k))), (0, 1))), x, kernel, rounds=rounds)
            for f in (ours, plain)
        ]
        rows.append({"convolution": name, "seconds": times[0], "plain_seconds": times[1], "ratio": times[1] / times[0]})
    return rows


def _tell(rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    print("  ".join(name.rjust(21) for name in names))
    for row in rows:
        cells = [row.get(name, "") for name in names]
        print("  ".join((f"{cell:.4g}" if isinstance(cell, float) else str(cell)).rjust(21) for cell in cells))
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocoder", help="a vocoder's run or file")
    parser.add_argument("--data", help="a data set of its mel scale")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    tables = {"sounds": sounds(arguments.rounds), "gradients": gradients(arguments.rounds)}
    if arguments.vocoder and arguments.data:
        tables["quality"] = quality(arguments.vocoder, arguments.data, arguments.rounds)
    if arguments.vocoder:
        tables["tone"] = tone(arguments.vocoder)
    for name, rows in tables.items():
        print(f"{name}:")
        _tell(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
