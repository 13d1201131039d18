"""The task of a generator against a discriminator, whatever their kinds."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from drumgan_jax.errors import BadInput
from drumgan_jax.gan import Gan, build_gan
from drumgan_jax.networks.mapping import mix_styles
from drumgan_jax.objectives.regularizer import Match, Regularizer
from drumgan_jax.parts import Critique
from drumgan_jax.training.averages import ema_decay, lazy_adam, lazy_correction, lerp, tree_norm
from drumgan_jax.training.data import Dataset
from drumgan_jax.training.mesh import AXES, StateLayout, batch_sharding, replicated
from drumgan_jax.training.settings import AdamSettings, EvaluationSettings, TrainSettings, read_section, read_seed
from drumgan_jax.training.task import Evaluation, Evaluator, Metrics, Summary

Array = jax.Array
Batch = dict[str, Array]
PLAYERS = ("generator", "discriminator")
# Decay of the running mean of w, once a generator step (PARITY 28).
W_AVERAGE_DECAY = 0.995
# Purposes of random keys; regularisers have the numbers from REGULARIZER on.
INIT, GENERATOR, DISCRIMINATOR, SUMMARY, SAMPLE, REGULARIZER = range(6)


@flax.struct.dataclass
class GanState:
    """Everything that training goes on from.

    Attributes:
        step: steps done [].
        seed: the run's seed [].
        generator: its parameters.
        discriminator: its parameters.
        statistics: the generator's running values, such as the mean of w.
        objective: the objective's running values, such as the mean path length.
        generator_optimizer: Adam's moments, shared by the main and the lazy steps; so is the other.
        discriminator_optimizer: likewise.
        ema: moving average of the generator, {"params", "statistics"}.
    """

    step: Array
    seed: Array
    generator: Any
    discriminator: Any
    statistics: Any
    objective: Any
    generator_optimizer: Any
    discriminator_optimizer: Any
    ema: Any


@dataclasses.dataclass(frozen=True)
class GanTaskSettings:
    """Section `task`: whether the networks are conditioned on the data set's labels."""

    conditional: bool = False


def build_gan_task(config: Mapping[str, Any], mesh: Mesh) -> "GanTask":
    """The task of a frozen config (drumgan_jax.training.run).

    Raises:
        BadInput: a section is unfit, or the networks are to be conditional and the data set has no labels.
    """
    section = {name: value for name, value in config["task"].items() if name != "kind"}
    conditional = read_section({"task": section}, "task", GanTaskSettings).conditional
    num_labels = len(config["labels"]) if conditional else 0
    if conditional and num_labels == 0:
        raise BadInput("config.task.conditional is true but the data set has no labels; prepare it with labels.")
    adam = {player: read_section(config, f"optimizer.{player}", AdamSettings) for player in PLAYERS}
    return GanTask(
        gan=build_gan(config, num_labels),
        num_labels=num_labels,
        settings=read_section(config, "train", TrainSettings),
        adam=adam,
        num_summary=config["logging"]["num_samples"],
        evaluation=read_section(config, "evaluation", EvaluationSettings),
        seed=read_seed(config),
        mesh=mesh,
    )


