"""The pieces of the GPU kit (benchmarks/gpu_kit.py), each under 10 minutes, and what is known between them."""

import contextlib
import csv
import dataclasses
import datetime
import json
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import jax

from benchmarks.bench_training_step import matrix_peak
from benchmarks.gpu_state import remove_state, restore_run, write_state
from drumgan_jax.commands.config_files import load as load_config
from drumgan_jax.commands.evaluate_run import print_quality
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.data.batches import DevicePrefetch, batches
from drumgan_jax.data.dataset import Dataset, open_dataset
from drumgan_jax.data_pipelines.prepare import prepare, summary
from drumgan_jax.evaluation.quality import METRICS
from drumgan_jax.evaluation.quality.judge import packaged_judge
from drumgan_jax.evaluation.quality.table import quality_text
from drumgan_jax.evaluation.report import save_json
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.play.load import load
from drumgan_jax.play.quality import dataset_yardstick, quality
from drumgan_jax.runs.config import read_config
from drumgan_jax.training import run
from drumgan_jax.training.loop import train
from drumgan_jax.training.tasks.gan import GanTask, build_gan_task

# The system of our own and one of a paper, by the names of their files.
OWN, PAPER = "own", "paper"
# Seconds of training, in all calls together; and those kept for storing the state.
TRAINING = {OWN: 270, PAPER: 90}
_SAVING = 30
# Seconds for which steps are timed.
_TIMED = 10
_HELD_OUT = 0.2  # of the procedural drums
_FIGURES = ("fid/drums", "kid/drums")


class Budget:
    """Time that is left of a number of seconds."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds, below 0 after the end."""
        return self._end - time.monotonic()


