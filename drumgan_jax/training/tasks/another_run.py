"""The networks of another run, from which a new run of a GAN may start."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import jax

from drumgan_jax.core.errors import BadInput, listed, shown
from drumgan_jax.core.places import place
from drumgan_jax.runs.checkpoint_items import load_items
from drumgan_jax.runs.config import CHECKPOINTS, CONFIG_NAME, read_config
from drumgan_jax.runs.identity import check_identity
from drumgan_jax.training.tasks.gan_steps import GanState

# Optimisers, the step count and what the objective carries begin anew.
_NETWORKS = ("generator", "discriminator", "statistics", "discriminator_statistics", "frozen")


def started_from(run: str | os.PathLike[str], labels: Sequence[str], state: GanState, shapes: GanState) -> GanState:
    """A fresh state with the networks of another run's last checkpoint, and their moving average.

    Args:
        run: the run directory; its networks have the shapes of the state's.
        labels: classes that condition the new run; none if it is not conditional.
        state: the state before the first step.
        shapes: the same as jax.ShapeDtypeStruct with shardings.

    Raises:
        BadInput: it is no run of a GAN, has no checkpoint that can be read, or its networks have other shapes or
            classes.
    """
    config = read_config(run)
    kind = config.get("task", {}).get("kind")
    if kind != "gan":
        raise BadInput(f"config.task.start_from is {run}, a run of task {shown(kind)}; give the run of a GAN.")
    if labels and list(labels) != list(config.get("labels", ())):
        raise BadInput(
            f"config.task.start_from is {run}, of the classes {listed(config.get('labels', ()))}, and these are"
            f" {listed(labels)}; give the run of the same classes in the same order."
        )
    (trained, ema), at = load_items(run, ("train", "ema"))
    check_identity(place(run) / CHECKPOINTS / str(at), config, place(run) / CONFIG_NAME)
    found = {name: trained.get(name, {}) for name in _NETWORKS} | {"ema": ema}
    for name, tree in found.items():
        _check_same_shapes(f"{run} has a {name.replace('_', ' ')}", tree, getattr(state, name))
    where = {name: jax.tree.map(lambda leaf: leaf.sharding, getattr(shapes, name)) for name in found}
    return dataclasses.replace(state, **{name: jax.device_put(tree, where[name]) for name, tree in found.items()})


def _check_same_shapes(what: str, given: Any, own: Any) -> None:
    sizes, needed = ({jax.tree_util.keystr(path): leaf.shape for path, leaf in _leaves(tree)} for tree in (given, own))
    for path in sorted(sizes.keys() | needed.keys()):
        if sizes.get(path) != needed.get(path):
            raise BadInput(
                f"config.task.start_from cannot be used: {what} with {path} of shape {sizes.get(path, 'none')}, and "
                f"this config needs {needed.get(path, 'none')}; give a run of the same networks and classes."
            )


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]