class GanTask:
    """Steps of a generator and a discriminator, and of the regularisers that run less often (lazily).

    One iteration is: generator, its lazy regularisers, discriminator, its lazy regularisers, averages; each with
    fresh latents (PARITY 21), each compiled on its own. A lazy regulariser runs when `step` is a multiple of its
    interval, its loss multiplied by the interval. Fakes have the labels of the batch's real examples, so their
    frequencies are the data set's. Unlike the reference, gradients that are not finite are left so: their norms
    are logged, and the loop stops.

    Args:
        gan: the parts.
        num_labels: classes that the networks are conditioned on; 0 for none.
        settings: section `train`.
        adam: each player's optimiser settings.
        num_summary: sounds in a summary.
        evaluation: section `evaluation`.
        seed: the run's seed.
        mesh: the devices.
    """

    def __init__(
        self,
        gan: Gan,
        num_labels: int,
        settings: TrainSettings,
        adam: Mapping[str, AdamSettings],
        num_summary: int,
        evaluation: EvaluationSettings,
        seed: int,
        mesh: Mesh,
    ):
        self._gan = gan
        self._num_labels = num_labels
        self._settings = settings
        self._num_summary = num_summary
        self._evaluation = evaluation
        self._seed = seed
        self._mesh = mesh
        regularizers = gan.objective.regularizers
        purposes = {r.name: REGULARIZER + i for i, r in enumerate(regularizers)}
        lazy = {player: [r for r in regularizers if r.player == player and r.interval > 1] for player in PLAYERS}
        intervals = {player: [r.interval for r in lazy[player]] for player in PLAYERS}
        self._optimizers = {player: lazy_adam(adam[player], intervals[player]) for player in PLAYERS}
        self._rates = {
            f"learning_rate/{player}": adam[player].learning_rate * lazy_correction(intervals[player])
            for player in PLAYERS
        }
        self._every = {
            player: [(r, purposes[r.name]) for r in regularizers if r.player == player and r.interval == 1]
            for player in PLAYERS
        }

        self._layout = StateLayout(mesh, self._init)
        # The phases of an iteration with their names and intervals, in order.
        self._phases: list[tuple[str, int, Any]] = []
        for player, main in (("generator", self._generator_step), ("discriminator", self._discriminator_step)):
            self._phases.append((player, 1, self._layout.compile_step(main)))
            for r in lazy[player]:
                step = self._layout.compile_step(functools.partial(self._lazy_step, r, purposes[r.name]))
                self._phases.append((r.name, r.interval, step))
        where = self._layout.shardings
        self._average = jax.jit(self._averaged, in_shardings=(where,), out_shardings=where, donate_argnums=0)
        self._render = jax.jit(self._rendered, static_argnums=3, out_shardings=replicated(mesh))

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that a step reads."""
        return ("x", "labels") if self._num_labels else ("x",)

    @property
    def shapes(self) -> GanState:
        """The state as jax.ShapeDtypeStruct with shardings."""
        return self._layout.shapes

    def init(self) -> GanState:
        """The state before the first step."""
        return self._layout.make()

    def step(self, state: GanState, batch: Mapping[str, Array], step: int) -> tuple[GanState, Metrics]:
        """One iteration; see the class and drumgan_jax.training.task."""
        metrics: Metrics = {}
        for _, interval, phase in self._phases:
            if step % interval == 0:
                state, of_phase = phase(state, dict(batch))
                metrics |= of_phase
        return self._average(state), metrics | self._rates

    def lower(self, batch: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, jax.stages.Lowered]:
        """Every phase by name, lowered for the mesh from the batch's shapes alone: nothing is allocated or compiled."""
        return {name: phase.lower(self._layout.shapes, dict(batch)) for name, _, phase in self._phases}

    def summarize(self, state: GanState) -> Summary:
        """Sounds of fixed latents, their labels taking turns, by the moving average."""
        labels = np.eye(max(self._num_labels, 1), self._num_labels, dtype=np.float32)
        waveforms = self._draw(state, 0, self._num_summary, SUMMARY, labels)
        return Summary(waveforms, self._gan.representation.sample_rate)

    def sample(self, state: GanState, start: int, count: int, labels: np.ndarray) -> np.ndarray:
        """Waveforms [count, samples] of latents `start` and following of a fixed sequence, by the moving average.

        Sound n has row n of `labels` [rows, labels], which begins again after its last row.
        """
        return self._draw(state, start, count, SAMPLE, labels)

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """Scores `evaluation.metrics` of the moving average's sounds against the data set's."""
        # The metrics' own imports are paid only by runs that evaluate.
        from drumgan_jax.evaluation.collecting import sampled
        from drumgan_jax.evaluation.suite import Suite
        from drumgan_jax.training.reference import SPLIT, dataset_side

        settings = self._evaluation
        suite = Suite.of(settings.metrics, batch_sharding(self._mesh))
        real = dataset_side(suite, dataset, settings.num_samples)
        # The same classes on both sides: else a perfect generator of an unbalanced set would be scored down.
        labels = dataset.labels(SPLIT, settings.num_samples) if self._num_labels else np.zeros((1, 0), np.float32)

        def evaluate(state: GanState) -> Evaluation:
            sounds = sampled(
                lambda start, count: self.sample(state, start, count, labels),
                settings.num_samples,
                self._gan.representation.sample_rate,
                self._settings.batch_size,
            )
            results = suite.compare(real, suite.look(sounds))
            return Evaluation(results.scores, {"figures": results.figures})

        return evaluate

    # Compiled parts

    def _init(self) -> GanState:
        generator, discriminator = self._gan.generator, self._gan.discriminator
        keys = [jax.random.fold_in(jax.random.key(self._seed), i) for i in range(3)]
        z = jnp.zeros((self._mesh.size, generator.z_dim))
        x = jnp.zeros((self._mesh.size, *self._gan.representation.shape))
        labels = jnp.zeros((self._mesh.size, self._num_labels)) if self._num_labels else None
        made = generator.init(keys[0], z, labels, keys[2])
        params, statistics = made["params"], made.get("statistics", {})
        critic = discriminator.init(keys[1], x, labels)["params"]
        return GanState(
            step=jnp.zeros((), jnp.int32),
            seed=jnp.asarray(self._seed, jnp.uint32),
            generator=params,
            discriminator=critic,
            statistics=statistics,
            objective=self._gan.objective.initial_statistics(),
            generator_optimizer=self._optimizers["generator"].init(params),
            discriminator_optimizer=self._optimizers["discriminator"].init(critic),
            ema={"params": params, "statistics": statistics},
        )

    def _generator_step(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        def loss(params: Any, objective: Any, micro: Batch, key: Array) -> Any:
            keys = jax.random.split(key)
            labels = micro.get("labels")
            ws, w_mean = self._draw_ws(params, state.statistics, labels, keys[0], len(micro["x"]))
            critique = self._critique(
                state.discriminator, self._synthesize(params, state.statistics, ws, keys[1]), labels
            )
            value, metrics = self._gan.objective.generator_loss(critique, labels)
            metrics = {"loss/generator": value, **metrics}
            match = self._match(state, "generator", params, micro, None)
            return self._add_regularizers("generator", value, metrics, match, objective, key, w_mean)

        state, metrics, w_mean = self._descend(state, "generator", loss, batch, GENERATOR)
        if "w_average" in state.statistics:
            average = lerp(state.statistics["w_average"], w_mean, W_AVERAGE_DECAY)
            state = dataclasses.replace(state, statistics={**state.statistics, "w_average": average})
        return state, metrics

    def _discriminator_step(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        def loss(params: Any, objective: Any, micro: Batch, key: Array) -> Any:
            keys = jax.random.split(key)
            labels = micro.get("labels")
            ws, _ = self._draw_ws(state.generator, state.statistics, labels, keys[0], len(micro["x"]))
            fake = self._synthesize(state.generator, state.statistics, ws, keys[1])
            match = self._match(state, "discriminator", params, micro, fake)
            value, metrics = self._gan.objective.discriminator_loss(
                match.discriminate(match.real), match.discriminate(fake), labels
            )
            metrics = {"loss/discriminator": value, **metrics}
            return self._add_regularizers("discriminator", value, metrics, match, objective, key, None)

        state, metrics, _ = self._descend(state, "discriminator", loss, batch, DISCRIMINATOR)
        return state, metrics

    def _lazy_step(self, r: Regularizer, purpose: int, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        def loss(params: Any, objective: Any, micro: Batch, key: Array) -> Any:
            value, objective, metrics = r.function(self._match(state, r.player, params, micro, None), objective, key)
            return value * r.interval, (objective, metrics, None)

        state, metrics, _ = self._descend(state, r.player, loss, batch, purpose, name=r.name)
        return state, metrics

    def _averaged(self, state: GanState) -> GanState:
        s = self._settings
        keep = ema_decay(state.step, s.batch_size, s.ema_half_life_images, s.ema_rampup)
        params = lerp(state.ema["params"], state.generator, keep)
        return dataclasses.replace(state, step=state.step + 1, ema={"params": params, "statistics": state.statistics})

    # What they are made of

    def _descend(
        self, state: GanState, player: str, loss: Callable[..., Any], batch: Batch, purpose: int, name: str = ""
    ) -> tuple[GanState, Metrics, Any]:
        """One Adam step of a player down the mean gradient of the micro-batches.

        `loss(params, objective, micro, key) -> (value, (objective, metrics, extra))`; the objective's running
        values go from one micro-batch to the next, metrics and extra are averaged.
        """
        params = getattr(state, player)
        gradient_of = jax.grad(loss, has_aux=True)
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(state.seed), state.step), purpose)

        def one(objective: Any, item: tuple[Array, Batch]) -> tuple[Any, Any]:
            index, micro = item
            gradient, (objective, metrics, extra) = gradient_of(
                params, objective, micro, jax.random.fold_in(key, index)
            )
            return objective, (gradient, metrics, extra)

        accumulation = self._settings.accumulation
        if accumulation == 1:
            objective, means = one(state.objective, (jnp.zeros((), jnp.int32), batch))
        else:
            objective, stacked = jax.lax.scan(
                one, state.objective, (jnp.arange(accumulation), self._micro_batches(batch, accumulation))
            )
            means = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), stacked)
        gradient, metrics, extra = means
        optimizer = f"{player}_optimizer"
        updates, moments = self._optimizers[player].update(gradient, getattr(state, optimizer), params)
        metrics[f"norm/{name or player}_gradient"] = tree_norm(gradient)
        metrics[f"norm/{name or player}_update"] = tree_norm(updates)
        state = dataclasses.replace(
            state, **{player: optax.apply_updates(params, updates), optimizer: moments, "objective": objective}
        )
        return state, metrics, extra

    def _micro_batches(self, batch: Batch, count: int) -> Batch:
        """Batches [count, batch / count, ...] of every count-th row, so that each device keeps its own rows."""

        def split(leaf: Array) -> Array:
            rows = leaf.reshape(len(leaf) // count, count, *leaf.shape[1:])
            where = NamedSharding(self._mesh, PartitionSpec(None, AXES))
            return jax.lax.with_sharding_constraint(jnp.swapaxes(rows, 0, 1), where)

        return jax.tree.map(split, batch)

    def _add_regularizers(
        self, player: str, value: Array, metrics: Metrics, match: Match, objective: Any, key: Array, extra: Any
    ) -> Any:
        """The result of a main loss: with the regularisers of interval 1 added."""
        for r, purpose in self._every[player]:
            term, objective, of_term = r.function(match, objective, jax.random.fold_in(key, purpose))
            value, metrics = value + term, metrics | of_term
        return value, (objective, metrics, extra)

    def _match(self, state: GanState, player: str, params: Any, micro: Batch, fake: Array | None) -> Match:
        """What a regulariser of `player` may use, with that player's parameters being `params`."""
        generator = params if player == "generator" else state.generator
        discriminator = params if player == "discriminator" else state.discriminator
        labels = micro.get("labels")
        return Match(
            discriminate=lambda x: self._critique(discriminator, x, labels),
            draw_ws=lambda key, count: self._draw_ws(generator, state.statistics, labels, key, count)[0],
            synthesize=lambda ws, key: self._synthesize(generator, state.statistics, ws, key),
            real=self._gan.representation.normalize(micro["x"]),
            fake=fake,
            labels=labels,
        )

    def _draw_ws(
        self, params: Any, statistics: Any, labels: Array | None, key: Array, count: int
    ) -> tuple[Array, Array]:
        """Fresh style inputs [count, layers, w_dim], styles mixed, and the mean w [w_dim] before mixing."""
        keys = jax.random.split(key, 3)
        generator = self._gan.generator
        # Every n-th label for a smaller batch, so that each device keeps its own rows.
        labels = None if labels is None else labels[:: len(labels) // count][:count]
        variables = {"params": params, "statistics": statistics}

        def draw(key: Array) -> Array:
            z = self._spread(jax.random.normal(key, (count, generator.z_dim)))
            return _apply(generator, variables, z, labels, method="map")

        ws = draw(keys[0])
        mean = jnp.mean(ws[:, 0], axis=0)
        if getattr(generator, "style_mixing", 0.0) > 0.0:
            ws = mix_styles(ws, draw(keys[1]), keys[2], generator.style_mixing)
        return ws, mean

    def _synthesize(self, params: Any, statistics: Any, ws: Array, noise: Array) -> Array:
        variables = {"params": params, "statistics": statistics}
        return self._spread(_apply(self._gan.generator, variables, ws, noise, method="synthesize"))

    def _critique(self, params: Any, x: Array, labels: Array | None) -> Critique:
        return _apply(self._gan.discriminator, {"params": params}, x, labels)

    def _spread(self, x: Array) -> Array:
        """Split over the devices along the batch, where it divides evenly."""
        return x if len(x) % self._mesh.size else jax.lax.with_sharding_constraint(x, batch_sharding(self._mesh))

    def _draw(self, state: GanState, start: int, count: int, purpose: int, labels: np.ndarray) -> np.ndarray:
        """Waveforms [count, samples] in chunks of one compiled size."""
        size = self._settings.batch_size // self._settings.accumulation
        chunks = [
            self._render(state.ema, np.int32(first), labels[(first + np.arange(size)) % len(labels)], purpose)
            for first in range(start, start + count, size)
        ]
        return np.concatenate([np.asarray(chunk) for chunk in chunks])[:count]

    def _rendered(self, ema: Any, start: Array, labels: Array, purpose: int) -> Array:
        """Waveforms [size, samples] of latents `start` and following; a latent has its own key, and so its noise."""
        size = len(labels)
        key = jax.random.fold_in(jax.random.key(self._seed), purpose)
        items = start + jnp.arange(size, dtype=jnp.int32)
        keys = jax.vmap(lambda item: jax.random.split(jax.random.fold_in(key, item)))(items)
        z = self._spread(jax.vmap(lambda k: jax.random.normal(k, (self._gan.generator.z_dim,)))(keys[:, 0]))
        x = self._spread(_apply(self._gan.generator, ema, z, labels if self._num_labels else None, keys[:, 1]))
        return self._gan.representation.decode(x, jax.random.fold_in(key, start))


def _apply(module: nn.Module, variables: Any, *inputs: Any, method: str | None = None) -> Any:
    # Linen's own return type is a union with the collections that were changed, of which there are none here.
    return module.apply(variables, *inputs, method=method)
