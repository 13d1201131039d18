"""The training steps of four systems against plain PyTorch on the same machine.

    make bench-torch
    python -m benchmarks.bench_torch [--systems=stylegan2,projected] [--rounds=5] [--processes=3] [--json=PATH]

Ours are the tasks' own compiled phases. The baseline (benchmarks/torch_baseline) is the same networks, losses, Adam and
averages, written straightforwardly in plain PyTorch, with our weights: modulation scales activations instead of
kernels, Adam is fused, the average is one call, and spectral norms are computed once a step. Its idle threads spin
before they sleep, as they do by default, which counts as its processor time; OMP_WAIT_POLICY=passive in the environment
saves a part of that, and costs wall time. The progressive GAN is at its last stage, while that fades in. Before
anything is timed, both sides compute outputs, losses and gradients of the same inputs, which must agree to a thousandth
(torch_baseline/check.py; gradients with a smooth activation, because rounding decides at the kink of a leaky ReLU).

Each side is a process of its own, so that no idle thread of one takes time from the other; they take turns phase by
phase. A time is the best of the rounds, after one that is not counted, by wall (ms) and by processor time of all
threads of the process (ms). Processes of one program differ by a tenth, so each number is the median of several. Ours
has large pages, as `drumgan train` gives itself on Linux; PyTorch is measured without and with them. An iteration is
the sum of the phases over their intervals. Compile time is that of the phases' first calls, less a later one, without a
cache of compiled code; peak memory is that of the process, which includes compilation. A ratio is PyTorch / ours, so
above 1 ours is faster. The last line is the iteration's ratio of processor times for StyleGAN2.

On a GPU the networks are those of `full`, and both sides run in float32 and in bfloat16 (PyTorch by autocast), PyTorch
also through torch.compile, except for penalties, which it cannot differentiate twice; times are by wall. The table then
has images a second, and XLA's count of FLOP over the time and the measured peak of a bfloat16 matrix product.
"""

import argparse
import dataclasses
import importlib.util
import json
import multiprocessing
import os
import pickle
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from drumgan_jax.core.large_pages import with_large_pages

SYSTEMS = ("stylegan2", "progressive", "style_drumsynth", "projected")
INFINITE = float("inf")


@dataclasses.dataclass(frozen=True)
class Side:
    """A framework with its settings.

    Attributes:
        name: for the table.
        serve: function of this module that makes a system's phases, in a process of its own.
        bfloat16: whether convolutions are in bfloat16.
        compiled: whether PyTorch's networks are compiled.
        large_pages: whether its memory is in large pages, where the system gives them.
    """

    name: str
    serve: str
    bfloat16: bool = False
    compiled: bool = False
    large_pages: bool = False


OURS, PYTORCH = Side("ours", "serve_ours", large_pages=True), Side("PyTorch", "serve_torch")
# `drumgan train` asks for large pages itself; a program in PyTorch is started with them by whoever knows of them.
ON_CPU = (OURS, PYTORCH, Side("PyTorch, large pages", "serve_torch", large_pages=True))
ON_GPU = (
    OURS,
    PYTORCH,
    Side("ours, bfloat16", "serve_ours", bfloat16=True),
    Side("PyTorch, compiled", "serve_torch", compiled=True),
    Side("PyTorch, compiled, bfloat16", "serve_torch", bfloat16=True, compiled=True),
)


@dataclasses.dataclass
class Times:
    """What was measured of one side: by phase the first call, the best wall and the best processor time, seconds."""

    first: dict[str, float]
    wall: dict[str, float]
    processor: dict[str, float]
    peak_bytes: int = 0

    @property
    def compile_seconds(self) -> float:
        """First calls less the best of the later ones."""
        return sum(max(0.0, first - self.wall[name]) for name, first in self.first.items())

    def iteration(self, kind: str, intervals: dict[str, int]) -> float:
        """Seconds ("wall" or "processor") of an iteration, in which each phase is run as often as its interval says."""
        return sum(getattr(self, kind)[phase] / interval for phase, interval in intervals.items())

    def report(self, intervals: dict[str, int]) -> dict[str, Any]:
        """All numbers of a side."""
        return dataclasses.asdict(self) | {
            "compile_seconds": self.compile_seconds,
            "iteration_wall": self.iteration("wall", intervals),
            "iteration_processor": self.iteration("processor", intervals),
        }


class Worker:
    """A process of one side, which runs a phase when it is told to."""

    def __init__(self, side: Side, system: str, exported: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other, side, system, exported), daemon=True)
        with mock.patch.dict(os.environ, (with_large_pages(os.environ) or {}) if side.large_pages else {}):
            self.process.start()
        other.close()

    def ask(self, request: str) -> Any:
        """The answer to a phase's name (wall and processor seconds) or to "" (peak bytes), which ends the process.

        Raises:
            SystemExit: the process has ended by an error, which it has printed.
        """
        try:
            self.pipe.send(request)
            return self.pipe.recv()
        except (EOFError, BrokenPipeError):
            raise SystemExit(
                "a process of the benchmark ended by the error above; nothing more was measured."
            ) from None


