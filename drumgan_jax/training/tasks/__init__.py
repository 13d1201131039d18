"""What the training loop can run: one module per task."""

from collections.abc import Callable, Mapping
from typing import Any

from jax.sharding import Mesh

from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.training.task import Task
from drumgan_jax.training.tasks.classifier import build_classifier_task
from drumgan_jax.training.tasks.encoder import build_encoder_task
from drumgan_jax.training.tasks.gan import build_gan_task
from drumgan_jax.training.tasks.tagger import build_tagger_task
from drumgan_jax.training.tasks.vocoder import build_vocoder_task

TASKS: dict[str, Callable[[Mapping[str, Any], Mesh], Task]] = {
    "gan": build_gan_task,
    "classifier": build_classifier_task,
    "tagger": build_tagger_task,
    "encoder": build_encoder_task,
    "vocoder": build_vocoder_task,
}


def build_task(config: Mapping[str, Any], mesh: Mesh) -> Task:
    """The task that a frozen config's section `task` asks for.

    Raises:
        BadInput: the kind is unknown, or one of its settings is unfit.
    """
    kind = config.get("task", {}).get("kind")
    if kind not in TASKS:
        raise BadInput(f"config.task.kind is {shown(kind)}; it must be one of {', '.join(sorted(TASKS))}.")
    return TASKS[kind](config, mesh)
