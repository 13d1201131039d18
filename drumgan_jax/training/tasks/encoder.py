"""The task of an encoder into the latent space of a trained generator, on that generator's sounds alone."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from drumgan_jax.audio.representations import build_representation, differences
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import StateLayout, replicated, shard_batch
from drumgan_jax.core.settings import read_section, read_seed, require_real, require_whole
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.evaluation.encoding import FIGURES, latent_scores, sound_figures
from drumgan_jax.runs.config import vocoder_of
from drumgan_jax.runs.load import TrainedGan, load_gan
from drumgan_jax.runs.settings import AdamSettings, EvaluationSettings, TrainSettings
from drumgan_jax.systems.encoder import Encoder, build_encoder
from drumgan_jax.training.averages import ema_decay, lazy_adam, lerp, tree_norm
from drumgan_jax.training.task import Evaluation, Evaluator, Metrics, Summary

Array = jax.Array
# Purposes of random keys.
INIT, TRAIN, SUMMARY, SAMPLE, REAL = range(5)


@flax.struct.dataclass
class EncoderState:
    """Everything that training goes on from.

    Attributes:
        step: steps done [].
        seed: the run's seed [].
        params: the encoder's.
        batch_stats: its running means and variances.
        optimizer: Adam's moments.
        frozen: the generator, {"variables", "stage": []}: a part of the state, so that no program has it as a constant
            and a run goes on with the generator that it began with.
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
        num_latents: how many different z are drawn, one after the other and then again; 0 never repeats one. Labels
            are those of the data set's examples, in its order.
        latent_weight: of the mean squared error of w.
        spectral_weight: of the mean squared error between the views of the sounds that the true and the predicted w
            make; 0 makes only the former.
    """

    run: str
    step: str = "last"
    num_latents: int = 0
    latent_weight: float = 1.0
    spectral_weight: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.run, str) or not self.run:
            raise BadInput("config.task.run is empty; give the run directory of a trained GAN.")
        require_whole("task", self, 0, "num_latents")
        require_real("task", self, 0, 1_000_000, "latent_weight", "spectral_weight")
        if not (self.latent_weight or self.spectral_weight):
            raise BadInput("config.task.latent_weight and spectral_weight are both 0; give one of them.")


def build_encoder_task(config: Mapping[str, Any], mesh: Mesh) -> "EncoderTask":
    """The task of a frozen config (drumgan_jax.training.run).

    Raises:
        BadInput: a section is unfit, or the generator's run is missing, of another task, or of another representation
            or other labels than the data set.
    """
    section = {name: value for name, value in config["task"].items() if name != "kind"}
    task = read_section({"task": section}, "task", EncoderTaskSettings)
    settings = read_section(config, "train", TrainSettings)
    if settings.accumulation != 1:
        raise BadInput(f"config.train.accumulation is {settings.accumulation}; an encoder takes 1 only.")
    if settings.compute_dtype not in ("auto", "float32"):
        raise BadInput(f"config.train.compute_dtype is {settings.compute_dtype!r}; an encoder takes float32 only.")
    trained = load_gan(task.run, task.step, vocoder_of(config) or None)
    representation = build_representation(config["representation"])
    others = differences(representation, trained.gan.representation, seen=True)
    if others:
        raise BadInput(
            f"{task.run} makes sounds of another representation than config.representation, which differs in "
            f"{', '.join(others)}; give the run of a GAN of this one."
        )
    if trained.label_key and list(trained.label_names) != list(config["labels"]):
        raise BadInput(
            f"{task.run} knows the classes {', '.join(trained.label_names)}, and the data set has "
            f"{', '.join(config['labels']) or 'none'}; give a data set of the generator's classes."
        )
    return EncoderTask(
        trained=trained,
        encoder=build_encoder(config, trained.gan, len(trained.label_names)),
        task=task,
        settings=settings,
        adam=read_section(config, "optimizer.encoder", AdamSettings),
        num_summary=config["logging"]["num_samples"],
        evaluation=read_section(config, "evaluation", EvaluationSettings),
        seed=read_seed(config),
        mesh=mesh,
    )


class EncoderTask:
    """Adam on what an encoder's w is off, and on what the sounds made of it are; the generator does not change.

    Args:
        trained: the generator.
        encoder: the parts.
        task: section `task`.
        settings: section `train`.
        adam: the optimiser's settings.
        num_summary: sounds in a summary.
        evaluation: section `evaluation`.
        seed: the run's seed.
        mesh: the devices.
    """

    def __init__(
        self,
        trained: TrainedGan,
        encoder: Encoder,
        task: EncoderTaskSettings,
        settings: TrainSettings,
        adam: AdamSettings,
        num_summary: int,
        evaluation: EvaluationSettings,
        seed: int,
        mesh: Mesh,
    ):
        self._trained = trained
        self._gan = trained.gan
        self._stage = 0 if trained.gan.stage is None else trained.gan.stage
        self._encoder = encoder
        self._task = task
        self._settings = settings
        self._rate = adam.learning_rate
        self._num_summary = num_summary
        self._evaluation = evaluation
        self._seed = seed
        self._mesh = mesh
        self._optimizer = lazy_adam(adam, ())
        self._same_stage = False

        self._layout = StateLayout(mesh, self._init)
        self._advance = self._layout.compile_step(self._stepped)
        whole = replicated(mesh)
        self._remake = jax.jit(self._remade, out_shardings=whole)
        self._resynthesize = jax.jit(self._resynthesized, out_shardings=whole)

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that a step reads: the labels; of a generator without any, examples that it ignores."""
        return (self._trained.label_key or "x",)

    @property
    def shapes(self) -> EncoderState:
        """The state as jax.ShapeDtypeStruct with shardings."""
        return self._layout.shapes

    def init(self) -> EncoderState:
        """The state before the first step."""
        frozen = {"variables": self._trained.variables, "stage": np.int32(self._stage)}
        state = self._layout.make()
        digest = jax.device_put(self._trained.digest, self._layout.shardings.ema["generator"])
        return dataclasses.replace(
            state, frozen=jax.device_put(frozen, self._layout.shardings.frozen), ema={**state.ema, "generator": digest}
        )

    def step(self, state: EncoderState, batch: Mapping[str, Array], step: int) -> tuple[EncoderState, Metrics]:
        """One iteration; see drumgan_jax.training.task."""
        self._check_stage(state)
        state, metrics = self._advance(state, dict(batch))
        return state, metrics | {"learning_rate/encoder": self._rate}

    def summarize(self, state: EncoderState) -> Summary:
        """Sounds of fixed latents, their labels taking turns, each followed by what is made of its encoding."""
        count = max(1, self._num_summary // 2)
        labels = np.eye(max(len(self._trained.label_names), 1), len(self._trained.label_names), dtype=np.float32)
        made = list(self._generated(state, labels, count, SUMMARY))
        pairs = np.concatenate([np.stack([one["original"], one["decoded"]], axis=1) for one in made])[:count]
        return Summary(pairs.reshape(-1, pairs.shape[-1]), self._gan.representation.sample_rate)

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """Scores the moving average: its latents and sounds of fresh generated sounds, and its sounds of real ones.

        Real sounds are of the split "test", or of "train" where there is none. Scores are "latent/..." and
        "generated/...", and with the split's name those of evaluation.encoding.FIGURES.
        """
        split = dataset.held_out
        count, key = self._evaluation.num_samples, self._trained.label_key
        labels = dataset.labels(split, count, key) if key else np.zeros((1, 0), np.float32)

        def evaluate(state: EncoderState) -> Evaluation:
            wanted, found = [], []

            def generated() -> Iterator[tuple[np.ndarray, np.ndarray]]:
                for made in self._generated(state, labels, count, SAMPLE):
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

    # Compiled parts

    def _init(self) -> EncoderState:
        variables = self._encoder.init(jax.random.fold_in(jax.random.key(self._seed), INIT))
        params, batch_stats = variables["params"], variables.get("batch_stats", {})
        # Stand-ins for what `init` puts there: traced as arrays, they would be constants of the program.
        frozen = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self._trained.variables)
        return EncoderState(
            step=jnp.zeros((), jnp.int32),
            seed=jnp.asarray(self._seed, jnp.uint32),
            params=params,
            batch_stats=batch_stats,
            optimizer=self._optimizer.init(params),
            frozen={"variables": frozen, "stage": jnp.zeros((), jnp.int32)},
            ema={"params": params, "batch_stats": batch_stats, "generator": jnp.zeros((32,), jnp.uint8)},
        )

    def _stepped(self, state: EncoderState, batch: dict[str, Array]) -> tuple[EncoderState, Metrics]:
        s, task, generator = self._settings, self._task, state.frozen["variables"]
        items = state.step.astype(jnp.uint32) * s.batch_size + jnp.arange(s.batch_size, dtype=jnp.uint32)
        items = items % task.num_latents if task.num_latents else items
        w, noise, x = self._make(generator, state.seed, TRAIN, items, batch.get(self._trained.label_key or ""))
        seen = self._encoder.view(x)

        def loss(params: Any) -> tuple[Array, tuple[Metrics, Any]]:
            predicted, changed = self._encoder.network.apply(
                {"params": params, "batch_stats": state.batch_stats}, seen, train=True, mutable=["batch_stats"]
            )
            latent = jnp.mean(jnp.square(predicted - w))
            metrics = {"loss/encoder": task.latent_weight * latent, "loss/latent": latent}
            if task.spectral_weight:
                again = self._encoder.view(self._synthesize(generator, predicted, noise))
                metrics["loss/spectral"] = jnp.mean(jnp.square(again - seen))
                metrics["loss/encoder"] += task.spectral_weight * metrics["loss/spectral"]
            return metrics["loss/encoder"], (metrics, changed.get("batch_stats", {}))

        gradient, (metrics, batch_stats) = jax.grad(loss, has_aux=True)(state.params)
        updates, optimizer = self._optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        keep = ema_decay(state.step, s.batch_size, s.ema_half_life_images, s.ema_rampup)
        old = {name: state.ema[name] for name in ("params", "batch_stats")}
        ema = lerp(old, {"params": params, "batch_stats": batch_stats}, keep)
        metrics["norm/encoder_gradient"] = tree_norm(gradient)
        metrics["norm/encoder_update"] = tree_norm(updates)
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            optimizer=optimizer,
            ema={**ema, "generator": state.ema["generator"]},
        )
        return state, metrics

    def _remade(self, state: EncoderState, start: Array, labels: Array, purpose: Array) -> dict[str, Array]:
        """Latents `start` and following of a fixed sequence, their sounds, and what the encoder makes of these.

        "w" and "predicted" [size, w_dim]; waveforms "original" and "decoded" [size, samples].
        """
        generator = state.frozen["variables"]
        items = start + jnp.arange(len(labels), dtype=jnp.uint32)
        w, noise, x = self._make(generator, state.seed, purpose, items, labels if self._trained.label_key else None)
        predicted = self._encoder.predict(state.ema, x)
        phases = jax.random.fold_in(_key_of(state.seed, purpose), start)
        original, decoded = (
            self._gan.representation.decode(one, phases) for one in (x, self._synthesize(generator, predicted, noise))
        )
        return {"w": w, "predicted": predicted, "original": original, "decoded": decoded}

    def _resynthesized(self, state: EncoderState, start: Array, waveforms: Array) -> Array:
        """Waveforms [size, samples] of the encodings of others, which are number `start` and following."""
        key, size = _key_of(state.seed, REAL), len(waveforms)
        noise = jax.vmap(lambda item: jax.random.fold_in(key, item))(start + jnp.arange(size, dtype=jnp.uint32))
        x = shard_batch(self._gan.representation.encode(waveforms), self._mesh)
        again = self._synthesize(state.frozen["variables"], self._encoder.predict(state.ema, x), noise)
        return self._gan.representation.decode(again, jax.random.fold_in(key, start))

    # What they are made of

    def _make(
        self, generator: Any, seed: Array, purpose: Array | int, items: Array, labels: Array | None
    ) -> tuple[Array, Array, Array]:
        """w [batch, w_dim], noise keys [batch] and examples [batch, freq, time, channels] of numbers [batch]."""
        key = _key_of(seed, purpose)
        keys = jax.vmap(lambda item: jax.random.split(jax.random.fold_in(key, item)))(items)
        network = self._gan.generator
        z = shard_batch(jax.vmap(lambda k: jax.random.normal(k, (network.z_dim,)))(keys[:, 0]), self._mesh)
        w = network.apply(generator, z, labels, method="map")[:, 0]
        return w, keys[:, 1], self._synthesize(generator, w, keys[:, 1])

    def _synthesize(self, generator: Any, w: Array, noise: Array) -> Array:
        """Whole examples [batch, freq, time, channels] of w [batch, w_dim], the same in all layers."""
        network = self._gan.generator
        ws = jnp.broadcast_to(w[:, None], (len(w), network.num_ws, network.w_dim))
        return shard_batch(self._gan.upsample(network.apply(generator, ws, noise, method="synthesize")), self._mesh)

    # On the host

    @property
    def _num_z(self) -> int:
        """Leading dimensions of w that are compared by direction: those of z where labels are joined with it."""
        return self._gan.generator.w_dim - getattr(self._encoder.network, "num_labels", 0)

    def _check_stage(self, state: EncoderState) -> None:
        """Refuse a state whose generator was less far grown, once a process; the compiled programs are of one stage."""
        if self._same_stage:
            return
        stage = int(jax.device_get(state.frozen["stage"]))
        if stage != self._stage:
            raise BadInput(
                f"{self._trained.run} has grown from stage {stage} to {self._stage} since this encoder's training"
                " began; give another --workdir, or as config.task.step one of that stage."
            )
        self._same_stage = True

    def _generated(
        self, state: EncoderState, labels: np.ndarray, count: int, purpose: int
    ) -> Iterator[dict[str, np.ndarray]]:
        """What `_remade` makes, in groups of one compiled size, until there are `count`; labels are used in turns."""
        size = self._settings.batch_size
        for start in range(0, count, size):
            rows = labels[(start + np.arange(size)) % len(labels)]
            made = self._remake(state, np.uint32(start), rows, np.uint32(purpose))
            yield {name: np.asarray(value) for name, value in made.items()}

    def _real(
        self, state: EncoderState, dataset: Dataset, split: str, count: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Recordings [size, samples] of a split and what is made of their encodings, in groups of one size."""
        size, start = self._settings.batch_size, 0
        for waveforms in dataset.waveforms(split, count, size):
            whole = waveforms[np.arange(size) % len(waveforms)]
            yield whole, np.asarray(self._resynthesize(state, np.uint32(start), whole))
            start += size


def _key_of(seed: Array, purpose: Array | int) -> Array:
    return jax.random.fold_in(jax.random.key(seed), purpose)


def _means(pairs: Iterable[tuple[np.ndarray, np.ndarray]], count: int) -> dict[str, float]:
    """Means of FIGURES over the first `count` pairs of waveforms [size, samples]."""
    figures = [np.asarray(sound_figures(reference, decoded), np.float64) for reference, decoded in pairs]
    return dict(zip(FIGURES, np.concatenate(figures, axis=1)[:, :count].mean(axis=1).tolist(), strict=True))