def _work(pipe: Any, side: Side, system: str, exported: str) -> None:
    """What a worker does."""
    phases, peak = globals()[side.serve](side, system, exported)
    while request := pipe.recv():
        wall, processor = time.perf_counter(), time.process_time()
        phases[request]()
        pipe.send((time.perf_counter() - wall, time.process_time() - processor))
    pipe.send(peak())


# The frameworks are imported in the processes that need them only: each other's threads and memory would be measured.


def serve_ours(side: Side, system: str, exported: str) -> tuple[dict[str, Callable[[], Any]], Callable[[], int]]:
    """Our phases, and the peak memory."""
    from benchmarks.torch_baseline import ours

    task = ours.task_of(system, "bfloat16" if side.bfloat16 else "float32")
    return ours.steps(task, task.init()), lambda: ours.peak_device_memory() or _peak_of_process()


def serve_torch(side: Side, system: str, exported: str) -> tuple[dict[str, Callable[[], Any]], Callable[[], int]]:
    """PyTorch's phases, and the peak memory."""
    import torch

    from benchmarks.torch_baseline.training import Trainer

    with open(exported, "rb") as file:
        spec, arrays, on_gpu = pickle.load(file)
    trainer = Trainer(spec, arrays, "cuda" if on_gpu else "cpu", side.compiled, side.bfloat16)
    if not on_gpu:
        return trainer.steps(), _peak_of_process
    # As XLA does for float32.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    def finished(step: Callable[[], None]) -> None:
        step()
        torch.cuda.synchronize()

    steps = {name: (lambda step=step: finished(step)) for name, step in trainer.steps().items()}
    return steps, torch.cuda.max_memory_allocated


def _peak_of_process() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _in_a_process(function: Callable[..., Any], *inputs: Any) -> Any:
    """A function's result from a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, inputs)


def _prepare(system: str, exported: str) -> dict[str, Any]:
    """Check that both sides agree, write what PyTorch needs, and describe the system."""
    import jax
    import torch

    from benchmarks.torch_baseline import check, ours

    on_gpu = torch.cuda.is_available() and jax.default_backend() == "gpu"
    difference = check.check(system)
    task = ours.task_of(system, "float32")
    state = task.init()
    spec = ours.specification(system, task, state)
    with open(exported, "wb") as file:
        pickle.dump((spec, ours.arrays_of(state), on_gpu), file)
    return {
        "batch": spec.batch,
        "intervals": dict(spec.intervals),
        "difference": difference,
        "on_gpu": on_gpu,
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
        "flops": ours.flops(task) if on_gpu else {},
        "matrix_peak": _matrix_peak() if on_gpu else None,
    }


def _matrix_peak() -> float:
    """FLOP/s of a bfloat16 product of 8192 x 8192 matrices on the GPU."""
    import torch

    size, repeats, best = 8192, 20, INFINITE
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    for _ in range(4):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            a @ a
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / repeats)
    return 2 * size**3 / best


def measure(system: str, rounds: int, processes: int, folder: str) -> dict[str, Any]:
    """Everything about one system: of each side's number the median of several processes."""
    exported = os.path.join(folder, system)
    result = _in_a_process(_prepare, system, exported)
    intervals = result["intervals"]
    sides = ON_GPU if result["on_gpu"] else ON_CPU
    found = [_measure_once(system, rounds, exported, sides, intervals) for _ in range(processes)]
    result["sides"] = {side.name: _median([times[side.name].report(intervals) for times in found]) for side in sides}
    ratios = [
        times["PyTorch"].iteration("processor", intervals) / times["ours"].iteration("processor", intervals)
        for times in found
    ]
    return result | {"ratios": ratios}


def _measure_once(
    system: str, rounds: int, exported: str, sides: Sequence[Side], intervals: dict[str, int]
) -> dict[str, Times]:
    """One new process of each side; the sides take turns."""
    workers = {side.name: Worker(side, system, exported) for side in sides}
    times = {name: Times({}, {}, {}) for name in workers}
    for number in range(rounds + 2):
        for phase in intervals:
            for name, worker in workers.items():
                wall, processor = worker.ask(phase)
                of_side = times[name]
                if number == 0:
                    of_side.first[phase] = wall
                elif number > 1:
                    of_side.wall[phase] = min(of_side.wall.get(phase, INFINITE), wall)
                    of_side.processor[phase] = min(of_side.processor.get(phase, INFINITE), processor)
    for name, worker in workers.items():
        times[name].peak_bytes = worker.ask("")
        worker.process.join()
    return times


