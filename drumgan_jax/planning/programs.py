"""The programs of a run: its config as a data set would complete it, and all that is compiled for it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from drumgan_jax.audio.attributes import AttributeScale
from drumgan_jax.audio.representations import build_representation, settings_of
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.mesh import batch_sharding, check_batch, replicated
from drumgan_jax.core.settings import read_section, section_at
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.evaluation.collecting import rows_at_once, trace_embedding
from drumgan_jax.evaluation.embedder import DeviceEmbedder
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.latents import rendering
from drumgan_jax.runs.identity import flat
from drumgan_jax.runs.settings import LoggingSettings, TrainSettings
from drumgan_jax.training.run import checked, with_data
from drumgan_jax.training.tasks import build_task
from drumgan_jax.training.tasks.gan import GanTask

# Classes of a config that is conditioned and names none: those that the papers' drums have.
_CLASSES = ("kick", "snare", "cymbal")
# Keys and sections of a config that decide when something runs, and on which data, not what.
_BESIDE = frozenset({"checkpoint", "data", "evaluation", "logging", "name", "train.total_images", "train.host_timeout"})
SAMPLER, EMBEDDER = "sampler", "embedder"


@dataclasses.dataclass(frozen=True)
class Program:
    """One program of a run.

    Attributes:
        name: of the phase of a step, or what else it does.
        trace: traces it, as JAX hands it to a compiler; takes seconds.
        runs: how often it runs in the whole run.
        is_step: whether it is a part of the steps, whose time is the training's.
        shared: leaves of the training state that are among its arguments.
        decided_by: what another program of this name on the same chips would differ in.
        scale: rows of a chip over those of what is traced.
    """

    name: str
    trace: Callable[[], jax.stages.Traced]
    runs: int
    is_step: bool
    shared: Any
    decided_by: Mapping[str, Any]
    scale: float = 1.0


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with what its data set gives it: statistics, classes and attributes; without one, of such shapes.

    Raises:
        BadInput: a section is unknown or unfit, the task is not a GAN's, or the data set cannot be read or does not
            fit.
    """
    full = checked(config)
    task = full.get("task", {})
    if task.get("kind") != "gan":
        raise BadInput(
            f"config.task.kind is {shown(task.get('kind'))}; only the training of a GAN is planned, of kind 'gan'."
        )
    if directory := full.get("data", {}).get("dir"):
        return with_data(full, open_dataset(directory))
    representation = build_representation(section_at(full, "representation"))
    shape = representation.normalization_shape
    full["representation"] = settings_of(representation.with_normalization(np.zeros(shape), np.ones(shape)))
    labels = full.get("preparation", {}).get("labels") or _CLASSES
    full["labels"] = list(labels) if task.get("conditional") else []
    if names := tuple(task.get("attributes", ())):
        count = max(1, len(full["labels"]))
        scale = AttributeScale.fit(names, np.zeros((count, len(names))), np.arange(count), count)
        full["attributes"] = scale.to_json()
    return full


def task_of(config: Mapping[str, Any], mesh: Mesh) -> GanTask:
    """The task of a completed config on some devices.

    Raises:
        BadInput: a section is unfit, or the devices do not divide its batches.
    """
    settings = read_section(config, "train", TrainSettings)
    check_batch(mesh.size, settings.batch_size, settings.accumulation)
    task = build_task(config, mesh)
    assert isinstance(task, GanTask)
    return task


def batch_shapes(task: GanTask, config: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
    """What a step reads of a data set, by name."""
    representation = task.gan.representation
    rows = {
        "x": representation.shape,
        "waveforms": (representation.num_samples,),
        "attributes": (len(config.get("attributes", {}).get("names", ())),),
        "labels": (len(config["labels"]),),
        "soft_labels": (len(config["labels"]),),
    }
    count, where = task.context.settings.batch_size, batch_sharding(task.context.mesh)
    return {name: jax.ShapeDtypeStruct((count, *rows[name]), np.float32, sharding=where) for name in task.keys}


def programs_of(task: GanTask, config: Mapping[str, Any], chips: int, say: Callable[[str], None]) -> list[Program]:
    """All programs of a run, the steps first: every phase of every stage, then those of its samples and evaluations.

    Args:
        task: see `task_of`.
        config: completed.
        chips: of the run; the task may be on fewer.
        say: told what is left out, and why.
    """
    settings = task.context.settings
    runs = task.runs(settings.total_steps)
    traces = task.traces(batch_shapes(task, config))
    decided_by = {key: value for key, value in flat(config).items() if _BESIDE.isdisjoint((key, key.split(".")[0]))}
    steps = [Program(name, trace, runs[name], True, task.shapes, decided_by) for name, trace in traces.items()]
    return [*steps, _sampler(task, config, decided_by), *_embedders(task, chips, say)]


def _sampler(task: GanTask, config: Mapping[str, Any], decided_by: Mapping[str, Any]) -> Program:
    """What renders a group of sounds of the last stage, for samples and evaluations."""
    mesh, settings = task.context.mesh, task.context.settings
    group = max(1, settings.batch_size // settings.accumulation // mesh.size) * mesh.size
    where, gan = batch_sharding(mesh), task.gan.at(task.gan.growth.num_stages - 1)
    variables = {
        **task.shapes.ema,
        "growth": {"alpha": jax.ShapeDtypeStruct((), np.float32, sharding=replicated(mesh))},
    }
    ws = jax.ShapeDtypeStruct((group, gan.generator.num_ws, gan.generator.w_dim), np.float32, sharding=where)
    numbers = jax.ShapeDtypeStruct((group,), np.uint32, sharding=where)
    logging = read_section(config, "logging", LoggingSettings)
    evaluation = task.context.evaluation
    sounds = [(logging.samples_every, logging.num_samples), (evaluation.every, evaluation.num_samples)]
    runs = sum(-(-count // group) * (settings.total_steps // every) for every, count in sounds if every)
    trace = functools.partial(rendering.render.trace, gan, variables, None, ws, numbers, None)
    return Program(SAMPLER, trace, runs, False, task.shapes.ema, decided_by)


def _embedders(task: GanTask, chips: int, say: Callable[[str], None]) -> list[Program]:
    """What embeds the sounds of an evaluation; the sums that follow are small, and many of them are the host's."""
    settings, evaluation = task.context.settings, task.context.evaluation
    representation = task.gan.representation
    if not evaluation.every:
        return []
    try:
        suite = Suite.of(evaluation.metrics, representation=representation)
    except BadInput as error:
        say(f"evaluations are left out of the plan: {error}")
        return []
    seconds = representation.num_samples / representation.sample_rate
    found = []
    for embedder in suite.embedders:
        if isinstance(embedder, DeviceEmbedder):
            windows = 1 + max(0, int(seconds * embedder.sample_rate) - embedder.window) // embedder.hop
            batches = -(-evaluation.num_samples * windows // rows_at_once(chips))
            trace = functools.partial(trace_embedding, embedder, suite.needs[embedder.name], task.context.mesh)
            runs = batches * (settings.total_steps // evaluation.every)
            decided_by = {"metrics": list(evaluation.metrics), "representation": settings_of(representation)}
            found.append(Program(f"{EMBEDDER} {embedder.name}", trace, runs, False, (), decided_by))
    return found
