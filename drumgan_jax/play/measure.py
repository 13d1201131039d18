"""The sounds of a playable as one side of an evaluation: the same in training as in `drumgan evaluate`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from drumgan_jax.core.errors import BadInput, listed
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.evaluation.collecting import Embeddings, sampled
from drumgan_jax.evaluation.embedder import DeviceEmbedder, Embedder
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.latents.conditions import Conditions
from drumgan_jax.latents.latents import Latents
from drumgan_jax.play.playable import MakesExamples, Playable

# Sounds that are asked for at once.
_SOUNDS = 256


def embed_generated(
    playable: Playable,
    suite: Suite,
    labels: np.ndarray,
    count: int,
    seed: int = 0,
    truncation: float = 1.0,
    progress: Callable[[int], None] | None = None,
    *,
    keep_silent_sounds: bool = False,
) -> dict[str, Embeddings]:
    """Embeddings of the sounds of consecutive seeds, by embedder.

    An embedder of examples takes those of the playable itself, if they are of its representation, not of its sounds.

    Args:
        playable: makes the sounds.
        suite: the metrics.
        labels: class weights [rows, labels]; sound n has row n, beginning again after the last.
        count: sounds.
        seed: of the first sound.
        truncation: 1 for the whole variety.
        progress: called with the number of sounds done, now and then.
        keep_silent_sounds: as in `collecting.embed`.
    """

    def drawn(start: int, size: int) -> Latents:
        rows = labels[(start + np.arange(size)) % len(labels)]
        return playable.draw(range(seed + start, seed + start + size), rows, truncation)

    def sounds(start: int, size: int) -> np.ndarray:
        return playable.render(drawn(start, size)).waveforms

    def examples(start: int, size: int) -> np.ndarray:
        assert isinstance(playable, MakesExamples)
        return playable.examples(drawn(start, size)).reshape(size, -1)

    seen = {one.name: one.on_examples for one in suite.embedders if _takes_examples(one, playable)}
    heard = [one for one in suite.embedders if one.name not in seen]
    embeddings: dict[str, Embeddings] = {}
    for sample, embedders in ((sounds, heard), (examples, list(seen.values()))):
        if embedders:
            stream = sampled(sample, count, playable.sample_rate, _SOUNDS, seed)
            embeddings |= suite.embed(stream, progress, keep_silent_sounds=keep_silent_sounds, embedders=embedders)
    return embeddings


def _takes_examples(embedder: Embedder, playable: Playable) -> TypeGuard[DeviceEmbedder]:
    """Whether an embedder takes a playable's examples rather than its sounds."""
    return (
        isinstance(embedder, DeviceEmbedder)
        and embedder.of_examples is not None
        and isinstance(playable, MakesExamples)
        and playable.representation == embedder.representation
    )


def reference_labels(
    dataset: Dataset, label_names: Sequence[str], config: Mapping[str, Any], split: str, count: int
) -> np.ndarray:
    """Labels [sounds, labels] of the reference's sounds, for the generated ones; of width 0 without any.

    Attributes of the reference's sounds join them if it has those of the run, else they are drawn from seeds.

    Both sides must have the same mix of classes: else a perfect generator of an unbalanced set would be scored down.

    Args:
        dataset: the reference.
        label_names: classes of the generator; empty without any.
        config: of its run.
        split: of the data set.
        count: sounds, at most.

    Raises:
        BadInput: the data set has other classes.
    """
    conditions = Conditions.of(config, label_names)
    wanted, ranks = conditions.attributes.names, np.zeros((1, 0), np.float32)
    # A playable with fewer classes than its run draws its own attributes.
    whole = not label_names or len(label_names) == len(config["labels"])
    if wanted and whole and set(wanted) <= set(dataset.attributes.names):
        measured = dataset.measured(split, count)[:, dataset.attributes.columns(wanted)]
        ranks = conditions.attributes.ranks(measured)
    if not label_names:
        return ranks
    if tuple(label_names) != dataset.label_names:
        raise BadInput(
            f"{dataset.directory} has the classes {listed(dataset.label_names) or 'none'} and the run"
            f" {listed(label_names)}; give a data set with the run's classes."
        )
    labels = dataset.labels(split, count, label_key(config))
    return np.concatenate([labels, ranks], axis=1) if ranks.size else labels


def label_key(config: Mapping[str, Any]) -> str:
    """The part of a batch that conditions a generator of this config: "labels", or "soft_labels"."""
    return "soft_labels" if config["task"].get("soft_labels") else "labels"
