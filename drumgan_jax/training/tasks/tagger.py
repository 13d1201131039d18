"""The task that trains a tagger: a classifier of sounds with any number of labels each."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from drumgan_jax.audio.augmentation import Augmentation
from drumgan_jax.core.mesh import batch_sharding, replicated
from drumgan_jax.core.settings import build_section
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.evaluation.tagging import tagging_report
from drumgan_jax.systems.classifier import build_classifier
from drumgan_jax.training.task import Evaluation, Evaluator, Metrics
from drumgan_jax.training.tasks.classifier import (
    ClassifierState,
    ClassifierTask,
    ClassifierTaskSettings,
    choosing_split,
)
from drumgan_jax.training.tasks.skeleton import TaskContext

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class TaggerTaskSettings:
    """Section `task`, which has no settings."""


def build_tagger_task(config: Mapping[str, Any], mesh: Mesh) -> "TaggerTask":
    """The task of a frozen config (drumgan_jax.training.run).

    Raises:
        BadInput: a section is unfit, or the data set has no tags.
    """
    context = TaskContext.of(config, mesh)
    context.require_whole_float32_batches("a tagger")
    context.task_settings(TaggerTaskSettings)
    return TaggerTask(
        context=context,
        classifier=build_classifier(config, config["labels"]),
        augmentation=build_section(Augmentation, config.get("augmentation", {}), "augmentation"),
        task=ClassifierTaskSettings(balanced=False),
        player=context.player("classifier"),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class TaggerTask(ClassifierTask):
    """Binary cross-entropy of each tag by Adam on augmented sounds (Won et al. 2020, section 3)."""

    keys: ClassVar[tuple[str, ...]] = ("waveforms", "tags")

    def loss(self, logits: Array, batch: Mapping[str, Array]) -> Array:
        """Mean binary cross-entropy [] in nats of logits [batch, tags]."""
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, batch["tags"]))

    def training_metrics(self, logits: Array, batch: Mapping[str, Array]) -> Metrics:
        """None: single batches have no positives of most tags."""
        return {}

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """Scores ROC-AUC and PR-AUC, means over the tags, and loss on the whole split that chooses the checkpoint.

        Raises:
            BadInput: the data set has no such split.
        """
        split, names = choosing_split(dataset), self.classifier.label_names

        def evaluate(state: ClassifierState) -> Evaluation:
            # Fetched by rows, which all processes have then.
            parts = [jax.device_get(self._scored(state.ema, placed)) for placed in self.placed(dataset, split)]
            logits, tags, valid = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            report = tagging_report(logits[valid > 0], tags[valid > 0], names)
            scores = {name: report[name] for name in ("roc_auc", "pr_auc", "loss")}
            return Evaluation(scores, {"split": split, **report})

        return evaluate

    @functools.cached_property
    def _scored(self) -> Any:
        classifier = self.classifier
        return jax.jit(
            lambda ema, batch: (classifier.predict(ema, batch["waveforms"])[0], batch["tags"], batch["valid"]),
            in_shardings=(self.layout.shardings.ema, batch_sharding(self.context.mesh)),
            out_shardings=replicated(self.context.mesh),
        )
