"""A Gan of a few numbers, through the real task: compiles in a moment, and simple enough to be done by hand."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import Mesh
from training_cases import tiny_config

from drumgan_jax.audio.representations import build_representation
from drumgan_jax.core.parts import DiscriminatorOutput
from drumgan_jax.core.settings import read_section
from drumgan_jax.objectives.regularizer import Match, Regularizer
from drumgan_jax.runs.settings import AdamSettings, EvaluationSettings, TrainSettings
from drumgan_jax.systems.gan import Gan
from drumgan_jax.training import tasks
from drumgan_jax.training.tasks.gan import GanTask, GanTaskSettings

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

    def setup(self) -> None:
        self.a = self.param("a", nn.initializers.constant(START_A), ())
        self.variable("statistics", "w_average", jnp.zeros, (1,))

    def map(self, z: Array, labels: Array | None) -> Array:
        return jnp.broadcast_to((self.a + self.gain * z)[:, None], (len(z), self.num_ws, 1))

    def synthesize(self, ws: Array, noise: Array | None) -> Array:
        x = ws[:, 0, 0]
        if noise is not None and noise.ndim == 0:
            x = x + self.gain * jax.random.normal(noise, x.shape)
        return jnp.broadcast_to(x[:, None, None, None], (len(ws), *self.shape))

    def __call__(self, z: Array, labels: Array | None, noise: Array | None) -> Array:
        return self.synthesize(self.map(z, labels), noise)


class ToyDiscriminator(nn.Module):
    """The score is b times the mean of x."""

    @nn.compact
    def __call__(self, x: Array, labels: Array | None) -> DiscriminatorOutput:
        b = self.param("b", nn.initializers.constant(START_B), ())
        return DiscriminatorOutput((b * x.mean(axis=(1, 2, 3)),))


def generator_penalty(match: Match, statistics: Any, key: Array) -> Any:
    """The mean square of w, which is that of a; counts its calls."""
    value = G_WEIGHT * jnp.mean(jnp.square(match.draw_ws(key, len(match.real) // 2)))
    return value, {"calls": statistics["calls"] + 1.0}, {"toy/generator": value}


def discriminator_penalty(match: Match, statistics: Any, key: Array) -> Any:
    """The mean square of the scores of real examples."""
    value = D_WEIGHT * jnp.mean(jnp.square(match.discriminate(match.real).logits[0]))
    return value, statistics, {"toy/discriminator": value}


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

    def discriminator_loss(self, real: DiscriminatorOutput, fake: DiscriminatorOutput, labels: Any) -> Any:
        return jnp.mean(fake.logits[0]) - jnp.mean(real.logits[0]), {}

    def generator_loss(self, fake: DiscriminatorOutput, labels: Any) -> Any:
        return -jnp.mean(fake.logits[0]), {}


def build_toy_task(config: Mapping[str, Any], mesh: Mesh) -> GanTask:
    """A GanTask over the toy parts; section `task` has `gain`, and may have the two intervals."""
    representation = build_representation(config["representation"])
    intervals = {k: v for k, v in config["task"].items() if k in ("g_interval", "d_interval")}
    gan = Gan(
        representation=representation,
        generator=ToyGenerator(representation.shape, config["task"]["gain"]),
        discriminator=ToyDiscriminator(),
        objective=ToyObjective(**intervals),
    )
    players = ("generator", "discriminator")
    adam = {player: read_section(config, f"optimizer.{player}", AdamSettings) for player in players}
    settings = read_section(config, "train", TrainSettings)
    evaluation = read_section(config, "evaluation", EvaluationSettings)
    num_summary, seed = config["logging"]["num_samples"], config["seed"]
    return GanTask(gan, 0, GanTaskSettings(), settings, adam, {}, num_summary, evaluation, seed, mesh)


# Importing this module makes the kind known, in a test's own process too.
tasks.TASKS["toy"] = build_toy_task


def toy_config(data_dir, **sections):
    """The loop with networks that compile in a moment; random latents and noise matter."""
    task = sections.pop("task", {"kind": "toy", "gain": 0.3})
    config = tiny_config(data_dir, **sections)
    config.task = task
    return config
