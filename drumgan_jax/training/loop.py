"""The training loop: read it from top to bottom."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax

from drumgan_jax.core import distributed
from drumgan_jax.core.compilation import enable_compilation_cache
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.mesh import batch_sharding, check_batch, local_rows, make_mesh
from drumgan_jax.core.places import run_place
from drumgan_jax.core.settings import read_section, read_seed
from drumgan_jax.data.batches import DevicePrefetch, batches, check_examples
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.sampling import sampling_weights
from drumgan_jax.runs import settings as sections
from drumgan_jax.runs.checkpoints import Checkpoints
from drumgan_jax.runs.metrics import BEGAN, began_at, hours_run, read_metrics, training_clock
from drumgan_jax.runs.settings import EvaluationSettings
from drumgan_jax.training import heartbeats, run
from drumgan_jax.training.profiling import Profile, ProfiledSteps
from drumgan_jax.training.task import Evaluation, Evaluator
from drumgan_jax.training.tasks import build_task
from drumgan_jax.training.window import MetricsWindow
from drumgan_jax.training.writers import Writers

__all__ = ["TrainResult", "train"]

SPLIT = "train"


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """Result of `train`.

    Attributes:
        state: the task's last state, also in the last checkpoint.
        step: total number of steps done.
        history: the lines of metrics written by this call.
        stopped: reason for stopping: "complete", "preempted" (the same command resumes) or "early" (no better score).
    """

    state: Any
    step: int
    history: list[dict[str, float]]
    stopped: str


def train(
    config: Mapping[str, Any],
    workdir: str | os.PathLike[str],
    profile: ProfiledSteps | None = None,
    at: Callable[[int, str], None] | None = None,
) -> TrainResult:
    """Train a config in a run directory, or resume a run that was stopped or killed.

    Args:
        config: all sections; see the configs folder and drumgan_jax.runs.settings.
        workdir: the run directory, created if absent.
        profile: steps whose trace is written and whose dearest operations are printed.
        at: told the step and the place (training.heartbeats) whenever training comes to another.

    Raises:
        BadInput: a setting, the data set, the run directory, the disk or the steps to profile cannot be used.
        TrainingDiverged: a loss or gradient was not finite; that state was not saved.
    """
    started = time.perf_counter()
    at = at or _unheard

    # Settings
    seed = read_seed(config)
    settings = read_section(config, "train", sections.TrainSettings)
    logging = read_section(config, "logging", sections.LoggingSettings)
    saving = read_section(config, "checkpoint", sections.CheckpointSettings)
    evaluation = read_section(config, "evaluation", sections.EvaluationSettings)
    data = read_section(config, "data", sections.DataSettings)
    if profile is not None:
        profile.check(settings.total_steps)

    # Devices
    distributed.join()
    enable_compilation_cache()
    mesh = make_mesh(**dataclasses.asdict(read_section(config, "mesh", sections.MeshSettings)))
    check_batch(mesh.size, settings.batch_size, settings.accumulation)
    first = jax.process_index() == 0

    with contextlib.ExitStack() as open_things:
        # Data and run directory
        at(0, heartbeats.OPENING)
        run_dir = run_place(workdir)
        lock = open_things.enter_context(run.only_training(run_dir))
        dataset = open_dataset(data.dir, data.cache)
        check_examples(dataset, SPLIT, settings.batch_size)
        weights = sampling_weights(dataset, SPLIT, settings.class_balance, settings.source_balance)
        frozen = run.check(run_dir, run.freeze(config, dataset, run_dir))
        frozen = run.keep_files(frozen, run_dir, write=first)

        # Task
        at(0, heartbeats.BUILDING)
        task = build_task(frozen, mesh)
        evaluate = task.evaluator(dataset) if evaluation.every else None
        # All parts are built for it.
        shapes = task.shapes
        # Claimed only here, so that a refused config leaves no run behind, or the run that there is as it was.
        if first:
            run.claim(run_dir, frozen)

        # State: resume, else initialise
        milestones = frozenset(map(settings.steps_of, saving.milestones))
        checkpoints = Checkpoints(run_dir, saving.keep, evaluation.metric, milestones, frozen)
        open_things.callback(checkpoints.close)
        state, start = checkpoints.restore(shapes) or (task.begin(dataset), 0)
        if profile is not None:
            profile.check_resumed(start)

        # Inputs and outputs
        rows = local_rows(mesh, settings.batch_size)
        local = batches(dataset, SPLIT, task.keys, settings.batch_size, seed, start, rows, weights=weights)
        feed = DevicePrefetch(local, batch_sharding(mesh), settings.batch_size, data.prefetch)
        open_things.callback(feed.close)
        writers = Writers(run_dir, start, settings.total_steps, active=first)
        open_things.callback(writers.close)
        profiled = open_things.enter_context(Profile(profile, run_dir, writers.tell))
        stop = open_things.enter_context(distributed.StopSignal())
        # Hours continue from the previous process, so curves over time have no gap.
        trained = max((hours for _, hours in training_clock(read_metrics(run_dir))), default=0.0)
        began = started - 3600.0 * hours_run(run_dir)
        since = began_at(run_dir) or time.time() - (started - began)
        window, clock = MetricsWindow(), _Clock(settings.batch_size, began, 3600.0 * trained, since)
        history: list[dict[str, float]] = []
        stopped = "early" if _exhausted(checkpoints, evaluation, start) else "complete"
        done = start
        # The curve begins with the scores of the untrained state. They are written after the first step, so that it
        # does not wait for TensorBoard's imports.
        evaluation_began = time.perf_counter()
        untrained = _scored(evaluate, state, evaluation) if evaluate is not None and start == 0 else None
        evaluated = time.perf_counter() - evaluation_began

        for step in range(start, settings.total_steps if stopped == "complete" else start):
            # Step
            profiled.before(step + 1, state)
            at(step + 1, heartbeats.FIRST_BATCH if step == start else heartbeats.BATCH)
            batch = next(feed)
            at(step + 1, heartbeats.STEP)
            with jax.transfer_guard("disallow"):
                state, metrics = task.step(state, batch, step)
            done = step + 1
            window.add(done, metrics)
            writers.progress(done)
            clock.step()
            if step == start:
                jax.block_until_ready(metrics)
                clock.first_step(time.perf_counter() - started - evaluated, feed.waited)
                if untrained is not None:
                    _write_evaluation(untrained, 0, history, writers)

            # Actions due
            last = done == settings.total_steps
            stopped = "preempted" if stop.reached(done) and not last else stopped
            save = last or stopped == "preempted" or done % saving.every == 0 or done in milestones
            show = logging.samples_every > 0 and (last or done % logging.samples_every == 0)
            score = evaluate is not None and (last or done % evaluation.every == 0)
            if not (save or show or score or profiled.ends(done) or done % logging.every == 0):
                continue

            # Log
            at(done, heartbeats.ACTIONS)
            if lock is not None:
                lock.check()
            line = window.close(checkpoints.last_good)
            line |= clock.read(feed.waited)
            profiled.after(done, state)
            history.append({"step": done, **line})
            writers.metrics(done, line)
            if show and stopped != "preempted":
                summary = task.summarize(state)
                if summary is not None:
                    writers.samples(done, summary.waveforms, summary.sample_rate)

            # Evaluate, save
            scores = None
            if evaluate is not None and score and stopped != "preempted":
                scored = _scored(evaluate, state, evaluation)
                scores = scored.scores
                _write_evaluation(scored, done, history, writers)
            if save or scores:
                checkpoints.save(done, state, scores)
            if scores and _exhausted(checkpoints, evaluation, done):
                stopped = "early"
            if stopped != "complete":
                break
            clock.restart(feed.waited)
        at(done, heartbeats.ENDING)
        checkpoints.wait()

    return TrainResult(state, done, history, stopped)


def _unheard(step: int, place: str) -> None:
    """Nobody asks where a process is that trains alone."""


def _scored(evaluate: Evaluator, state: Any, settings: EvaluationSettings) -> Evaluation:
    """Evaluate a state; raise BadInput if the metric that chooses the best checkpoint is not among the scores."""
    evaluation = evaluate(state)
    if settings.metric not in evaluation.scores:
        known = ", ".join(evaluation.scores)
        raise BadInput(
            f"config.evaluation.metric is {shown(settings.metric)}, which is not measured; give one of {known}."
        )
    return evaluation


def _write_evaluation(evaluation: Evaluation, step: int, history: list[dict[str, float]], writers: Writers) -> None:
    line = {f"evaluation/{name}": float(value) for name, value in evaluation.scores.items()}
    history.append({"step": step, **line})
    writers.metrics(step, line)
    writers.evaluation(step, evaluation)


def _exhausted(checkpoints: Checkpoints, settings: EvaluationSettings, step: int) -> bool:
    """Whether `patience` evaluations have passed since the best; read from checkpoints, so a resumed run agrees."""
    best = checkpoints.best()
    return settings.patience > 0 and best is not None and step - best[0] >= settings.patience * settings.every


class _Clock:
    """Measures speed and waiting times of the steps between two log lines, without the work done at log lines.

    Args:
        batch_size: examples per step.
        began: start of the run, on time.perf_counter's scale.
        trained: seconds spent on steps by previous processes.
        since: when the run was first started, in Unix seconds.
    """

    def __init__(self, batch_size: int, began: float, trained: float, since: float):
        self._batch_size = batch_size
        self._began = began
        self._trained = trained
        self._since = since
        self._first: dict[str, float] = {}
        self._restarted = 0.0
        self._waited = 0.0
        self._steps = 0

    def step(self) -> None:
        """Count a step."""
        self._steps += 1

    def first_step(self, seconds: float, waited: float) -> None:
        """Record the time of the first step, which includes compilation, and start measuring."""
        self._first = {"time/first_step": seconds}
        self.restart(waited)

    def restart(self, waited: float) -> None:
        """Start a new measurement."""
        self._restarted, self._waited, self._steps = time.perf_counter(), waited, 0

    def read(self, waited: float) -> dict[str, float]:
        """Metrics since the last restart."""
        first, self._first = self._first, {}
        now = time.perf_counter()
        spent = now - self._restarted if self._steps else 0.0
        # Excludes the first step of a process, which compiles, and evaluations, samples and checkpoints.
        self._trained += spent
        first |= {"time/hours": (now - self._began) / 3600.0, "time/training_hours": self._trained / 3600.0}
        # The share of the time since the first start that made steps which are left: neither waiting for machines, nor
        # compiling, evaluating and saving, nor steps that a loss undid.
        whole = max(time.time() - self._since, self._trained)
        first |= {BEGAN: self._since, "time/goodput": self._trained / whole if whole else 0.0}
        if self._steps == 0:
            return first
        per_step = spent / self._steps
        return (
            first
            | {
                "speed/steps_per_second": 1.0 / per_step,
                "speed/images_per_second": self._batch_size / per_step,
                "time/data_wait": (waited - self._waited) / self._steps,
            }
            | _device_memory()
        )


def _device_memory() -> dict[str, float]:
    statistics = jax.local_devices()[0].memory_stats() or {}
    peak = statistics.get("peak_bytes_in_use")
    return {} if peak is None else {"memory/device_bytes": float(peak)}
