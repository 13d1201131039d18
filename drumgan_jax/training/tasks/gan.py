"""The task that trains a generator against a discriminator, whatever their kinds."""

import bisect
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from drumgan_jax.audio.data_augmentation import NoDataAugmentation
from drumgan_jax.audio.spectrograms import Complex
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.keys import Purpose, run_key
from drumgan_jax.core.mesh import batch_sharding, platform_of
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.latents.conditions import Conditions
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.systems.feature_networks import load_weights
from drumgan_jax.systems.gan import Gan, GanTaskSettings, build_gan
from drumgan_jax.training.optimization import Player
from drumgan_jax.training.task import Evaluation, Evaluator, Metrics, Summary
from drumgan_jax.training.tasks.another_run import started_from
from drumgan_jax.training.tasks.components import components_of
from drumgan_jax.training.tasks.gan_steps import PLAYERS, GanState, Steps
from drumgan_jax.training.tasks.skeleton import TaskContext, TaskSkeleton

Array = jax.Array


def build_gan_task(config: Mapping[str, Any], mesh: Mesh) -> "GanTask":
    """The task of a frozen config (drumgan_jax.training.run).

    Raises:
        BadInput: a section is unfit, the networks are to be conditional and the data set has no labels or attributes,
            the data are changed so that their attributes are no longer theirs, or the decoder cannot be used.
    """
    context = TaskContext.of(config, mesh)
    task = context.task_settings(GanTaskSettings)
    label_names = tuple(config["labels"]) if task.conditional else ()
    if task.conditional and not label_names:
        raise BadInput("config.task.conditional is true but the data set has no labels; prepare it with labels.")
    conditions = Conditions.of(config, label_names)
    gan = build_gan(config, len(label_names), platform_of(mesh))
    gan.growth.check(context.settings.batch_size)
    changed = not isinstance(gan.data_augmentation, NoDataAugmentation)
    if task.attributes and changed and not gan.data_augmentation.reconstructions_only:
        raise BadInput(
            "config.data_augmentation changes the recordings, whose attributes were measured before; set its "
            "reconstructions_only, its kind to none, or config.task.attributes to ()."
        )
    if task.consistent and not isinstance(gan.representation, Complex):
        raise BadInput(
            "config.task.consistent is true, but config.representation.kind is not complex; set it to false."
        )
    return GanTask(context, gan, label_names, task, conditions)


class Stage(NamedTuple):
    """The compiled parts of a stage.

    Attributes:
        phases: of an iteration with their names and intervals, in order.
        average: its end.
    """

    phases: list[tuple[str, int, Any]]
    average: Callable[[GanState], GanState]