@dataclasses.dataclass(frozen=True)
class Job:
    """What a call of the kit was asked for.

    Attributes:
        audio: a manifest, or a procedural source (`synthetic:drums?count=600`).
        state: the folder that another machine goes on with.
        work: the folder of data sets and run directories, which is made again where it is absent.
        systems: name and variant of the configs, by file name.
        sounds: in each row of the tables.
        results: the file that the report is appended to.
    """

    audio: str
    state: Path
    work: Path
    systems: Mapping[str, str]
    sounds: int
    results: Path

    def config(self, name: str) -> Any:
        """A system's config for these recordings, with nothing beside training in the loop.

        Raises:
            BadInput: there is no such system, it is no GAN on classes, or the recordings lack its classes.
        """
        config = load_config(self.systems[name])
        if config.task.kind != "gan" or config.task.get("soft_labels", False):
            raise BadInput(f"{self.systems[name]} cannot be trained on classes alone; give another --paper.")
        rows = self._rows()
        # Classes come as the kit has them: hats are divided already. All pitches are as recorded, without a library.
        config.preparation.update(hats=False, pitch_shifts=(0.0,))
        if rows:
            present = {row["label"] for row in rows}
            wanted = tuple(config.preparation.labels) or tuple(sorted(present))
            labels = tuple(label for label in wanted if label in present)
            held_out = {row["source"] for row in rows if row.get("split") == "test" and row["label"] in labels}
            config.preparation.update(labels=labels, test_sources=tuple(sorted(held_out)), test_fraction=0.0)
            if not labels:
                raise BadInput(f"{self.audio} has no class of {self.systems[name]}; give another --paper or --kit.")
        else:
            if name == OWN:
                config.preparation.labels = ()
            config.preparation.update(split_by="hash", test_fraction=_HELD_OUT)
        config.data.dir = os.fspath(self.work / name / "data")
        config.logging.samples_every = 0
        config.checkpoint.update(every=1_000, keep=1)
        config.evaluation.every = 0
        return config

    def dataset(self, name: str) -> Dataset:
        """A system's data set, prepared if it is absent."""
        config = self.config(name)
        if not Path(config.data.dir).exists():
            print(summary(prepare(config, [self.audio], config.data.dir)))
        return open_dataset(config.data.dir)

    def run_dir(self, name: str) -> Path:
        """A system's run directory."""
        return self.work / name / "run"

    def packed(self, name: str) -> Path:
        """A trained system as one file."""
        return self.state / f"{name}.npz"

    def _rows(self) -> list[dict[str, str]]:
        """The manifest's rows; none of a procedural source."""
        if self.audio.startswith("synthetic:"):
            return []
        with open(self.audio, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


Known = dict[str, Any]
"""What pieces leave to later ones, kept in STATE/progress.json."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of the kit's work.

    Attributes:
        least: seconds without which it is not begun.
        run: does it, and says whether it is finished; if not, the next call goes on.
    """

    least: float
    run: Callable[[Job, Known, Budget], bool]


def prepare_data(job: Job, known: Known, budget: Budget) -> bool:
    """Prepare both systems' data sets."""
    for name in (OWN, PAPER):
        job.dataset(name)
    return True


def measure_speed(job: Job, known: Known, budget: Budget) -> bool:
    """Measure the matrix peak, and both systems' training steps beside it."""
    peak = matrix_peak()
    known["device"] = {"kind": jax.devices()[0].device_kind, "jax": jax.__version__, "matrix_peak": peak}
    print(f"{known['device']['kind']}, JAX {jax.__version__}, matrix product {peak / 1e12:.2f} TFLOP/s")
    known["speed"] = {}
    for name in (OWN, PAPER):
        known["speed"][name] = speed = _speed(job, name, peak)
        print(f"{job.systems[name]}: {_speed_text(speed)}", flush=True)
    return True


def _speed(job: Job, name: str, peak: float) -> dict[str, float]:
    """Steps a second of a system when it is wholly grown, and its FLOP/s as a part of the peak."""
    dataset, mesh = job.dataset(name), make_mesh()
    task = build_gan_task(run.freeze(job.config(name), dataset), mesh)
    size = task.context.settings.batch_size
    feed = DevicePrefetch(batches(dataset, "train", task.keys, size, 0, 0), batch_sharding(mesh), size, 2)
    try:
        batch = next(feed)
    finally:
        feed.close()
    period = math.lcm(*task.intervals.values())
    start = -(-task.context.settings.total_steps // period) * period
    state = _steps(task, task.init(), batch, start, period)
    done, began = 0, time.perf_counter()
    while done == 0 or time.perf_counter() - began < _TIMED:
        state = _steps(task, state, batch, start, period)
        done += period
    per_second = done / (time.perf_counter() - began)
    # Of the arrays, not of their shapes, because these are traced already.
    lowered = {one: phase.lower(state, batch) for one, phase in task.compiled_steps.items()}
    work = {one: (step.cost_analysis() or {}).get("flops", math.nan) for one, step in lowered.items()}
    flops = sum(work[one] / interval for one, interval in task.intervals.items())
    return {"steps": per_second, "sounds": per_second * size, "share": flops * per_second / (peak * mesh.size)}


def _steps(task: GanTask, state: Any, batch: Any, start: int, count: int) -> Any:
    for step in range(start, start + count):
        state, _ = task.step(state, batch, step)
    return jax.block_until_ready(state)


def _speed_text(speed: Mapping[str, float]) -> str:
    return (
        f"{speed['steps']:.2f} steps a second, {speed['sounds']:.0f} sounds a second, "
        f"{speed['share']:.1%} of the matrix peak"
    )


def training(name: str) -> Callable[[Job, Known, Budget], bool]:
    """The piece that trains a system for its seconds and packs it; its state is stored whenever it stops before."""

    def train_system(job: Job, known: Known, budget: Budget) -> bool:
        config, dataset, run_dir = job.config(name), job.dataset(name), job.run_dir(name)
        restored = restore_run(job.state, name, job.systems[name], config, dataset, run_dir)
        if restored is not None:
            print(f"{job.systems[name]} goes on from step {restored} of {job.state}.")
        before = known.setdefault("trained", {}).get(name, 0.0)
        allowed = min(TRAINING[name] - before, budget.left() - _SAVING)
        began = time.monotonic()
        with _stopping_after(allowed):
            result = train(config, run_dir)
        spent = time.monotonic() - began
        known["trained"][name] = before + spent
        known.setdefault("steps", {})[name] = result.step
        print(f"{job.systems[name]}: {result.step} steps, {result.stopped}.", flush=True)
        if result.stopped == "preempted" and before + spent < TRAINING[name]:
            total = write_state(job.state, name, job.systems[name], result.state, read_config(run_dir))
            print(f"state: {total / 1e6:.1f} MB in {job.state}")
            return False
        _pack(job, name)
        # What is played takes a fifth of its room.
        remove_state(job.state, name)
        return True

    return train_system


@contextlib.contextmanager
def _stopping_after(seconds: float) -> Iterator[None]:
    """Training inside stops after so many seconds, or when this process gets SIGTERM.

    The signal is sent again and again, because training hears it only once it has begun.
    """
    due, ended = threading.Event(), threading.Event()

    def early(number: int, frame: FrameType | None) -> None:
        due.set()

    def send() -> None:
        due.wait(max(0.0, seconds))
        while not ended.wait(0.1):
            os.kill(os.getpid(), signal.SIGTERM)

    former = signal.signal(signal.SIGTERM, early)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        due.set()
        sender.join()
        signal.signal(signal.SIGTERM, former)


def _pack(job: Job, name: str) -> None:
    # Its module defines flags, which only this piece has a use for.
    from drumgan_jax.commands.pack import pack

    path, _ = pack(os.fspath(job.run_dir(name)), os.fspath(job.packed(name)), "last", precision="bytes")
    print(f"{path}: {path.stat().st_size:,} bytes")


def measuring(name: str) -> Callable[[Job, Known, Budget], bool]:
    """The piece that makes the table of quality of a packed system, beside baselines."""

    def measure_system(job: Job, known: Known, budget: Budget) -> bool:
        dataset, sharding = job.dataset(name), batch_sharding(make_mesh())
        instrument = load(job.packed(name)).on_devices(sharding)
        yardstick = dataset_yardstick(Suite.of(METRICS, sharding), dataset, packaged_judge(), job.sounds)
        label = job.systems[name]
        found = quality(instrument, yardstick, label)
        print_quality(found, label)
        save_json(job.state / f"table-{name}.json", {"system": label, "quality": found.as_json()})
        row = next(row for row in found.table.rows if row.name == label)
        figures = {one: row.figures[one].value for one in _FIGURES}
        text = quality_text(found.table, label)
        known.setdefault("tables", {})[name] = {"figures": figures, "text": text, "step": instrument.step}
        return True

    return measure_system


def keep_better(job: Job, known: Known, budget: Budget) -> bool:
    """Copy the better of both packed systems to STATE/instrument.npz: the lower fid/drums, then the lower kid/drums."""
    tables = known["tables"]
    # Figures that are not finite are the worst.
    score = {
        name: [value if math.isfinite(value) else math.inf for value in tables[name]["figures"].values()]
        for name in (OWN, PAPER)
    }
    better = min(score, key=lambda name: score[name])
    path = job.state / "instrument.npz"
    with replacing(path) as temporary:
        shutil.copyfile(job.packed(better), temporary)
    known["better"] = better
    print(f"{path}: {job.systems[better]}, whose {_FIGURES[0]} is the lower.")
    return True


def report(job: Job, known: Known, budget: Budget) -> bool:
    """Append a section to the results."""
    device, tables = known["device"], known["tables"]
    today = datetime.datetime.now(datetime.UTC).date()
    rows = []
    for name in (OWN, PAPER):
        speed, trained = known["speed"][name], known["trained"][name]
        cells = [f"`{job.systems[name]}`", f"{speed['steps']:.2f}", f"{speed['sounds']:.0f}", f"{speed['share']:.1%}"]
        rows.append([*cells, f"{tables[name]['step']} steps, {trained / 60:.1f} min"])
    peak = f"{device['matrix_peak'] / 1e12:.1f} TFLOP/s"
    recordings = "procedural drums" if job.audio.startswith("synthetic:") else "a kit's recordings"
    lines = [
        f"## GPU kit: {device['kind']}",
        "",
        f"`make gpu`, {today}: {device['kind']}, JAX {device['jax']}, matrix product {peak}; {recordings}. Each system",
        "is measured against held-out recordings of its own length and classes.",
        "",
        "| system | steps a second | sounds a second | part of the matrix peak | trained |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]
    for name in (OWN, PAPER):
        lines += [f"`{job.systems[name]}`:", "", "```", tables[name]["text"], "```", ""]
    lines.append(f"Packed: `{job.systems[known['better']]}`.")
    with open(job.results, "a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(lines) + "\n")
    print(f"{job.results}: a section more.")
    return True


PIECES = {
    "prepare": Piece(60, prepare_data),
    "speed": Piece(120, measure_speed),
    "train": Piece(90, training(OWN)),
    "train_paper": Piece(90, training(PAPER)),
    "table": Piece(90, measuring(OWN)),
    "table_paper": Piece(90, measuring(PAPER)),
    "pack": Piece(5, keep_better),
    "report": Piece(5, report),
}


def run_pieces(job: Job, minutes: float, recordings: str) -> bool:
    """Do the pieces that are not done yet, until the minutes are used up; whether all are done.

    Args:
        job: what is asked for.
        minutes: that may be used.
        recordings: what tells these recordings from others.

    Raises:
        BadInput: the state is of another job, or the minutes do not suffice for any piece.
    """
    budget = Budget(60 * minutes)
    progress = _read_progress(job, recordings)
    begun = False
    for name, piece in PIECES.items():
        if name in progress["done"]:
            continue
        if budget.left() < piece.least:
            if not begun:
                raise BadInput(
                    f"--minutes is {minutes:g}, and the piece {name!r} needs {piece.least / 60:.1f}; give more."
                )
            break
        print(f"\n== {name} ==", flush=True)
        begun, began = True, time.monotonic()
        finished = piece.run(job, progress["known"], budget)
        progress["seconds"][name] = progress["seconds"].get(name, 0.0) + time.monotonic() - began
        if finished:
            progress["done"].append(name)
        with replacing(job.state / "progress.json") as temporary:
            temporary.write_text(json.dumps(progress, indent=1))
        if not finished:
            break
    seconds = ", ".join(f"{name} {spent:.0f} s" for name, spent in progress["seconds"].items())
    print(f"\n{len(progress['done'])} of {len(PIECES)} pieces are done: {seconds}.")
    return len(progress["done"]) == len(PIECES)


def _read_progress(job: Job, recordings: str) -> dict[str, Any]:
    """What is done; begins anew in an empty folder."""
    path = job.state / "progress.json"
    fresh = {"systems": dict(job.systems), "recordings": recordings, "done": [], "seconds": {}, "known": {}}
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return fresh
    try:
        progress: dict[str, Any] = json.loads(path.read_text())
        others = [key for key in ("systems", "recordings") if progress[key] != fresh[key]]
        complete = fresh.keys() <= progress.keys()
    except (ValueError, KeyError, TypeError) as problem:
        raise BadInput(f"{path} is damaged; copy {job.state} once more, or give another --state.") from problem
    if others or not complete:
        was = f"{' and '.join(progress['systems'].values())} on the recordings {progress['recordings']}"
        raise BadInput(f"{job.state} is the state of {was}; give these, or another --state.")
    return progress
