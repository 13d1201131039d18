"""The task that trains an encoder into the latent space of a trained generator: on its sounds, and on recordings."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from drumgan_jax.audio.representations import build_representation, differences
from drumgan_jax.core.errors import BadInput, listed
from drumgan_jax.core.keys import Purpose, run_key, run_keys, sound_keys
from drumgan_jax.core.mesh import replicated, shard_batch
from drumgan_jax.core.settings import real, text, whole
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.evaluation.encoding import FIGURES, latent_scores, sound_figures
from drumgan_jax.latents.seeds import noise_of, z_of
from drumgan_jax.play.measure import reference_labels
from drumgan_jax.runs.load import TrainedGan, load_gan
from drumgan_jax.systems.encoder import Encoder, build_encoder
from drumgan_jax.systems.gan import Gan
from drumgan_jax.training.optimization import Player, moving_average
from drumgan_jax.training.task import Evaluation, Evaluator, Metrics, Summary
from drumgan_jax.training.tasks.skeleton import TaskContext, TaskSkeleton

Array = jax.Array


@flax.struct.dataclass
class EncoderState:
    """The whole state of a training run.

    Attributes:
        step: steps done [].
        seed: the run's seed [].
        params: the encoder's.
        batch_stats: its running means and variances.
        optimizer: Adam's moments.
        frozen: the generator, {"variables", "stage": []}. As a part of the state it is no constant of a compiled step,
            and a resumed run keeps the generator that it began with.
        ema: moving averages, {"params", "batch_stats"}, and "generator": the digest of the generator [32] uint8.
    """

    step: Array
    seed: Array
    params: Any
    batch_stats: Any
    optimizer: Any
    frozen: Any
    ema: Any


@dataclasses.dataclass(frozen=True)
class EncoderTaskSettings:
    """Section `task`.

    Attributes:
        run: the run directory of the generator.
        step: its checkpoint: "last", "best" or a number.
        num_latents: size of the set of z that training cycles through; 0 draws new z for ever. Labels are those of
            the data set's examples, in its order.
        latent_weight: weight of the mean squared error of w.
        spectral_weight: weight of the mean squared error between the views of two examples, synthesised from the true
            and from the predicted w; 0 skips the second synthesis.
        recording_weight: weight of the same error for the data set's recordings, whose true w nobody knows; 0 trains on
            generated sounds only, as the papers do.
    """

    run: str = text()
    step: str = text("last")
    num_latents: int = whole(0, 0)
    latent_weight: float = real(0.0, 1_000_000, 1.0)
    spectral_weight: float = real(0.0, 1_000_000, 0.0)
    recording_weight: float = real(0.0, 1_000_000, 0.0)

    def __post_init__(self) -> None:
        if not self.run:
            raise BadInput("config.task.run is empty; give the run directory of a trained GAN.")
        if not (self.latent_weight or self.spectral_weight or self.recording_weight):
            raise BadInput(
                "config.task.latent_weight, spectral_weight and recording_weight are all 0; give one of them."
            )


def build_encoder_task(config: Mapping[str, Any], mesh: Mesh) -> "EncoderTask":
    """The task of a frozen config (drumgan_jax.training.run).

    Raises:
        BadInput: a section is unfit, or the generator's run is missing, has another task, or has another representation
            or other labels than the data set.
    """
    context = TaskContext.of(config, mesh)
    task = context.task_settings(EncoderTaskSettings)
    context.require_whole_float32_batches("an encoder")
    trained = load_gan(task.run, task.step, config.get("decoder", {}).get("path") or None)
    representation = build_representation(config["representation"])
    others = differences(representation, trained.gan.representation, seen=True)
    if others:
        raise BadInput(
            f"{task.run} makes sounds of another representation than config.representation, which differs in "
            f"{', '.join(others)}; give the run of a GAN of this one."
        )
    if trained.label_key and list(trained.label_names) != list(config["labels"]):
        raise BadInput(
            f"{task.run} knows the classes {listed(trained.label_names)}, and the data set has "
            f"{listed(config['labels']) or 'none'}; give a data set of the generator's classes."
        )
    if trained.conditions.attributes.names and config.get("attributes") != trained.config["attributes"]:
        raise BadInput(
            f"{task.run} was trained with attributes of another data set; train its encoder on the generator's own."
        )
    encoder = build_encoder(config, trained.gan, len(trained.label_names))
    return EncoderTask(context, trained, encoder, task, context.player("encoder"))


@dataclasses.dataclass(frozen=True, eq=False)
class EncoderTask(TaskSkeleton):
    """Adam on the errors of an encoder's w and of the examples synthesised from it. The generator does not change.

    Attributes:
        context: see TaskContext.
        trained: the generator.
        encoder: the parts.
        task: section `task`.
        player: the encoder's optimiser.
    """

    trained: TrainedGan
    encoder: Encoder
    task: EncoderTaskSettings
    player: Player

    @property
    def gan(self) -> Gan:
        """The generator's parts."""
        return self.trained.gan

    @property
    def _stage(self) -> int:
        return 0 if self.gan.stage is None else self.gan.stage

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that a step reads: what conditions, and the examples, if only for their number."""
        of_classes = (self.trained.label_key,) if self.trained.label_key else ()
        named = (*of_classes, *(("attributes",) if self.trained.conditions.attributes.names else ()))
        return (*named, "x") if self.task.recording_weight or not named else named

    @functools.cached_property
    def compiled_steps(self) -> dict[str, Any]:
        """The only step."""
        return {"encoder": self.layout.compile_step(self._stepped)}

    def init(self) -> EncoderState:
        """The state before the first step."""
        frozen = {"variables": self.trained.variables, "stage": np.int32(self._stage)}
        state = self.layout.make()
        digest = jax.device_put(self.trained.digest, self.layout.shardings.ema["generator"])
        return dataclasses.replace(
            state, frozen=jax.device_put(frozen, self.layout.shardings.frozen), ema={**state.ema, "generator": digest}
        )

    def step(self, state: EncoderState, batch: Mapping[str, Array], step: int) -> tuple[EncoderState, Metrics]:
        """One iteration; see drumgan_jax.training.task."""
        self._check_stage(state)
        state, metrics = self.compiled_steps["encoder"](state, dict(batch))
        return state, metrics | self.player.learning_rate(step * self.context.settings.batch_size)

    def summarize(self, state: EncoderState) -> Summary:
        """Sounds of the first seeds, labels taking turns, each followed by the sound of its encoding."""
        count = max(1, self.context.num_summary // 2)
        labels = self.trained.conditions.one_of_each()
        made = list(self._generated(state, labels, count))
        pairs = np.concatenate([np.stack([one["original"], one["decoded"]], axis=1) for one in made])[:count]
        return Summary(pairs.reshape(-1, pairs.shape[-1]), self.gan.representation.sample_rate)

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """Scores the moving average on generated sounds (latents and reconstructions) and real ones (reconstructions).

        Real sounds are from the split "test", or "train" if there is none. Scores are "latent/...", and
        evaluation.encoding.FIGURES under "generated/..." and under the split's name.
        """
        split = dataset.held_out
        count = self.context.evaluation.num_samples
        labels = reference_labels(dataset, self.trained.label_names, self.trained.config, split, count)

        def evaluate(state: EncoderState) -> Evaluation:
            wanted, found = [], []

            def generated() -> Iterator[tuple[np.ndarray, np.ndarray]]:
                for made in self._generated(state, labels, count):
                    wanted.append(made["w"])
                    found.append(made["predicted"])
                    yield made["original"], made["decoded"]

            figures = {"generated": _means(generated(), count)}
            real = min(count, dataset.num_examples(split))
            figures[split] = _means(self._real(state, dataset, split, real), real)
            latent = latent_scores(np.concatenate(wanted)[:count], np.concatenate(found)[:count], self._num_z)
            scores = {f"latent/{name}": value for name, value in latent.items()}
            for side, means in figures.items():
                scores |= {f"{side}/{name}": value for name, value in means.items()}
            return Evaluation(scores, {"split": split, "generated_sounds": count, "real_sounds": real, **scores})

        return evaluate

    def initial_state(self) -> EncoderState:
        """See TaskSkeleton."""
        variables = self.encoder.init(run_key(self.context.seed, Purpose.NETWORK_INIT))
        params, batch_stats = variables["params"], variables.get("batch_stats", {})
        # Stand-ins for the variables that `init` puts there: traced as arrays, they would be constants of the program.
        frozen = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.trained.variables)
        return EncoderState(
            step=jnp.zeros((), jnp.int32),
            seed=jnp.asarray(self.context.seed, jnp.uint32),
            params=params,
            batch_stats=batch_stats,
            optimizer=self.player.init(params),
            frozen={"variables": frozen, "stage": jnp.zeros((), jnp.int32)},
            ema={"params": params, "batch_stats": batch_stats, "generator": jnp.zeros((32,), jnp.uint8)},
        )

    # Compiled parts

    def _stepped(self, state: EncoderState, batch: dict[str, Array]) -> tuple[EncoderState, Metrics]:
        settings, task, generator = self.context.settings, self.task, state.frozen["variables"]
        size = settings.batch_size
        items = state.step.astype(jnp.uint32) * size + jnp.arange(size, dtype=jnp.uint32)
        items = items % task.num_latents if task.num_latents else items
        z_keys, noise = (
            run_keys(state.seed, purpose, 0, items) for purpose in (Purpose.ENCODER_LATENTS, Purpose.ENCODER_NOISE)
        )
        z = jax.vmap(lambda key: jax.random.normal(key, (self.gan.generator.z_dim,)))(z_keys)
        w = self._map(generator, z, self._labels(batch))
        views = [self.encoder.view(self._synthesize(generator, w, noise))]
        if task.recording_weight:
            views.append(self.encoder.view(self.gan.representation.normalize(batch["x"])))

        def loss(params: Any) -> tuple[Array, tuple[Metrics, Any]]:
            # Together, so that the running statistics of batch normalisation are those of both.
            predicted, changed = self.encoder.network.apply(
                {"params": params, "batch_stats": state.batch_stats},
                jnp.concatenate(views),
                train=True,
                mutable=["batch_stats"],
            )
            metrics = {"loss/latent": jnp.mean(jnp.square(predicted[:size] - w))}
            total = task.latent_weight * metrics["loss/latent"]
            weighted = (("spectral", task.spectral_weight), ("recordings", task.recording_weight))
            for part, (name, weight) in enumerate(weighted):
                if weight:
                    again = self._synthesize(generator, predicted[part * size : (part + 1) * size], noise)
                    metrics[f"loss/{name}"] = jnp.mean(jnp.square(self.encoder.view(again) - views[part]))
                    total += weight * metrics[f"loss/{name}"]
            return total, ({"loss/encoder": total, **metrics}, changed.get("batch_stats", {}))

        gradient, (metrics, batch_stats) = jax.grad(loss, has_aux=True)(state.params)
        params, optimizer, norms = self.player.descend(state.params, state.optimizer, gradient, state.step * size)
        old = {name: state.ema[name] for name in ("params", "batch_stats")}
        ema = moving_average(settings, state.step, old, {"params": params, "batch_stats": batch_stats})
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            optimizer=optimizer,
            ema={**ema, "generator": state.ema["generator"]},
        )
        return state, metrics | norms

    def _remade(self, state: EncoderState, seeds: Array, labels: Array) -> dict[str, Array]:
        """The sounds of seeds, as an instrument renders them, and the sounds of their encodings.

        "w" and "predicted" [size, w_dim]; waveforms "original" and "decoded" [size, samples].
        """
        generator, network = state.frozen["variables"], self.gan.generator
        noise = tuple(noise_of(seeds, network.noise_sizes))
        w = self._map(generator, z_of(seeds, network.z_dim), labels if self.trained.conditions.names else None)
        x = self._synthesize(generator, w, noise)
        predicted = self.encoder.predict(state.ema, x)
        phases = sound_keys(seeds, Purpose.PHASE)
        original, decoded = (
            self.gan.decoder.decode(one, phases) for one in (x, self._synthesize(generator, predicted, noise))
        )
        return {"w": w, "predicted": predicted, "original": original, "decoded": decoded}

    def _resynthesized(self, state: EncoderState, seeds: Array, waveforms: Array) -> Array:
        """Reconstructions [size, samples] of recordings [size, samples], with noise and phases of seeds [size]."""
        x = shard_batch(self.gan.representation.encode(waveforms), self.context.mesh)
        noise = tuple(noise_of(seeds, self.gan.generator.noise_sizes))
        again = self._synthesize(state.frozen["variables"], self.encoder.predict(state.ema, x), noise)
        return self.gan.decoder.decode(again, sound_keys(seeds, Purpose.PHASE))

    @functools.cached_property
    def _remake(self) -> Any:
        return jax.jit(self._remade, out_shardings=replicated(self.context.mesh))

    @functools.cached_property
    def _resynthesize(self) -> Any:
        return jax.jit(self._resynthesized, out_shardings=replicated(self.context.mesh))

    def _labels(self, batch: Mapping[str, Array]) -> Array | None:
        """What conditions the generator [batch, labels], of a batch; None without classes and attributes."""
        parts = [batch[key] for key in self.keys if key != "x"]
        if columns := self._attribute_columns:
            parts[-1] = parts[-1][:, jnp.asarray(columns)]
        return jnp.concatenate(parts, axis=1) if parts else None

    def _map(self, generator: Any, z: Array, labels: Array | None) -> Array:
        """w [batch, w_dim] of z [batch, z_dim] and labels [batch, labels]."""
        return self.gan.map(generator, shard_batch(z, self.context.mesh), labels)[:, 0]

    def _synthesize(self, generator: Any, w: Array, noise: Any) -> Array:
        """Whole examples [batch, freq, time, channels] of w [batch, w_dim], the same in all layers."""
        network = self.gan.generator
        ws = jnp.broadcast_to(w[:, None], (len(w), network.num_ws, network.w_dim))
        return shard_batch(self.gan.synthesize(generator, ws, noise), self.context.mesh)

    # On the host

    @property
    def _attribute_columns(self) -> tuple[int, ...]:
        """Columns of the generator's attributes among those of a batch."""
        names = self.trained.conditions.attributes.names
        return tuple(self.trained.config["attributes"]["names"].index(name) for name in names)

    @property
    def _num_z(self) -> int:
        """Leading dimensions of w that are compared by direction; labels joined with z are left out."""
        generator = self.gan.generator
        return generator.w_dim if generator.learns_w else generator.z_dim

    @functools.cached_property
    def _checked(self) -> list[bool]:
        """Not empty once a state's stage was checked."""
        return []

    def _check_stage(self, state: EncoderState) -> None:
        """Refuse a generator at another stage of growth, once a process: compiled steps are for one stage."""
        if self._checked:
            return
        stage = int(jax.device_get(state.frozen["stage"]))
        if stage != self._stage:
            raise BadInput(
                f"{self.trained.run} has grown from stage {stage} to {self._stage} since this encoder's training"
                " began; give another --workdir, or as config.task.step one of that stage."
            )
        self._checked.append(True)

    def _generated(self, state: EncoderState, labels: np.ndarray, count: int) -> Iterator[dict[str, np.ndarray]]:
        """Results of `_remade` for the first `count` seeds, in groups of one size; labels take turns."""
        size = self.context.settings.batch_size
        for start in range(0, count, size):
            rows = labels[(start + np.arange(size)) % len(labels)]
            made = self._remake(state, np.arange(start, start + size, dtype=np.uint32), rows)
            yield {name: np.asarray(value) for name, value in made.items()}

    def _real(
        self, state: EncoderState, dataset: Dataset, split: str, count: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Recordings [size, samples] of a split and their reconstructions, in groups of one size."""
        size, start = self.context.settings.batch_size, 0
        for waveforms in dataset.waveforms(split, count, size):
            whole = waveforms[np.arange(size) % len(waveforms)]
            yield whole, np.asarray(self._resynthesize(state, np.arange(start, start + size, dtype=np.uint32), whole))
            start += size


def _means(pairs: Iterable[tuple[np.ndarray, np.ndarray]], count: int) -> dict[str, float]:
    """Means of FIGURES over the first `count` pairs of waveforms [size, samples]."""
    figures = [np.asarray(sound_figures(reference, decoded), np.float64) for reference, decoded in pairs]
    return dict(zip(FIGURES, np.concatenate(figures, axis=1)[:, :count].mean(axis=1).tolist(), strict=True))