@dataclasses.dataclass(frozen=True, eq=False)
class GanTask(TaskSkeleton):
    """Steps of a generator and a discriminator, and of regularisers that run less often (lazily).

    One iteration is: generator, its lazy regularisers, discriminator, its lazy regularisers, averages; each with
    fresh latents (PARITY 21), each compiled on its own. A lazy regulariser runs when `step` is a multiple of its
    interval, its loss multiplied by the interval. Fakes have the labels of the batch's real examples, so their
    frequencies are the data set's. Unlike the reference, the task does not repair gradients that are not finite: their
    norms are logged, and the loop stops.

    If the networks grow, each stage's phases are compiled when it begins. The state has all stages' parameters from
    the start. Modules that a stage does not use keep their parameters and moments; new ones begin with fresh moments.

    Attributes:
        context: see TaskContext.
        gan: the parts.
        label_names: classes that the networks are conditioned on; empty for none.
        task: section `task`.
        conditions: these classes, and attributes.
    """

    gan: Gan
    label_names: tuple[str, ...]
    task: GanTaskSettings
    conditions: Conditions = dataclasses.field(default_factory=lambda: Conditions(()))

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that a step reads."""
        examples = "x" if isinstance(self.gan.data_augmentation, NoDataAugmentation) else "waveforms"
        of_classes = (self._label_key,) if self.label_names else ()
        return (examples, *of_classes, *(("attributes",) if self.task.attributes else ()))

    @functools.cached_property
    def players(self) -> dict[str, Player]:
        """Both networks' optimisers, by name."""
        lazy = {
            player: tuple(r.interval for r in self.gan.objective.regularizers if r.player == player and r.interval > 1)
            for player in PLAYERS
        }
        return {player: self.context.player(player, lazy[player]) for player in PLAYERS}

    @property
    def compiled_steps(self) -> dict[str, Any]:
        """Every phase of the last stage by name."""
        return {name: phase for name, _, phase in self._stage(self.gan.growth.num_stages - 1).phases}

    @property
    def intervals(self) -> dict[str, int]:
        """Steps from one run of a phase to its next, by the names of `compiled_steps`."""
        return {name: interval for name, interval, _ in self._stage(self.gan.growth.num_stages - 1).phases}

    def init(self) -> GanState:
        """The state before the first step, with the weights of the feature networks that the config names."""
        state = self.layout.make()
        feature_networks = self.context.config.get("feature_networks", {})
        loaded = {name: weights.variables for name, weights in load_weights(feature_networks).items()}
        where = {name: self.layout.shardings.frozen[name] for name in loaded}
        return dataclasses.replace(state, frozen={**state.frozen, **jax.device_put(loaded, where)})

    def begin(self, dataset: Dataset) -> GanState:
        """See training.task.Task: the networks of another run, or principal components if the generator has any."""
        state = self.init()
        if self.task.start_from:
            return started_from(self.task.start_from, self.label_names, state, self.shapes)
        start_from = getattr(self.gan.generator, "start_from", None)
        if start_from is None:
            return state
        context, soft = self.context, self.task.soft_labels
        components = components_of(
            self.gan, dataset, self.label_names, soft, context.settings, context.seed, self._attribute_columns
        )
        begun = start_from({"params": state.generator, "statistics": state.statistics}, components)
        where = self.layout.shardings
        return dataclasses.replace(
            state,
            generator=jax.device_put(begun["params"], where.generator),
            statistics=jax.device_put(begun["statistics"], where.statistics),
            # Arrays of its own, because a step donates the state.
            ema=jax.device_put(start_from(state.ema, components), where.ema),
        )

    def step(self, state: GanState, batch: Mapping[str, Array], step: int) -> tuple[GanState, Metrics]:
        """One iteration; see the class and drumgan_jax.training.task."""
        images = step * self.context.settings.batch_size
        number, alpha = self.gan.growth.at(images)
        stage = self._stage(number)
        metrics: Metrics = {}
        for _, interval, phase in stage.phases:
            if step % interval == 0:
                state, of_phase = phase(state, self._named(batch))
                metrics |= of_phase
        if self.gan.growth.num_stages > 1:
            metrics |= {"growth/stage": float(number), "growth/alpha": alpha}
        for player in self.players.values():
            metrics |= player.learning_rate(images)
        return stage.average(state), metrics

    def traces(self, batch: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, Callable[[], jax.stages.Traced]]:
        """Every phase of every stage by name, those before the last with their stage; see TaskSkeleton."""
        named = self._named(batch)
        return {
            self._name(name, stage): functools.partial(phase.trace, self.layout.shapes, named)
            for stage in range(self.gan.growth.num_stages)
            for name, _, phase in self._stage(stage).phases
        }

    def runs(self, steps: int) -> dict[str, int]:
        """How often each program of `traces` runs in the first `steps` steps."""
        batch_size, stages = self.context.settings.batch_size, range(self.gan.growth.num_stages)

        def stage_of(step: int) -> int:
            return self.gan.growth.at(step * batch_size)[0]

        firsts = [bisect.bisect_left(range(steps), stage, key=stage_of) for stage in stages]
        return {
            self._name(name, stage): -(-end // interval) - -(-first // interval)
            for stage, first, end in zip(stages, firsts, [*firsts[1:], steps], strict=True)
            for name, interval, _ in self._stage(stage).phases
        }

    def instrument(self, state: GanState) -> Instrument:
        """The moving average as an instrument on the task's devices, without a digest: its latents cannot be saved."""
        settings = self.context.settings
        stage, alpha = self.gan.growth.at(int(state.step) * settings.batch_size)
        return Instrument(
            gan=self.gan.at(stage),
            variables={**state.ema, "growth": {"alpha": np.float32(alpha)}},
            label_names=self.label_names,
            step=int(state.step),
            config=self.context.config,
            model="",
            attributes=self.conditions.attributes,
            sharding=batch_sharding(self.context.mesh),
            # No more at once than in a step: the training state is on the devices too.
            group=max(1, settings.batch_size // settings.accumulation // self.context.mesh.size),
        )

    def summarize(self, state: GanState) -> Summary:
        """Sounds of the first seeds by the moving average, their labels taking turns."""
        count, rows = self.context.num_summary, self.conditions.one_of_each()
        labels = rows[np.arange(count) % len(rows)]
        sounds = self.instrument(state).sample(range(count), labels=labels)
        return Summary(sounds.waveforms, sounds.sample_rate)

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """Scores `evaluation.metrics` of the moving average's sounds, as `drumgan evaluate` does of a checkpoint."""
        # The metrics' own imports are paid only by runs that evaluate.
        from drumgan_jax.data.reference import dataset_side
        from drumgan_jax.evaluation.suite import Suite
        from drumgan_jax.play.measure import embed_generated, reference_labels

        settings = self.context.evaluation
        suite = Suite.of(settings.metrics, batch_sharding(self.context.mesh), representation=dataset.representation)
        # Never the split "test", whose figures are reported: the best checkpoint would be chosen by them.
        split = "validation" if "validation" in dataset.splits else "train"
        real = dataset_side(suite, dataset, settings.num_samples, split)
        labels = reference_labels(dataset, self.label_names, self.context.config, split, settings.num_samples)

        def evaluate(state: GanState) -> Evaluation:
            # A generator that has fallen silent is scored: its training goes on.
            fake = embed_generated(self.instrument(state), suite, labels, settings.num_samples, keep_silent_sounds=True)
            results = suite.compare(real, fake)
            return Evaluation(results.scores, {"figures": results.figures})

        return evaluate

    def initial_state(self) -> GanState:
        """See TaskSkeleton."""
        generator, discriminator, seed = self.gan.generator, self.gan.discriminator, self.context.seed
        # One row fits any minibatch group and any number of devices; no parameter depends on it.
        z = jnp.zeros((1, generator.z_dim))
        x = jnp.zeros((1, *self.gan.representation.shape))
        width = len(self.conditions.names)
        labels = jnp.zeros((1, width)) if width else None
        noise = run_key(seed, Purpose.NOISE_INIT)
        made = generator.init(run_key(seed, Purpose.GENERATOR_INIT), z, labels, noise)
        params, statistics = made["params"], made.get("statistics", {})
        critic = discriminator.init(run_key(seed, Purpose.DISCRIMINATOR_INIT), x, labels)
        return GanState(
            step=jnp.zeros((), jnp.int32),
            seed=jnp.asarray(seed, jnp.uint32),
            generator=params,
            discriminator=critic["params"],
            statistics=statistics,
            discriminator_statistics=critic.get("statistics", {}),
            frozen=critic.get("frozen", {}),
            objective={**self.gan.objective.initial_state(), **self.gan.augmentation.initial_state()},
            generator_optimizer=self.players["generator"].init(params),
            discriminator_optimizer=self.players["discriminator"].init(critic["params"]),
            ema={"params": params, "statistics": statistics},
        )

    @property
    def _label_key(self) -> str:
        return "soft_labels" if self.task.soft_labels else "labels"

    @property
    def _attribute_columns(self) -> tuple[int, ...]:
        """Columns of the data set's attributes that the networks are conditioned on."""
        names = self.task.attributes
        return tuple(self.context.config["attributes"]["names"].index(name) for name in names)

    def _named(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch with its labels, hard or soft, under the name "labels"."""
        return {"labels" if key == self._label_key else key: value for key, value in batch.items()}

    def _name(self, phase: str, stage: int) -> str:
        """Name of a phase of a stage."""
        return phase if stage == self.gan.growth.num_stages - 1 else f"{phase} of stage {stage}"

    @functools.cached_property
    def _stages(self) -> dict[int, Stage]:
        """Compiled stages, by number."""
        return {}

    def _stage(self, number: int) -> Stage:
        """A stage's compiled parts, made on first use."""
        if number not in self._stages:
            context = self.context
            gan, task = self.gan.at(number), self.task
            steps = Steps(
                gan=gan,
                stage=number,
                settings=context.settings,
                players=self.players,
                critic_steps=task.critic_steps,
                label_weight=task.label_weight,
                mesh=context.mesh,
                attributes=self._attribute_columns,
                neutral=tuple(self.conditions.neutral.tolist()),
                consistent=task.consistent,
            )
            where = self.layout.shardings
            phases = [(name, interval, self.layout.compile_step(step)) for name, interval, step in steps.phases()]
            average = jax.jit(steps.averaged, in_shardings=(where,), out_shardings=where, donate_argnums=0)
            self._stages[number] = Stage(phases, average)
        return self._stages[number]
