"""The steps of a generator and a discriminator at one stage of their growth."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from drumgan_jax.core.keys import Purpose, run_key
from drumgan_jax.core.mesh import gathered, shard_batch
from drumgan_jax.core.schedules import Scheduled, traced_value
from drumgan_jax.networks import spectral
from drumgan_jax.networks.mapping import mix_styles
from drumgan_jax.objectives.objective import LossContext, Regularizer
from drumgan_jax.runs.settings import TrainSettings
from drumgan_jax.systems.gan import Gan, apply
from drumgan_jax.training.optimization import Player, lerp, mean_over_micro_batches, moving_average
from drumgan_jax.training.task import Metrics

Array = jax.Array
Batch = dict[str, Array]
PLAYERS = ("generator", "discriminator")
# Decay of the running mean of w, once a generator step (PARITY 28).
W_AVERAGE_DECAY = 0.995


@flax.struct.dataclass
class GanState:
    """The whole state of a training run.

    Attributes:
        step: steps done [].
        seed: the run's seed [].
        generator: its parameters.
        discriminator: its parameters.
        statistics: the generator's running values, such as the mean of w.
        discriminator_statistics: the discriminator's, such as the directions of its spectral norms.
        frozen: the discriminator's constant weights: feature networks and random mixing.
        objective: running values of the objective, such as the mean path length, and of the augmentation.
        generator_optimizer: Adam's moments by top-level module, shared by the main and the lazy steps.
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
        gan: the parts, at `stage`.
        stage: of the growth.
        settings: section `train`.
        players: by name.
        critic_steps: discriminator steps for one of the generator.
        label_weight: share of the labels in what both networks see.
        mesh: the devices.
        attributes: columns of a batch's attributes that join its labels.
        neutral: labels [labels] of which nothing is known.
        consistent: whether full-size examples are compared as the spectra of their waveforms.
    """

    gan: Gan
    stage: int
    settings: TrainSettings
    players: Mapping[str, Player]
    critic_steps: int
    label_weight: Scheduled
    mesh: Mesh
    attributes: tuple[int, ...] = ()
    neutral: tuple[float, ...] = ()
    consistent: bool = False

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
        """The end of an iteration: the step count, and the generator's moving average."""
        params = moving_average(self.settings, state.step, state.ema["params"], state.generator)
        return dataclasses.replace(state, step=state.step + 1, ema={"params": params, "statistics": state.statistics})

    def _generator_step(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        def loss(params: Any, objective: Any, micro: Batch, index: Array) -> Any:
            key, latents_key, noise_key = jax.random.split(self._key(state, Purpose.GENERATOR_STEP, index), 3)
            context = self._context(state, "generator", params, micro, index, key)
            generator = self._generator(state, params)
            ws, w_mean = self._draw_ws(generator, context.labels, latents_key, self._count(micro))
            context = dataclasses.replace(context, make_fake=lambda: context.synthesize(ws, noise_key))
            value, metrics = self.gan.objective.generator_loss(context)
            result = value, {"loss/generator": value, **metrics}, objective
            return *self._with_regularizers("generator", state, context, index, *result), w_mean

        state, metrics, w_mean = self._descend(state, "generator", loss, batch)
        if "w_average" in state.statistics:
            average = lerp(state.statistics["w_average"], w_mean, W_AVERAGE_DECAY)
            state = dataclasses.replace(state, statistics={**state.statistics, "w_average": average})
        return state, metrics

    def _discriminator_step(self, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        advanced = spectral.advance(state.discriminator, state.discriminator_statistics)
        state = dataclasses.replace(state, discriminator_statistics=advanced)

        def loss(params: Any, objective: Any, micro: Batch, index: Array) -> Any:
            key = self._key(state, Purpose.DISCRIMINATOR_STEP, index)
            context = self._context(state, "discriminator", params, micro, index, key)
            value, metrics = self.gan.objective.discriminator_loss(context)
            result = value, {"loss/discriminator": value, **metrics}, objective
            return *self._with_regularizers("discriminator", state, context, index, *result), None

        state, metrics, _ = self._descend(state, "discriminator", loss, batch)
        objective, adapted = self.gan.augmentation.adapted(state.objective, metrics, self.settings.batch_size)
        return dataclasses.replace(state, objective=objective), metrics | adapted

    def _lazy_step(self, r: Regularizer, purpose: int, state: GanState, batch: Batch) -> tuple[GanState, Metrics]:
        def loss(params: Any, objective: Any, micro: Batch, index: Array) -> Any:
            context_key, key = jax.random.split(self._key(state, purpose, index))
            context = self._context(state, r.player, params, micro, index, context_key)
            value, objective, metrics = r.function(context, objective, key)
            return value * r.interval, metrics, objective, None

        state, metrics, _ = self._descend(state, r.player, loss, batch, term=r.name)
        return state, metrics

    # Parts of the steps

    def _descend(
        self, state: GanState, player: str, loss: Callable[..., Any], batch: Batch, term: str = ""
    ) -> tuple[GanState, Metrics, Any]:
        """One Adam step of the modules that the stage uses, down the mean gradient of the micro-batches.

        `loss(params, objective, micro, index) -> (value, metrics, objective, extra)`; the objective's state goes from
        one micro-batch to the next, metrics and extra are averaged.
        """
        params = getattr(state, player)
        used = {module: params[module] for module in self.gan.in_use(player, params)}

        def value_of(used: Any, *rest: Any) -> Any:
            value, *auxiliary = loss({**params, **used}, *rest)
            return value, auxiliary

        def one(objective: Any, index: Array, micro: Batch) -> tuple[Any, Any]:
            gradient, (metrics, objective, extra) = jax.grad(value_of, has_aux=True)(used, objective, micro, index)
            return objective, (gradient, metrics, extra)

        objective, (gradient, metrics, extra) = mean_over_micro_batches(
            one, state.objective, batch, self.settings.accumulation, self.mesh
        )
        optimizer = f"{player}_optimizer"
        params, moments, norms = self.players[player].descend(
            params, getattr(state, optimizer), gradient, self._images(state), term
        )
        state = dataclasses.replace(state, **{player: params, optimizer: moments, "objective": objective})
        return state, metrics | norms, extra

    def _with_regularizers(
        self,
        player: str,
        state: GanState,
        context: LossContext,
        index: Array,
        value: Array,
        metrics: Metrics,
        objective: Any,
    ) -> tuple[Array, Metrics, Any]:
        """A main loss with its metrics and the objective's state, the regularisers of interval 1 added."""
        for r, purpose in self._regularizers(player):
            if r.interval == 1:
                term, objective, of_term = r.function(context, objective, self._key(state, purpose, index))
                value, metrics = value + term, metrics | of_term
        return value, metrics, objective

    def _context(
        self, state: GanState, player: str, params: Any, micro: Batch, index: Array, key: Array
    ) -> LossContext:
        """The loss context of a player's step, that player's parameters being `params`."""
        network_key, augmentation_key, latents_key, noise_key = jax.random.split(key, 4)
        reconstruction_key = jax.random.fold_in(key, 4)
        generator = self._generator(state, params if player == "generator" else state.generator)
        discriminator = {
            "params": gathered(params if player == "discriminator" else state.discriminator, self.mesh),
            "statistics": state.discriminator_statistics,
            "frozen": gathered(state.frozen, self.mesh),
            "growth": self._growth(state),
        }
        labels = self._labels(micro, state)
        real, varied = self._examples(micro, index, state)

        def discriminate(x: Array) -> Any:
            # The same random numbers for all examples of a step, real and generated.
            x = self.gan.augmentation(x, augmentation_key, state.objective)
            return apply(self.gan.discriminator, discriminator, x, labels, rngs={"phase": network_key})

        def draw_ws(key: Array, count: int) -> Array:
            # Fewer rows than devices, or a part of a row each, would be computed by all of them.
            return self._draw_ws(generator, labels, key, count, -(-count // self.mesh.size) * self.mesh.size)[0]

        def synthesize(ws: Array, key: Array | None) -> Array:
            # Not upsampled: the discriminator takes the stage's own size.
            x = apply(self.gan.generator, generator, ws, key, method="synthesize")
            return shard_batch(self._consistent(x), self.mesh)

        def reconstruct(x: Array, deviation: float) -> tuple[Array, Array]:
            encoded = apply(self.gan.generator, generator, x, method="encode")
            noise_key, synthesis_key = jax.random.split(reconstruction_key)
            w = encoded + deviation * jax.random.normal(noise_key, encoded.shape)
            ws = jnp.broadcast_to(w[:, None], (len(w), self.gan.generator.num_ws, w.shape[1]))
            return synthesize(ws, None), synthesize(ws, synthesis_key)

        return LossContext(
            discriminate=discriminate,
            draw_ws=draw_ws,
            synthesize=synthesize,
            real=self._consistent(self.gan.fit(real, self._growth(state)["alpha"])),
            make_fake=lambda: synthesize(draw_ws(latents_key, self._count(micro)), noise_key),
            labels=labels,
            images=self._images(state),
            reconstruct=reconstruct if self.gan.encodes else None,
            varied=varied,
            features=self.gan.features,
            distances=self.gan.distances,
        )

    def _consistent(self, x: Array) -> Array:
        """Examples as both players see them; smaller ones have no waveform."""
        representation: Any = self.gan.representation
        return representation.consistent(x) if self.consistent and x.shape[1:] == representation.shape else x

    def _examples(self, micro: Batch, index: Array, state: GanState) -> tuple[Array, Array | None]:
        """The real examples of a micro-batch, and those that are reconstructed in place of them, if others are.

        If the data are augmented, a step changes its recordings alike for both players.
        """
        representation, change = self.gan.representation, self.gan.data_augmentation
        if "x" in micro:
            return representation.normalize(micro["x"]), None
        key = run_key(state.seed, Purpose.DATA_AUGMENTATION, state.step, index)
        keys = jax.random.split(key, len(micro["waveforms"]))
        changed = change(micro["waveforms"], representation.sample_rate, keys, micro.get("labels"))
        changed = representation.encode(changed)
        return (representation.encode(micro["waveforms"]), changed) if change.reconstructions_only else (changed, None)

    def _labels(self, micro: Batch, state: GanState) -> Array | None:
        """The labels [batch, labels] that both networks see, neutral where labels have no weight yet."""
        labels = micro.get("labels")
        if self.attributes:
            attributes = micro["attributes"][:, jnp.asarray(self.attributes)]
            labels = attributes if labels is None else jnp.concatenate([labels, attributes], axis=1)
        if labels is None or self.label_weight == 1.0:
            return labels
        weight = traced_value(self.label_weight, self._images(state))
        return weight * labels + (1.0 - weight) * jnp.asarray(self.neutral)

    def _generator(self, state: GanState, params: Any) -> dict[str, Any]:
        """The generator's variables, with given parameters."""
        return {"params": gathered(params, self.mesh), "statistics": state.statistics, "growth": self._growth(state)}

    def _draw_ws(
        self, variables: Any, labels: Array | None, key: Array, count: int, rows: int | None = None
    ) -> tuple[Array, Array]:
        """Fresh ws [rows, layers, w_dim], styles mixed, and the mean w [w_dim] before mixing.

        The first `count` are the same whatever `rows` is, which is `count` if it is not given.
        """
        keys = jax.random.split(key, 3)
        generator = self.gan.generator
        rows = rows or count
        # Every n-th label for a smaller batch, so that each device keeps its own rows.
        labels = None if labels is None else labels[:: len(labels) // count][:count]
        labels = labels if labels is None or rows == count else labels[jnp.arange(rows) % count]

        def draw(key: Array) -> Array:
            z = shard_batch(jax.random.normal(key, (rows, generator.z_dim)), self.mesh)
            return self.gan.map(variables, z, labels)

        ws = draw(keys[0])
        mean = jnp.mean(ws[:, 0], axis=0)
        if getattr(generator, "style_mixing", 0.0) > 0.0:
            ws = mix_styles(ws, draw(keys[1]), keys[2], generator.style_mixing)
        return ws, mean

    def _regularizers(self, player: str) -> list[tuple[Regularizer, int]]:
        """The regularisers of a player, with the purposes of their keys."""
        numbered = enumerate(self.gan.objective.regularizers, start=Purpose.REGULARIZER)
        return [(r, purpose) for purpose, r in numbered if r.player == player]

    def _count(self, micro: Batch) -> int:
        """Examples of a micro-batch."""
        return len(next(iter(micro.values())))

    def _key(self, state: GanState, purpose: int, micro_batch: Array) -> Array:
        return run_key(state.seed, purpose, state.step, micro_batch)

    def _images(self, state: GanState) -> Array:
        """Real examples seen before this step []."""
        return state.step * self.settings.batch_size

    def _growth(self, state: GanState) -> dict[str, Array]:
        """Variables of networks that grow, beside their parameters."""
        return {"alpha": self.gan.growth.alpha_of(self.stage, self._images(state))}
