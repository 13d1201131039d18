"""A Gan of a few numbers, through the real task: compiles in a moment, and simple enough to be done by hand."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import Mesh
from training_cases import tiny_config

from drumgan_jax.audio.representations import build_representation
from drumgan_jax.core.parts import DiscriminatorOutput
from drumgan_jax.networks.noise import resolve_noise
from drumgan_jax.objectives.objective import LossContext, Regularizer
from drumgan_jax.systems.decoders import build_decoder
from drumgan_jax.systems.gan import Gan, GanTaskSettings
from drumgan_jax.training import tasks
from drumgan_jax.training.tasks.gan import GanTask
from drumgan_jax.training.tasks.skeleton import TaskContext

G_INTERVAL, D_INTERVAL = 2, 3
G_WEIGHT, D_WEIGHT = 0.3, 0.2
START_A, START_B = 0.5, -0.25
Array = jax.Array


class ToyGenerator(nn.Module):
    """x is a + gain * (z + noise) everywhere."""

    shape: tuple[int, int, int]
    gain: float
    z_dim: int = 1
    num_ws: int = 2
    w_dim: int = 1

    learns_w: ClassVar[bool] = True
    truncates: ClassVar[bool] = True
    # One layer, one number: the noise of all of x.
    noise_sizes: ClassVar[tuple[tuple[int, int], ...]] = ((1, 1),)

    def setup(self) -> None:
        self.a = self.param("a", nn.initializers.constant(START_A), ())
        self.variable("statistics", "w_average", jnp.zeros, (1,))

    def map(self, z: Array, labels: Array | None) -> Array:
        return jnp.broadcast_to((self.a + self.gain * z)[:, None], (len(z), self.num_ws, 1))

    def synthesize(self, ws: Array, noise: Array | None) -> Array:
        x = ws[:, 0, 0]
        (added,) = resolve_noise(noise, len(ws), self.noise_sizes)
        if added is not None:
            x = x + self.gain * added[:, 0, 0, 0]
        return jnp.broadcast_to(x[:, None, None, None], (len(ws), *self.shape))

    def truncate(self, ws: Array, psi: float | Array, labels: Array | None = None) -> Array:
        return ws

    def __call__(self, z: Array, labels: Array | None, noise: Array | None) -> Array:
        return self.synthesize(self.map(z, labels), noise)


class ToyDiscriminator(nn.Module):
    """The score is b times the mean of x."""

    @nn.compact
    def __call__(self, x: Array, labels: Array | None) -> DiscriminatorOutput:
        b = self.param("b", nn.initializers.constant(START_B), ())
        return DiscriminatorOutput((b * x.mean(axis=(1, 2, 3)),))


def generator_penalty(context: LossContext, state: Any, key: Array) -> Any:
    """The mean square of w, which is that of a; counts its calls."""
    count = len(context.real) // 2
    value = G_WEIGHT * jnp.mean(jnp.square(context.draw_ws(key, count)[:count]))
    return value, {"calls": state["calls"] + 1.0}, {"toy/generator": value}


def discriminator_penalty(context: LossContext, state: Any, key: Array) -> Any:
    """The mean square of the scores of real examples."""
    value = D_WEIGHT * jnp.mean(jnp.square(context.real_output.logits[0]))
    return value, state, {"toy/discriminator": value}


@dataclasses.dataclass(frozen=True)
class ToyObjective:
    """Differences of mean scores, with one regulariser for each player; lazy unless the intervals are 1."""

    g_interval: int = G_INTERVAL
    d_interval: int = D_INTERVAL

    @property
    def regularizers(self) -> tuple[Regularizer, ...]:
        return (
            Regularizer("toy_d", "discriminator", self.d_interval, discriminator_penalty),
            Regularizer("toy_g", "generator", self.g_interval, generator_penalty),
        )

    def initial_state(self) -> dict[str, Array]:
        return {"calls": jnp.zeros(())}

    def discriminator_loss(self, context: LossContext) -> Any:
        return jnp.mean(context.fake_output.logits[0]) - jnp.mean(context.real_output.logits[0]), {}

    def generator_loss(self, context: LossContext) -> Any:
        return -jnp.mean(context.fake_output.logits[0]), {}


def build_toy_task(config: Mapping[str, Any], mesh: Mesh) -> GanTask:
    """A GanTask over the toy parts; section `task` has `gain`, and may have the two intervals."""
    representation = build_representation(config["representation"])
    intervals = {k: v for k, v in config["task"].items() if k in ("g_interval", "d_interval")}
    gan = Gan(
        representation=representation,
        decoder=build_decoder(config.get("decoder", {}), representation),
        generator=ToyGenerator(representation.shape, config["task"]["gain"]),
        discriminator=ToyDiscriminator(),
        objective=ToyObjective(**intervals),
    )
    return GanTask(TaskContext.of(config, mesh), gan, (), GanTaskSettings())


# Importing this module makes the kind known, in a test's own process too.
tasks.TASKS["toy"] = build_toy_task


def toy_config(data_dir, **sections):
    """The loop with networks that compile in a moment; random latents and noise matter."""
    task = sections.pop("task", {"kind": "toy", "gain": 0.3})
    config = tiny_config(data_dir, **sections)
    config.task = task
    return config