def _median(reports: Sequence[Any]) -> Any:
    """The median of each number in dictionaries of one shape."""
    if isinstance(reports[0], dict):
        return {key: _median([report[key] for report in reports]) for key in reports[0]}
    return statistics.median(reports)


def show_times(system: str, result: dict[str, Any]) -> None:
    """Print a system's rows of the table."""
    ours, theirs = result["sides"]["ours"], result["sides"]["PyTorch"]
    for phase, interval in result["intervals"].items():
        name = phase if interval == 1 else f"{phase}, every {interval}"
        _row(system, name, [(theirs[kind][phase], ours[kind][phase]) for kind in ("wall", "processor")])
    iterations = [f"iteration_{kind}" for kind in ("wall", "processor")]
    _row(system, "whole iteration", [(theirs[key], ours[key]) for key in iterations])


def show_more(system: str, result: dict[str, Any]) -> None:
    """Print a system's compile time and memory, and on a GPU what each side makes of the chip."""
    ours, theirs = result["sides"]["ours"], result["sides"]["PyTorch"]
    compiles, peaks = ([side[key] for side in (theirs, ours)] for key in ("compile_seconds", "peak_bytes"))
    print(
        f"{system}, batch {result['batch']}: compile time {compiles[0]:.1f} s and {compiles[1]:.1f} s, peak memory"
        f" {peaks[0] / 2**20:.0f} MiB and {peaks[1] / 2**20:.0f} MiB (PyTorch and ours); both compute the same to"
        f" {result['difference']:.1e}"
    )
    span = f"{min(result['ratios']):.2f} to {max(result['ratios']):.2f}"
    print(f"{system}: the iteration's ratio of processor time is {span} in {len(result['ratios'])} processes", end="")
    if large := result["sides"].get("PyTorch, large pages"):
        print(
            f"; {large['iteration_processor'] / ours['iteration_processor']:.2f} if PyTorch has large pages too", end=""
        )
    print()
    if result["on_gpu"]:
        work = sum(flops / result["intervals"][phase] for phase, flops in result["flops"].items())
        for name, side in result["sides"].items():
            seconds = side["iteration_wall"]
            print(
                f"{system}, {name}: {result['batch'] / seconds:.1f} images a second,"
                f" {work / seconds / result['matrix_peak']:.1%} of {result['matrix_peak'] / 1e12:.0f} TFLOP/s"
            )


def _row(system: str, name: str, pairs: list[tuple[float, float]]) -> None:
    cells = [f"{1e3 * a:.1f} | {1e3 * b:.1f} | {a / b:.2f}" for a, b in pairs]
    print(f"| {system} | {name} | {cells[0]} | {cells[1]} |", flush=True)


def main() -> None:
    """Print the table; write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default=",".join(SYSTEMS), help=f"some of {','.join(SYSTEMS)}")
    parser.add_argument("--rounds", type=int, default=5, help="timed calls of each phase")
    parser.add_argument("--processes", type=int, default=3, help="processes of each side, one after another")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    arguments = parser.parse_args()
    systems = arguments.systems.split(",")
    if unknown := sorted(set(systems) - set(SYSTEMS)):
        parser.error(f"unknown system {unknown[0]}; choose from {','.join(SYSTEMS)}.")
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed here, so there is nothing to compare with; run `make bench-torch`.")
        return
    # Both take effect in the workers: compile times without a cache, and GPU memory as it is needed.
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    versions = {name: version(name) for name in ("torch", "jax", "jaxlib")}
    results = {}
    with TemporaryDirectory() as folder:
        for number, system in enumerate(systems):
            results[system] = measure(system, arguments.rounds, arguments.processes, folder)
            if not number:
                told = ", ".join(f"{name} {value}" for name, value in versions.items())
                print(f"{results[system]['device']}, {os.cpu_count()} cores; {told}")
                print("milliseconds, best of rounds, median of processes\n")
                print("| system | phase | PyTorch wall | ours | ratio | PyTorch processor | ours | ratio |")
                print("|---|---|---|---|---|---|---|---|")
            show_times(system, results[system])
    print()
    for system, result in results.items():
        show_more(system, result)
    if arguments.json:
        report = {"versions": versions, "cores": os.cpu_count(), "rounds": arguments.rounds, "results": results}
        arguments.json.write_text(json.dumps(report, indent=2))
    if "stylegan2" in results:
        sides = results["stylegan2"]["sides"]
        print(f"iteration {sides['PyTorch']['iteration_processor'] / sides['ours']['iteration_processor']:.2f}")


if __name__ == "__main__":
    main()
