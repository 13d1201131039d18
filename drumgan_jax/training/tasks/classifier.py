"""The task that trains a classifier of sounds on the labels of a data set."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from drumgan_jax.audio.attributes import check_attributes
from drumgan_jax.audio.augmentation import Augmentation
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.keys import Purpose, run_key, run_keys
from drumgan_jax.core.mesh import batch_sharding, local_rows, replicated
from drumgan_jax.core.settings import build_section, flag, real, texts
from drumgan_jax.data.dataset import Batch, Dataset
from drumgan_jax.evaluation.classification import classification_report, confusion_picture, tally
from drumgan_jax.evaluation.correlation import spearman
from drumgan_jax.latents.conditions import Conditions
from drumgan_jax.systems.classifier import Classifier, build_classifier
from drumgan_jax.training.optimization import Player, moving_average
from drumgan_jax.training.task import Evaluation, Evaluator, Metrics
from drumgan_jax.training.tasks.skeleton import TaskContext, TaskSkeleton

Array = jax.Array
KEYS = ("waveforms", "labels")


@flax.struct.dataclass
class ClassifierState:
    """The whole state of a training run.

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
        balanced: whether all classes of a batch have the same weight in its loss, however many examples they have.
        attributes: of the data set's, by name, whose ranks are predicted too.
        attribute_weight: weight of their mean squared error.
    """

    balanced: bool = flag(True)
    attributes: tuple[str, ...] = texts(())
    attribute_weight: float = real(0.0, 1e6, 1.0)

    def __post_init__(self) -> None:
        check_attributes(self.attributes, "config.task.attributes")


def build_classifier_task(config: Mapping[str, Any], mesh: Mesh) -> "ClassifierTask":
    """The task of a frozen config (drumgan_jax.training.run).

    Raises:
        BadInput: a section is unfit, or the data set has no labels, or lacks an attribute.
    """
    context = TaskContext.of(config, mesh)
    context.require_whole_float32_batches("a classifier")
    # Refuses an attribute that the data set lacks.
    Conditions.of(config, ())
    return ClassifierTask(
        context=context,
        classifier=build_classifier(config, config["labels"]),
        augmentation=build_section(Augmentation, config.get("augmentation", {}), "augmentation"),
        task=context.task_settings(ClassifierTaskSettings),
        player=context.player("classifier"),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class ClassifierTask(TaskSkeleton):
    """Cross-entropy by Adam on augmented sounds; the split "validation", else "test", measures the moving average.

    Attributes are predicted of the same sounds as they are: augmentation would change them.

    Attributes:
        context: see TaskContext.
        classifier: the parts.
        augmentation: how sounds are changed in training.
        task: section `task`.
        player: the network's optimiser.
    """

    classifier: Classifier
    augmentation: Augmentation
    task: ClassifierTaskSettings
    player: Player

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that a step reads."""
        return (*KEYS, "attributes") if self.task.attributes else KEYS

    @functools.cached_property
    def compiled_steps(self) -> dict[str, Any]:
        """The only step."""
        return {"classifier": self.layout.compile_step(self._stepped)}

    def step(self, state: ClassifierState, batch: Mapping[str, Array], step: int) -> tuple[ClassifierState, Metrics]:
        """One iteration; see drumgan_jax.training.task."""
        state, metrics = self.compiled_steps["classifier"](state, dict(batch))
        return state, metrics | self.player.learning_rate(step * self.context.settings.batch_size)

    def summarize(self, state: ClassifierState) -> None:
        """Nothing: a classifier makes no sounds."""

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """Scores accuracy, error and loss of the moving average on the whole split that chooses the checkpoint.

        Raises:
            BadInput: the data set has no such split.
        """
        split = choosing_split(dataset)
        names = self.classifier.label_names

        def evaluate(state: ClassifierState) -> Evaluation:
            confusion, loss = np.zeros((len(names), len(names)), np.int64), 0.0
            heard: list[np.ndarray] = []
            for placed in self.placed(dataset, split):
                counts, nats = self._tally(state.ema, placed)
                confusion += np.asarray(counts)
                loss += float(nats)
                if self.task.attributes:
                    pair = np.stack([np.asarray(one) for one in self._hear(state.ema, placed)])
                    heard.append(pair[:, np.asarray(placed["valid"]) > 0])
            report = classification_report(confusion, loss / confusion.sum(), names)
            scores = {"accuracy": report["accuracy"], "error": 1.0 - report["accuracy"], "loss": report["loss"]}
            if heard:
                rho = spearman(*np.swapaxes(np.concatenate(heard, axis=1), 1, 2))
                scores |= {f"spearman/{name}": float(one) for name, one in zip(self.task.attributes, rho, strict=True)}
                report["attributes"] = dict(zip(self.task.attributes, rho.tolist(), strict=True))
            return Evaluation(scores, {"split": split, **report}, {"confusion": confusion_picture(confusion, names)})

        return evaluate

    def placed(self, dataset: Dataset, split: str) -> Iterator[dict[str, Array]]:
        """The batches of `whole_split` on the devices."""
        size, where = self.context.settings.batch_size, batch_sharding(self.context.mesh)
        for batch in whole_split(dataset, split, size, local_rows(self.context.mesh, size), self.keys):
            yield {
                key: jax.make_array_from_process_local_data(where, value, (size, *value.shape[1:]))
                for key, value in batch.items()
            }

    def loss(self, logits: Array, batch: Mapping[str, Array]) -> Array:
        """Loss [] of logits [batch, labels]."""
        return weighted_cross_entropy(logits, batch["labels"], self.task.balanced)

    def training_metrics(self, logits: Array, batch: Mapping[str, Array]) -> Metrics:
        """Figures of a step's own batch."""
        right = jnp.argmax(logits, axis=-1) == jnp.argmax(batch["labels"], axis=-1)
        return {"accuracy/train": jnp.mean(right.astype(jnp.float32))}

    def initial_state(self) -> ClassifierState:
        """See TaskSkeleton."""
        variables = self.classifier.init(run_key(self.context.seed, Purpose.NETWORK_INIT))
        params, batch_stats = variables["params"], variables.get("batch_stats", {})
        return ClassifierState(
            step=jnp.zeros((), jnp.int32),
            seed=jnp.asarray(self.context.seed, jnp.uint32),
            params=params,
            batch_stats=batch_stats,
            optimizer=self.player.init(params),
            ema={"params": params, "batch_stats": batch_stats},
        )

    @functools.cached_property
    def _tally(self) -> Any:
        classifier = self.classifier
        return jax.jit(
            lambda ema, batch: tally(classifier, ema, batch["waveforms"], batch["labels"], batch["valid"]),
            in_shardings=(self.layout.shardings.ema, batch_sharding(self.context.mesh)),
            out_shardings=replicated(self.context.mesh),
        )

    @functools.cached_property
    def _hear(self) -> Any:
        classifier, columns = self.classifier, self._attribute_columns
        return jax.jit(
            lambda ema, batch: (
                classifier.predict_attributes(ema, batch["waveforms"]),
                batch["attributes"][:, jnp.asarray(columns)],
            ),
            in_shardings=(self.layout.shardings.ema, batch_sharding(self.context.mesh)),
            out_shardings=replicated(self.context.mesh),
        )

    @property
    def _attribute_columns(self) -> tuple[int, ...]:
        """Columns of a batch's attributes that are predicted."""
        return tuple(self.context.config["attributes"]["names"].index(name) for name in self.task.attributes)

    def _stepped(self, state: ClassifierState, batch: dict[str, Array]) -> tuple[ClassifierState, Metrics]:
        augmentation_keys = run_keys(state.seed, Purpose.AUGMENTATION, state.step, jnp.arange(len(batch["waveforms"])))
        bands = self.augmentation(batch["waveforms"], self.classifier.front_end, augmentation_keys)
        count, classes = len(bands), len(self.classifier.label_names)
        if self.task.attributes:
            bands = jnp.concatenate([bands, self.classifier.front_end(batch["waveforms"])])

        def loss(params: Any) -> tuple[Array, tuple[Array, Any]]:
            (outputs, _), changed = self.classifier.network.apply(
                {"params": params, "batch_stats": state.batch_stats},
                bands,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": run_key(state.seed, Purpose.DROPOUT, state.step)},
            )
            logits = outputs[:count, :classes]
            value = self.loss(logits, batch)
            if self.task.attributes:
                wanted = batch["attributes"][:, jnp.asarray(self._attribute_columns)]
                found = jax.nn.sigmoid(outputs[count:, classes:])
                value = value + self.task.attribute_weight * jnp.mean(jnp.square(found - wanted))
            return value, (logits, changed.get("batch_stats", {}))

        (value, (logits, batch_stats)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        settings = self.context.settings
        params, optimizer, norms = self.player.descend(
            state.params, state.optimizer, gradient, state.step * settings.batch_size
        )
        ema = moving_average(settings, state.step, state.ema, {"params": params, "batch_stats": batch_stats})
        metrics = {"loss/classifier": value, **self.training_metrics(logits, batch), **norms}
        return ClassifierState(state.step + 1, state.seed, params, batch_stats, optimizer, ema), metrics


def weighted_cross_entropy(logits: Array, labels: Array, balanced: bool) -> Array:
    """Mean cross-entropy [] in nats of logits [batch, labels] and one-hot labels; mean of class means if balanced."""
    losses = optax.softmax_cross_entropy(logits, labels)
    if not balanced:
        return jnp.mean(losses)
    of_class = jnp.sum(labels, axis=0)
    weights = jnp.sum(labels / jnp.maximum(of_class, 1.0), axis=1) / jnp.sum((of_class > 0).astype(jnp.float32))
    return jnp.sum(weights * losses)


def choosing_split(dataset: Dataset) -> str:
    """The split that chooses the best checkpoint: "validation", or "test" if there is none.

    Raises:
        BadInput: the data set has neither.
    """
    if found := [split for split in ("validation", "test") if split in dataset.splits]:
        return found[0]
    raise BadInput(
        f"{dataset.directory} has no split 'validation' or 'test' to evaluate on; prepare it with"
        " config.preparation.validation_fraction, test_fraction or test_sources, or set config.evaluation.every to 0."
    )


def whole_split(
    dataset: Dataset, split: str, size: int, rows: np.ndarray, keys: tuple[str, ...] = KEYS
) -> Iterator[Batch]:
    """Rows `rows` of batches of `size` that hold each example of a split once, in order.

    Besides `keys` a batch has `valid` [rows]: 0 for the rows that fill up the last batch, which repeat its first one.
    """
    source = dataset.source(split)
    for start in range(0, len(source), size):
        items = start + rows
        inside = items < len(source)
        records = [source[int(item)] for item in np.where(inside, items, start)]
        parsed = [dataset.parse(record, keys) for record in records]
        yield {key: np.stack([one[key] for one in parsed]) for key in keys} | {"valid": inside.astype(np.float32)}
