"""Our side of bench_torch: the tasks' own compiled phases."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from benchmarks.bench_one_shot_steps import LABELS
from benchmarks.bench_projected_step import with_random_features
from benchmarks.bench_training_step import ON_CPU
from benchmarks.torch_baseline.specification import Specification
from drumgan_jax.configs import drumgan_vst, pjloopgan, splice_loops, style_drumsynth, stylegan2
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.core.schedules import value_at
from drumgan_jax.training.optimization import lazy_correction
from drumgan_jax.training.tasks.gan import GanTask, build_gan_task
from drumgan_jax.training.tasks.gan_steps import GanState


def _stylegan2() -> Any:
    config = splice_loops.get_config("full")
    if ON_CPU:
        config.representation.num_frames = 256
        stylegan2.narrow(config, base=(4, 4), channel_base=4096, channel_max=512)
    config.train.batch_size = 4 if ON_CPU else 32
    return config


def _progressive() -> Any:
    config = drumgan_vst.get_config("packaged" if ON_CPU else "full")
    config.train.batch_size = 4 if ON_CPU else 32
    return config


def _style_drumsynth() -> Any:
    config = style_drumsynth.get_config("packaged" if ON_CPU else "full")
    config.train.batch_size = 4 if ON_CPU else 64
    return config


def _projected() -> Any:
    config = pjloopgan.get_config("tiny" if ON_CPU else "full")
    config.train.batch_size = 16 if ON_CPU else 64
    return config


CONFIGS: dict[str, Callable[[], Any]] = {
    "stylegan2": _stylegan2,
    "progressive": _progressive,
    "style_drumsynth": _style_drumsynth,
    "projected": _projected,
}


def task_of(system: str, compute_dtype: str) -> GanTask:
    """A system's task with plain statistics of its data and random feature networks."""
    config = CONFIGS[system]()
    config.train.compute_dtype = compute_dtype
    values = json.loads(config.to_json())
    if values["representation"]["kind"] != "waveform":
        values["representation"] |= {"mean": 0.0, "std": 1.0}
    labels = LABELS if values["task"].get("conditional") else []
    return build_gan_task(with_random_features(values) | {"labels": labels}, make_mesh())


def batch_of(task: GanTask) -> dict[str, jax.Array]:
    """Random real examples and labels in turn."""
    count = task.context.settings.batch_size
    batch = {"x": jax.random.normal(jax.random.key(0), (count, *task.gan.representation.shape))}
    if task.label_names:
        batch["labels"] = jnp.tile(jnp.eye(len(task.label_names)), (count, 1))[:count]
    return batch


def specification(system: str, task: GanTask, state: GanState) -> Specification:
    """What the PyTorch side is told."""
    gan, settings = task.gan.at(task.gan.growth.num_stages - 1), task.context.settings
    phases = task._stage(task.gan.growth.num_stages - 1).phases
    adam = {}
    for name, player in task.players.items():
        c, s = lazy_correction(player.intervals), player.settings
        rate, beta1, beta2 = (float(value_at(one, 0)) for one in (s.learning_rate, s.beta1, s.beta2))
        adam[name] = (rate * c, beta1**c, beta2**c, s.epsilon)
    return Specification(
        system=system,
        batch=settings.batch_size,
        shape=gan.representation.shape,
        num_labels=len(task.label_names),
        z_dim=gan.generator.z_dim,
        num_ws=gan.generator.num_ws,
        style_mixing=getattr(gan.generator, "style_mixing", 0.0),
        learns_w=gan.generator.learns_w,
        phase_shuffle=getattr(gan.discriminator, "phase_shuffle", 0),
        objective=type(gan.objective).__name__.lower(),
        weights={key: float(value_at(value, 0)) for key, value in dataclasses.asdict(gan.objective).items()},
        adam=adam,
        in_use={player: gan.in_use(player, getattr(state, player)) for player in task.players},
        intervals={name: interval for name, interval, _ in phases} | {"average": 1},
        ema_keep=0.5 ** (settings.batch_size / value_at(settings.ema_half_life_images, 0)),
    )


def arrays_of(state: GanState) -> dict[str, np.ndarray]:
    """All variables of the networks by path, the collection first."""
    collections = {
        "generator": state.generator,
        "discriminator": state.discriminator,
        "statistics": state.discriminator_statistics,
        "frozen": state.frozen,
    }
    flat = flatten_dict(collections, sep="/")
    return {path: np.asarray(leaf) for path, leaf in flat.items()}


def steps(task: GanTask, state: GanState) -> dict[str, Callable[[], None]]:
    """Every phase by name; each takes the state that the one before has left, as in training."""
    batch, held = batch_of(task), [state]
    stage = task._stage(task.gan.growth.num_stages - 1)

    def run(phase: Callable[..., Any]) -> None:
        held[0] = jax.block_until_ready(phase(held[0], batch))[0]

    def average() -> None:
        held[0] = jax.block_until_ready(stage.average(held[0]))

    return {name: functools.partial(run, phase) for name, _, phase in stage.phases} | {"average": average}


def flops(task: GanTask) -> dict[str, float]:
    """FLOP of each phase, as XLA counts them."""
    batch = batch_of(task)
    data = {key: batch["x" if key == "x" else "labels"] for key in task.keys}
    lowered = task.lower({key: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for key, leaf in data.items()})
    return {name: (step.cost_analysis() or {}).get("flops", float("nan")) for name, step in lowered.items()}


def peak_device_memory() -> int:
    """Bytes of the GPU at most in use so far."""
    return int((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0))
