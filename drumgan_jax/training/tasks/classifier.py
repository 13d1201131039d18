"""The task of a classifier of sounds on the labels of a data set."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from drumgan_jax.audio.augmentation import Augmentation
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import StateLayout, batch_sharding, local_rows, replicated
from drumgan_jax.core.settings import build_part, read_section, read_seed
from drumgan_jax.data.dataset import Batch, Dataset
from drumgan_jax.evaluation.classification import classification_report, confusion_picture, tally
from drumgan_jax.runs.settings import AdamSettings, TrainSettings
from drumgan_jax.systems.classifier import Classifier, build_classifier
from drumgan_jax.training.averages import ema_decay, lazy_adam, lerp, tree_norm
from drumgan_jax.training.task import Evaluation, Evaluator, Metrics

Array = jax.Array
KEYS = ("waveforms", "labels")
SPLIT = "test"
# Purposes of random keys.
INIT, AUGMENT, DROPOUT = range(3)


@flax.struct.dataclass
class ClassifierState:
    """Everything that training goes on from.

    Attributes:
        step: steps done [].
        seed: the run's seed [].
        params: the network's.
        batch_stats: its running means and variances.
        optimizer: Adam's moments.
        ema: moving averages, {"params", "batch_stats"}.
    """

    step: Array
    seed: Array
    params: Any
    batch_stats: Any
    optimizer: Any
    ema: Any


@dataclasses.dataclass(frozen=True)
class ClassifierTaskSettings:
    """Section `task`.

    Attributes:
        balanced: whether every class in a batch weighs the same in its loss, however many examples it has.
    """

    balanced: bool = True


def build_classifier_task(config: Mapping[str, Any], mesh: Mesh) -> "ClassifierTask":
    """The task of a frozen config (drumgan_jax.training.run).

    Raises:
        BadInput: a section is unfit, or the data set has no labels.
    """
    section = {name: value for name, value in config["task"].items() if name != "kind"}
    settings = read_section(config, "train", TrainSettings)
    if settings.accumulation != 1:
        raise BadInput(f"config.train.accumulation is {settings.accumulation}; a classifier takes 1 only.")
    if settings.compute_dtype not in ("auto", "float32"):
        raise BadInput(f"config.train.compute_dtype is {settings.compute_dtype!r}; a classifier takes float32 only.")
    return ClassifierTask(
        classifier=build_classifier(config, config["labels"]),
        augmentation=build_part({"": Augmentation}, {"kind": "", **config.get("augmentation", {})}, "augmentation"),
        balanced=read_section({"task": section}, "task", ClassifierTaskSettings).balanced,
        settings=settings,
        adam=read_section(config, "optimizer.classifier", AdamSettings),
        seed=read_seed(config),
        mesh=mesh,
    )


class ClassifierTask:
    """Cross-entropy by Adam on randomly changed sounds; the split "test" says how good the moving average is.

    Args:
        classifier: the parts.
        augmentation: how sounds are changed in training.
        balanced: see ClassifierTaskSettings.
        settings: section `train`.
        adam: the optimiser's settings.
        seed: the run's seed.
        mesh: the devices.
    """

    def __init__(
        self,
        classifier: Classifier,
        augmentation: Augmentation,
        balanced: bool,
        settings: TrainSettings,
        adam: AdamSettings,
        seed: int,
        mesh: Mesh,
    ):
        self._classifier = classifier
        self._augmentation = augmentation
        self._balanced = balanced
        self._settings = settings
        self._rate = adam.learning_rate
        self._seed = seed
        self._mesh = mesh
        self._optimizer = lazy_adam(adam, ())

        self._layout = StateLayout(mesh, self._init)
        self._advance = self._layout.compile_step(self._stepped)
        self._tally = jax.jit(
            lambda ema, batch: tally(classifier, ema, batch["waveforms"], batch["labels"], batch["valid"]),
            in_shardings=(self._layout.shardings.ema, batch_sharding(mesh)),
            out_shardings=replicated(mesh),
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that a step reads."""
        return KEYS

    @property
    def shapes(self) -> ClassifierState:
        """The state as jax.ShapeDtypeStruct with shardings."""
        return self._layout.shapes

    def init(self) -> ClassifierState:
        """The state before the first step."""
        return self._layout.make()

    def step(self, state: ClassifierState, batch: Mapping[str, Array], step: int) -> tuple[ClassifierState, Metrics]:
        """One iteration; see drumgan_jax.training.task."""
        state, metrics = self._advance(state, dict(batch))
        return state, metrics | {"learning_rate/classifier": self._rate}

    def summarize(self, state: ClassifierState) -> None:
        """Nothing: a classifier makes no sounds."""

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """Scores accuracy, error and loss of the moving average on the whole split "test".

        Raises:
            BadInput: the data set has no such split.
        """
        try:
            dataset.source(SPLIT)
        except BadInput as problem:
            raise BadInput(
                f"{dataset.directory} has no split {SPLIT!r} to evaluate on; prepare it with"
                " config.preparation.test_fraction or test_sources, or set config.evaluation.every to 0."
            ) from problem
        size, where = self._settings.batch_size, batch_sharding(self._mesh)
        rows = local_rows(self._mesh, size)
        names = self._classifier.label_names

        def evaluate(state: ClassifierState) -> Evaluation:
            confusion, loss = np.zeros((len(names), len(names)), np.int64), 0.0
            for batch in whole_split(dataset, SPLIT, size, rows):
                placed = {
                    key: jax.make_array_from_process_local_data(where, value, (size, *value.shape[1:]))
                    for key, value in batch.items()
                }
                counts, nats = self._tally(state.ema, placed)
                confusion += np.asarray(counts)
                loss += float(nats)
            report = classification_report(confusion, loss / confusion.sum(), names)
            scores = {"accuracy": report["accuracy"], "error": 1.0 - report["accuracy"], "loss": report["loss"]}
            return Evaluation(scores, {"split": SPLIT, **report}, {"confusion": confusion_picture(confusion, names)})

        return evaluate

    # Compiled parts

    def _init(self) -> ClassifierState:
        variables = self._classifier.init(self._key(jnp.asarray(self._seed, jnp.uint32), 0, INIT))
        params, batch_stats = variables["params"], variables.get("batch_stats", {})
        return ClassifierState(
            step=jnp.zeros((), jnp.int32),
            seed=jnp.asarray(self._seed, jnp.uint32),
            params=params,
            batch_stats=batch_stats,
            optimizer=self._optimizer.init(params),
            ema={"params": params, "batch_stats": batch_stats},
        )

    def _stepped(self, state: ClassifierState, batch: dict[str, Array]) -> tuple[ClassifierState, Metrics]:
        bands = self._augmentation(
            batch["waveforms"], self._classifier.front_end, self._key(state.seed, state.step, AUGMENT)
        )

        def loss(params: Any) -> tuple[Array, tuple[Array, Any]]:
            (logits, _), changed = self._classifier.network.apply(
                {"params": params, "batch_stats": state.batch_stats},
                bands,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": self._key(state.seed, state.step, DROPOUT)},
            )
            value = weighted_cross_entropy(logits, batch["labels"], self._balanced)
            return value, (logits, changed.get("batch_stats", {}))

        (value, (logits, batch_stats)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        updates, optimizer = self._optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        s = self._settings
        keep = ema_decay(state.step, s.batch_size, s.ema_half_life_images, s.ema_rampup)
        ema = lerp(state.ema, {"params": params, "batch_stats": batch_stats}, keep)
        right = jnp.argmax(logits, axis=-1) == jnp.argmax(batch["labels"], axis=-1)
        metrics = {
            "loss/classifier": value,
            "accuracy/train": jnp.mean(right.astype(jnp.float32)),
            "norm/classifier_gradient": tree_norm(gradient),
            "norm/classifier_update": tree_norm(updates),
        }
        state = ClassifierState(state.step + 1, state.seed, params, batch_stats, optimizer, ema)
        return state, metrics

    def _key(self, seed: Array, step: Array | int, purpose: int) -> Array:
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), step), purpose)


def weighted_cross_entropy(logits: Array, labels: Array, balanced: bool) -> Array:
    """Mean cross-entropy [] in nats of logits [batch, labels] and one-hot labels; of class means where balanced."""
    losses = optax.softmax_cross_entropy(logits, labels)
    if not balanced:
        return jnp.mean(losses)
    of_class = jnp.sum(labels, axis=0)
    weights = jnp.sum(labels / jnp.maximum(of_class, 1.0), axis=1) / jnp.sum((of_class > 0).astype(jnp.float32))
    return jnp.sum(weights * losses)


def whole_split(dataset: Dataset, split: str, size: int, rows: np.ndarray) -> Iterator[Batch]:
    """Rows `rows` of batches of `size` with each example of a split once, in order.

    Besides KEYS they have `valid` [rows]: 0 where the last batch is filled with its first example.
    """
    source = dataset.source(split)
    for start in range(0, len(source), size):
        items = start + rows
        inside = items < len(source)
        records = [source[int(item)] for item in np.where(inside, items, start)]
        parsed = [dataset.parse(record, KEYS) for record in records]
        yield {key: np.stack([one[key] for one in parsed]) for key in KEYS} | {"valid": inside.astype(np.float32)}
