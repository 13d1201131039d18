"""The programs of a run: its config as a data set would complete it, and all that is compiled for it."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from drumgan_jax.audio.attributes import AttributeScale
from drumgan_jax.audio.representations import build_representation, settings_of
from drumgan_jax.core.errors import BadInput, about, shown
from drumgan_jax.core.mesh import batch_sharding, check_batch, replicated
from drumgan_jax.core.settings import read_section, section_at
from drumgan_jax.latents import rendering
from drumgan_jax.runs.settings import EvaluationSettings, LoggingSettings, TrainSettings
from drumgan_jax.systems.feature_networks import described
from drumgan_jax.systems.formats import check_sections, current_config
from drumgan_jax.training.tasks import build_task
from drumgan_jax.training.tasks.gan import GanTask

# Classes of a config that is conditioned and names none: those that the papers' drums have.
_CLASSES = ("kick", "snare", "cymbal")
SAMPLER = "sampler"


@dataclasses.dataclass(frozen=True)
class Program:
    """One program of a run.

    Attributes:
        name: of the phase of a step, or what else it does.
        traced: as JAX hands it to a compiler.
        runs: how often it runs in the whole run.
        is_step: whether it is a part of the steps, whose time is the training's.
    """

    name: str
    traced: jax.stages.Traced
    runs: int
    is_step: bool


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with what a data set would give it, where only the shapes matter: statistics, classes and attributes.

    Raises:
        BadInput: a section is unknown or unfit, or the task is not a GAN's.
    """
    plain = json.loads(json.dumps(config.to_dict() if hasattr(config, "to_dict") else dict(config)))
    full = current_config(plain)
    with about("the config"):
        check_sections(full)
    task = full.get("task", {})
    if task.get("kind") != "gan":
        raise BadInput(
            f"config.task.kind is {shown(task.get('kind'))}; only the training of a GAN is planned, of kind 'gan'."
        )
    representation = build_representation(section_at(full, "representation"))
    shape = representation.normalization_shape
    full["representation"] = settings_of(representation.with_normalization(np.zeros(shape), np.ones(shape)))
    labels = full.get("preparation", {}).get("labels") or _CLASSES
    full["labels"] = list(labels) if task.get("conditional") else []
    if names := tuple(task.get("attributes", ())):
        count = max(1, len(full["labels"]))
        scale = AttributeScale.fit(names, np.zeros((count, len(names))), np.arange(count), count)
        full["attributes"] = scale.to_json()
    if "feature_networks" in full:
        full["feature_networks"] = described(full["feature_networks"], None)
    return full


def task_of(config: Mapping[str, Any], mesh: Mesh) -> GanTask:
    """The task of a completed config on some devices.

    Raises:
        BadInput: a section is unfit, or the devices do not divide its batches.
    """
    settings = read_section(config, "train", TrainSettings)
    check_batch(mesh, settings.batch_size, settings.accumulation)
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


def programs_of(task: GanTask, config: Mapping[str, Any]) -> list[Program]:
    """All programs of a run, the steps first: every phase of every stage, and what makes sounds of its average."""
    settings = task.context.settings
    runs = task.runs(settings.total_steps)
    steps = [Program(name, traced, runs[name], True) for name, traced in task.trace(batch_shapes(task, config)).items()]
    return [*steps, _sampler(task, config)]


def _sampler(task: GanTask, config: Mapping[str, Any]) -> Program:
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
    traced = rendering.render.trace(gan, variables, None, ws, numbers, None)
    logging = read_section(config, "logging", LoggingSettings)
    evaluation = read_section(config, "evaluation", EvaluationSettings)
    sounds = {logging.samples_every: logging.num_samples, evaluation.every: evaluation.num_samples}
    runs = sum(-(-count // group) * (settings.total_steps // every) for every, count in sounds.items() if every)
    return Program(SAMPLER, traced, runs, False)
