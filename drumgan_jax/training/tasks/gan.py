"""The task of a generator against a discriminator, whatever their kinds."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import StateLayout, batch_sharding, replicated, shard_batch
from drumgan_jax.core.settings import read_section, read_seed, require_whole
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.runs.load import with_vocoder
from drumgan_jax.runs.settings import AdamSettings, EvaluationSettings, TrainSettings
from drumgan_jax.systems.feature_networks import load_weights
from drumgan_jax.systems.gan import Gan, build_gan
from drumgan_jax.training.averages import lazy_adam, lazy_correction, modulewise
from drumgan_jax.training.task import Evaluation, Evaluator, Metrics, Summary
from drumgan_jax.training.tasks.gan_steps import PLAYERS, SAMPLE, SUMMARY, GanState, Steps, apply

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class GanTaskSettings:
    """Section `task`.

    Attributes:
        conditional: whether the networks are conditioned on the data set's labels.
        soft_labels: whether these are the class probabilities that `drumgan label` wrote, rather than the classes.
        critic_steps: steps of the discriminator for one of the generator.
    """

    conditional: bool = False
    soft_labels: bool = False
    critic_steps: int = 1

    def __post_init__(self) -> None:
        require_whole("task", self, 1, "critic_steps")
        if self.soft_labels and not self.conditional:
            raise BadInput("config.task.soft_labels is true but config.task.conditional is false; set both or neither.")


def build_gan_task(config: Mapping[str, Any], mesh: Mesh) -> "GanTask":
    """The task of a frozen config (drumgan_jax.training.run).

    Raises:
        BadInput: a section is unfit, the networks are to be conditional and the data set has no labels, or the vocoder
            that the representation names cannot be used.
    """
    section = {name: value for name, value in config["task"].items() if name != "kind"}
    task = read_section({"task": section}, "task", GanTaskSettings)
    num_labels = len(config["labels"]) if task.conditional else 0
    if task.conditional and num_labels == 0:
        raise BadInput("config.task.conditional is true but the data set has no labels; prepare it with labels.")
    adam = {player: read_section(config, f"optimizer.{player}", AdamSettings) for player in PLAYERS}
    gan, settings = with_vocoder(build_gan(config, num_labels)), read_section(config, "train", TrainSettings)
    gan.growth.check(settings.batch_size)
    return GanTask(
        gan=gan,
        num_labels=num_labels,
        task=task,
        settings=settings,
        adam=adam,
        features=config.get("feature_networks", {}),
        num_summary=config["logging"]["num_samples"],
        evaluation=read_section(config, "evaluation", EvaluationSettings),
        seed=read_seed(config),
        mesh=mesh,
    )


class Stage(NamedTuple):
    """The compiled parts of a stage.

    Attributes:
        phases: of an iteration with their names and intervals, in order.
        average: its end.
    """

    phases: list[tuple[str, int, Any]]
    average: Callable[[GanState], GanState]


class GanTask:
    """Steps of a generator and a discriminator, and of the regularisers that run less often (lazily).

    One iteration is: generator, its lazy regularisers, discriminator, its lazy regularisers, averages; each with
    fresh latents (PARITY 21), each compiled on its own. A lazy regulariser runs when `step` is a multiple of its
    interval, its loss multiplied by the interval. Fakes have the labels of the batch's real examples, so their
    frequencies are the data set's. Unlike the reference, gradients that are not finite are left so: their norms
    are logged, and the loop stops.

    Where the networks grow, each stage's phases are compiled when it begins. The state has all stages' parameters
    from the start: what a stage does not use stays as it is, and goes on with the moments it had; new modules begin
    with fresh ones.

    Args:
        gan: the parts.
        num_labels: classes that the networks are conditioned on; 0 for none.
        task: section `task`.
        settings: section `train`.
        adam: each player's optimiser settings.
        features: section `features`, described.
        num_summary: sounds in a summary.
        evaluation: section `evaluation`.
        seed: the run's seed.
        mesh: the devices.
    """

    def __init__(
        self,
        gan: Gan,
        num_labels: int,
        task: GanTaskSettings,
        settings: TrainSettings,
        adam: Mapping[str, AdamSettings],
        features: Mapping[str, Any],
        num_summary: int,
        evaluation: EvaluationSettings,
        seed: int,
        mesh: Mesh,
    ):
        self._gan = gan
        self._num_labels = num_labels
        self._task = task
        self._settings = settings
        self._features = features
        self._num_summary = num_summary
        self._evaluation = evaluation
        self._seed = seed
        self._mesh = mesh
        lazy = {
            player: [r.interval for r in gan.objective.regularizers if r.player == player and r.interval > 1]
            for player in PLAYERS
        }
        self._optimizers = {player: modulewise(lazy_adam(adam[player], lazy[player])) for player in PLAYERS}
        self._rates = {
            f"learning_rate/{player}": adam[player].learning_rate * lazy_correction(lazy[player]) for player in PLAYERS
        }
        self._layout = StateLayout(mesh, self._init)
        self._stages: dict[int, Stage] = {}
        self._render = jax.jit(self._rendered, static_argnums=(3, 4), out_shardings=replicated(mesh))

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that a step reads."""
        return ("x", self._label_key) if self._num_labels else ("x",)

    @property
    def shapes(self) -> GanState:
        """The state as jax.ShapeDtypeStruct with shardings."""
        return self._layout.shapes

    def init(self) -> GanState:
        """The state before the first step, with the weights of the feature networks that were asked for."""
        state = self._layout.make()
        loaded = {name: weights.variables for name, weights in load_weights(self._features).items()}
        where = {name: self._layout.shardings.frozen[name] for name in loaded}
        return dataclasses.replace(state, frozen={**state.frozen, **jax.device_put(loaded, where)})

    def step(self, state: GanState, batch: Mapping[str, Array], step: int) -> tuple[GanState, Metrics]:
        """One iteration; see the class and drumgan_jax.training.task."""
        number, alpha = self._gan.growth.at(step * self._settings.batch_size)
        stage = self._stage(number)
        metrics: Metrics = {}
        for _, interval, phase in stage.phases:
            if step % interval == 0:
                state, of_phase = phase(state, self._named(batch))
                metrics |= of_phase
        if self._gan.growth.num_stages > 1:
            metrics |= {"growth/stage": float(number), "growth/alpha": alpha}
        return stage.average(state), metrics | self._rates

    def lower(self, batch: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, jax.stages.Lowered]:
        """Every phase of the last stage by name, lowered for the mesh from the batch's shapes alone.

        Nothing is allocated or compiled.
        """
        phases = self._stage(self._gan.growth.num_stages - 1).phases
        return {name: phase.lower(self._layout.shapes, self._named(batch)) for name, _, phase in phases}

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
        from drumgan_jax.data.reference import SPLIT, dataset_side
        from drumgan_jax.evaluation.collecting import sampled
        from drumgan_jax.evaluation.suite import Suite

        settings = self._evaluation
        suite = Suite.of(settings.metrics, batch_sharding(self._mesh))
        real = dataset_side(suite, dataset, settings.num_samples)
        # The same classes on both sides: else a perfect generator of an unbalanced set would be scored down.
        labels = (
            dataset.labels(SPLIT, settings.num_samples, self._label_key)
            if self._num_labels
            else np.zeros((1, 0), np.float32)
        )

        def evaluate(state: GanState) -> Evaluation:
            sounds = sampled(
                lambda start, count: self.sample(state, start, count, labels),
                settings.num_samples,
                self._gan.representation.sample_rate,
                self._settings.batch_size,
            )
            results = suite.compare(real, suite.embed(sounds))
            return Evaluation(results.scores, {"figures": results.figures})

        return evaluate

    # Compiled parts

    def _init(self) -> GanState:
        generator, discriminator = self._gan.generator, self._gan.discriminator
        keys = [jax.random.fold_in(jax.random.key(self._seed), i) for i in range(3)]
        # One row, which any group of examples and any number of devices takes: shapes do not depend on it.
        z = jnp.zeros((1, generator.z_dim))
        x = jnp.zeros((1, *self._gan.representation.shape))
        labels = jnp.zeros((1, self._num_labels)) if self._num_labels else None
        made = generator.init(keys[0], z, labels, keys[2])
        params, statistics = made["params"], made.get("statistics", {})
        critic = discriminator.init(keys[1], x, labels)
        return GanState(
            step=jnp.zeros((), jnp.int32),
            seed=jnp.asarray(self._seed, jnp.uint32),
            generator=params,
            discriminator=critic["params"],
            statistics=statistics,
            discriminator_statistics=critic.get("statistics", {}),
            frozen=critic.get("frozen", {}),
            objective=self._gan.objective.initial_state(),
            generator_optimizer=self._optimizers["generator"].init(params),
            discriminator_optimizer=self._optimizers["discriminator"].init(critic["params"]),
            ema={"params": params, "statistics": statistics},
        )

    @property
    def _label_key(self) -> str:
        return "soft_labels" if self._task.soft_labels else "labels"

    def _named(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """A batch whose labels, of whatever kind, are called so."""
        return {"labels" if key == self._label_key else key: value for key, value in batch.items()}

    def _stage(self, number: int) -> "Stage":
        """A stage's compiled parts, made when they are first asked for."""
        if number not in self._stages:
            steps = Steps(
                self._gan.at(number), number, self._settings, self._optimizers, self._task.critic_steps, self._mesh
            )
            where = self._layout.shardings
            phases = [(name, interval, self._layout.compile_step(step)) for name, interval, step in steps.phases()]
            average = jax.jit(steps.averaged, in_shardings=(where,), out_shardings=where, donate_argnums=0)
            self._stages[number] = Stage(phases, average)
        return self._stages[number]

    def _draw(self, state: GanState, start: int, count: int, purpose: int, labels: np.ndarray) -> np.ndarray:
        """Waveforms [count, samples] in chunks of one compiled size."""
        size = self._settings.batch_size // self._settings.accumulation
        stage, alpha = self._gan.growth.at(int(state.step) * self._settings.batch_size)
        variables = {**state.ema, "growth": {"alpha": np.float32(alpha)}}
        chunks = [
            self._render(variables, np.int32(first), labels[(first + np.arange(size)) % len(labels)], purpose, stage)
            for first in range(start, start + count, size)
        ]
        return np.concatenate([np.asarray(chunk) for chunk in chunks])[:count]

    def _rendered(self, variables: Any, start: Array, labels: Array, purpose: int, stage: int) -> Array:
        """Waveforms [size, samples] of latents `start` and following; a latent has its own key, and so its noise."""
        gan, size = self._gan.at(stage), len(labels)
        key = jax.random.fold_in(jax.random.key(self._seed), purpose)
        items = start + jnp.arange(size, dtype=jnp.int32)
        keys = jax.vmap(lambda item: jax.random.split(jax.random.fold_in(key, item)))(items)
        z = shard_batch(jax.vmap(lambda k: jax.random.normal(k, (gan.generator.z_dim,)))(keys[:, 0]), self._mesh)
        x = apply(gan.generator, variables, z, labels if self._num_labels else None, keys[:, 1])
        return gan.representation.decode(gan.upsample(shard_batch(x, self._mesh)), jax.random.fold_in(key, start))
