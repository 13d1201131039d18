"""The steps of a generator and a discriminator at one stage of their growth."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from drumgan_jax.core.mesh import AXES, shard_batch
from drumgan_jax.networks import spectral
from drumgan_jax.networks.mapping import mix_styles
from drumgan_jax.objectives.regularizer import Match, Regularizer
from drumgan_jax.runs.settings import TrainSettings
from drumgan_jax.systems.gan import Gan
from drumgan_jax.training.averages import ema_decay, lerp, tree_norm
from drumgan_jax.training.task import Metrics

Array = jax.Array
Batch = dict[str, Array]
PLAYERS = ("generator", "discriminator")
# Decay of the running mean of w, once a generator step (PARITY 28).
W_AVERAGE_DECAY = 0.995
# Purposes of random keys; regularisers have the numbers from REGULARIZER on.
INIT, GENERATOR, DISCRIMINATOR, SUMMARY, SAMPLE, REGULARIZER = range(6)
# Folded into a step's key, apart from its micro-batches' and regularisers' numbers.
PHASE = 2**20


@flax.struct.dataclass
class GanState:
    """Everything that training goes on from.

    Attributes:
        step: steps done [].
        seed: the run's seed [].
        generator: its parameters.
        discriminator: its parameters.
        statistics: the generator's running values, such as the mean of w.
        discriminator_statistics: the discriminator's, such as the directions of its spectral norms.
        frozen: what the discriminator judges by and nothing changes: feature networks, random mixing.
        objective: the objective's running values, such as the mean path length.
        generator_optimizer: Adam's moments of each top-level module, shared by the main and the lazy steps; so is the
            other.
        discriminator_optimizer: likewise.
        ema: moving average of the generator, {"params", "statistics"}.
    """

    step: Array
    seed: Array
    generator: Any
    discriminator: Any
    statistics: Any
    discriminator_statistics: Any
    frozen: Any
    objective: Any
    generator_optimizer: Any
    discriminator_optimizer: Any
    ema: Any


@dataclasses.dataclass(frozen=True)
class Steps:
    """The pure functions of one stage, from state and batch to state and metrics.

    Attributes:
        gan: the parts, as far grown as `stage` says.
        stage: of the growth.
        settings: section `train`.
        optimizers: of each player, by module (averages.modulewise).
        critic_steps: discriminator steps for one of the generator.
        mesh: the devices.
    """

    gan: Gan
    stage: int
    settings: TrainSettings
    optimizers: Mapping[str, optax.GradientTransformation]
    critic_steps: int
    mesh: Mesh

    def phases(self) -> list[tuple[str, int, Callable[[GanState, Batch], tuple[GanState, Metrics]]]]:
        """Names, intervals in steps, and functions, in the order in which they run."""
        mains = {"generator": self._generator_step, "discriminator": self._discriminator_step}
        every = {"generator": self.critic_steps, "discriminator": 1}
        phases: list[tuple[str, int, Any]] = []
        for player in PLAYERS:
            phases.append((player, every[player], mains[player]))
            for r, purpose in self._regularizers(player):
                if r.interval > 1:
                    step = functools.partial(self._lazy_step, r, purpose)
                    phases.append((r.name, r.interval * every[player], step))
        return phases

    def averaged(self, state: GanState) -> GanState:
        """The end of an iteration: one step more, and the generator's moving average."""
        s = self.settings
        keep = ema_decay(state.step, s.batch_size, s.ema_half_life_images, s.ema_rampup)
        params = lerp(state.ema["params"], state.generator, keep)
        return dataclasses.replace(state, step=state.step + 1, ema={"params": params, "statistics": state.statistics})

    def _generator_step(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        def loss(params: Any, objective: Any, micro: Batch, key: Array) -> Any:
            match = self._match(state, "generator", params, micro, key)
            keys = jax.random.split(key)
            ws, w_mean = self._draw_ws(self._generator(state, params), match.labels, keys[0], len(micro["x"]))
            critique = match.discriminate(match.synthesize(ws, keys[1]))
            value, metrics = self.gan.objective.generator_loss(critique, match.labels)
            metrics = {"loss/generator": value, **metrics}
            return self._add_regularizers("generator", value, metrics, match, objective, key, w_mean)

        state, metrics, w_mean = self._descend(state, "generator", loss, batch, GENERATOR)
        if "w_average" in state.statistics:
            average = lerp(state.statistics["w_average"], w_mean, W_AVERAGE_DECAY)
            state = dataclasses.replace(state, statistics={**state.statistics, "w_average": average})
        return state, metrics

    def _discriminator_step(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        advanced = spectral.advance(state.discriminator, state.discriminator_statistics)
        state = dataclasses.replace(state, discriminator_statistics=advanced)

        def loss(params: Any, objective: Any, micro: Batch, key: Array) -> Any:
            match = self._match(state, "discriminator", params, micro, key)
            keys = jax.random.split(key)
            ws = match.draw_ws(keys[0], len(micro["x"]))
            fake = match.synthesize(ws, keys[1])
            match = dataclasses.replace(match, fake=fake)
            value, metrics = self.gan.objective.discriminator_loss(
                match.discriminate(match.real), match.discriminate(fake), match.labels
            )
            metrics = {"loss/discriminator": value, **metrics}
            return self._add_regularizers("discriminator", value, metrics, match, objective, key, None)

        state, metrics, _ = self._descend(state, "discriminator", loss, batch, DISCRIMINATOR)
        return state, metrics

    def _lazy_step(self, r: Regularizer, purpose: int, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        def loss(params: Any, objective: Any, micro: Batch, key: Array) -> Any:
            value, objective, metrics = r.function(self._match(state, r.player, params, micro, key), objective, key)
            return value * r.interval, (objective, metrics, None)

        state, metrics, _ = self._descend(state, r.player, loss, batch, purpose, name=r.name)
        return state, metrics

    # What they are made of

    def _descend(
        self, state: GanState, player: str, loss: Callable[..., Any], batch: Batch, purpose: int, name: str = ""
    ) -> tuple[GanState, Metrics, Any]:
        """One Adam step of the modules that the stage uses, down the mean gradient of the micro-batches.

        `loss(params, objective, micro, key) -> (value, (objective, metrics, extra))`; the objective's running
        values go from one micro-batch to the next, metrics and extra are averaged.
        """
        params = getattr(state, player)
        used = {module: params[module] for module in self.gan.in_use(player, params)}
        gradient_of = jax.grad(lambda used, *rest: loss({**params, **used}, *rest), has_aux=True)
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(state.seed), state.step), purpose)

        def one(objective: Any, item: tuple[Array, Batch]) -> tuple[Any, Any]:
            index, micro = item
            gradient, (objective, metrics, extra) = gradient_of(used, objective, micro, jax.random.fold_in(key, index))
            return objective, (gradient, metrics, extra)

        accumulation = self.settings.accumulation
        if accumulation == 1:
            objective, means = one(state.objective, (jnp.zeros((), jnp.int32), batch))
        else:
            objective, stacked = jax.lax.scan(
                one, state.objective, (jnp.arange(accumulation), self._micro_batches(batch, accumulation))
            )
            means = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), stacked)
        gradient, metrics, extra = means
        optimizer = f"{player}_optimizer"
        updates, moments = self.optimizers[player].update(gradient, getattr(state, optimizer), used)
        metrics[f"norm/{name or player}_gradient"] = tree_norm(gradient)
        metrics[f"norm/{name or player}_update"] = tree_norm(updates)
        params = {**params, **optax.apply_updates(used, updates)}
        state = dataclasses.replace(state, **{player: params, optimizer: moments, "objective": objective})
        return state, metrics, extra

    def _micro_batches(self, batch: Batch, count: int) -> Batch:
        """Batches [count, batch / count, ...] of every count-th row, so that each device keeps its own rows."""

        def split(leaf: Array) -> Array:
            rows = leaf.reshape(len(leaf) // count, count, *leaf.shape[1:])
            where = NamedSharding(self.mesh, PartitionSpec(None, AXES))
            return jax.lax.with_sharding_constraint(jnp.swapaxes(rows, 0, 1), where)

        return jax.tree.map(split, batch)

    def _add_regularizers(
        self, player: str, value: Array, metrics: Metrics, match: Match, objective: Any, key: Array, extra: Any
    ) -> Any:
        """The result of a main loss: with the regularisers of interval 1 added."""
        for r, purpose in self._regularizers(player):
            if r.interval > 1:
                continue
            term, objective, of_term = r.function(match, objective, jax.random.fold_in(key, purpose))
            value, metrics = value + term, metrics | of_term
        return value, (objective, metrics, extra)

    def _match(self, state: GanState, player: str, params: Any, micro: Batch, key: Array) -> Match:
        """What a loss of `player` is made of, with that player's parameters being `params`.

        All critiques of one step use the same random numbers, of which `key` is the origin.
        """
        generator = self._generator(state, params if player == "generator" else state.generator)
        discriminator = {
            "params": params if player == "discriminator" else state.discriminator,
            "statistics": state.discriminator_statistics,
            "frozen": state.frozen,
            "growth": self._growth(state),
        }
        labels = micro.get("labels")
        rngs = {"phase": jax.random.fold_in(key, PHASE)}
        real = self.gan.fit(self.gan.representation.normalize(micro["x"]), self._growth(state)["alpha"])
        return Match(
            discriminate=lambda x: apply(self.gan.discriminator, discriminator, x, labels, rngs=rngs),
            draw_ws=lambda key, count: self._draw_ws(generator, labels, key, count)[0],
            synthesize=lambda ws, key: shard_batch(
                apply(self.gan.generator, generator, ws, key, method="synthesize"), self.mesh
            ),
            real=real,
            labels=labels,
        )

    def _generator(self, state: GanState, params: Any) -> dict[str, Any]:
        """The generator's variables, with given parameters."""
        return {"params": params, "statistics": state.statistics, "growth": self._growth(state)}

    def _draw_ws(self, variables: Any, labels: Array | None, key: Array, count: int) -> tuple[Array, Array]:
        """Fresh style inputs [count, layers, w_dim], styles mixed, and the mean w [w_dim] before mixing."""
        keys = jax.random.split(key, 3)
        generator = self.gan.generator
        # Every n-th label for a smaller batch, so that each device keeps its own rows.
        labels = None if labels is None else labels[:: len(labels) // count][:count]

        def draw(key: Array) -> Array:
            z = shard_batch(jax.random.normal(key, (count, generator.z_dim)), self.mesh)
            return apply(generator, variables, z, labels, method="map")

        ws = draw(keys[0])
        mean = jnp.mean(ws[:, 0], axis=0)
        if getattr(generator, "style_mixing", 0.0) > 0.0:
            ws = mix_styles(ws, draw(keys[1]), keys[2], generator.style_mixing)
        return ws, mean

    def _regularizers(self, player: str) -> list[tuple[Regularizer, int]]:
        """The regularisers of a player, with the purposes of their keys."""
        numbered = enumerate(self.gan.objective.regularizers, start=REGULARIZER)
        return [(r, purpose) for purpose, r in numbered if r.player == player]

    def _growth(self, state: GanState) -> dict[str, Array]:
        """What networks that grow read beside their parameters."""
        return {"alpha": self.gan.growth.alpha_of(self.stage, state.step * self.settings.batch_size)}


def apply(
    module: nn.Module, variables: Any, *inputs: Any, method: str | None = None, rngs: dict[str, Array] | None = None
) -> Any:
    """`module.apply`, of a module that changes no collection."""
    # Linen's own return type is a union with the collections that were changed, of which there are none here.
    return module.apply(variables, *inputs, method=method, rngs=rngs)
