"""Soft labels: what a trained classifier says of every example of a data set."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jax.sharding import NamedSharding
from scipy.special import softmax

from drumgan_jax.audio.files import resample
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.data.soft_labels import SoftLabels, has_soft_labels, read_soft_labels
from drumgan_jax.evaluation.collecting import LOGITS, Sound, Stream, embed
from drumgan_jax.evaluation.embedder import Embedder


def label_dataset(
    dataset: Dataset,
    classifier: Embedder,
    sharding: NamedSharding | None = None,
    progress: Callable[[int], None] | None = None,
) -> SoftLabels:
    """Class probabilities of every example of every split, of its waveform's first window as the classifier takes it.

    Waveforms are resampled to the classifier's rate and cut, or filled up with zeros, to its length. Where the
    classifier knows more classes than the data set has, the probabilities are those given that it is one of these.

    Args:
        dataset: to be labelled.
        classifier: from `open_classifier`.
        sharding: of batches of windows over the devices; None for one.
        progress: told the number of examples done, now and then.

    Raises:
        BadInput: a class of the data set is not the classifier's, or a shard is damaged.
    """
    names, columns = _columns(dataset, classifier)
    splits, done = {}, 0
    for split in dataset.splits:
        stream = Stream(dataset.num_examples(split), _beginnings(dataset, split, classifier))
        told = None if progress is None else lambda count, before=done: progress(before + count)
        seen = embed(stream, [classifier], {classifier.name: (LOGITS,)}, sharding, told)[classifier.name]
        assert seen.logits is not None
        splits[split] = softmax(seen.logits[:, columns].astype(np.float64), axis=1).astype(np.float32)
        done += seen.sounds
    prints = {split: dataset.fingerprint(split, len(rows)) for split, rows in splits.items()}
    return SoftLabels(names, classifier.name, splits, prints)


def check_replaceable(dataset: Dataset, classifier: Embedder, overwrite: bool) -> None:
    """Refuse to take the place of soft labels by another classifier, unless that is asked for.

    Raises:
        BadInput: the data set has such, or damaged ones.
    """
    if overwrite or not has_soft_labels(dataset.directory):
        return
    other = read_soft_labels(dataset.directory).classifier
    if other != classifier.name:
        raise BadInput(
            f"{dataset.directory} has soft labels by {other}, another classifier than {classifier.name}; add "
            "--overwrite to replace them."
        )


def summary(dataset: Dataset, labels: SoftLabels) -> dict[str, Any]:
    """What the soft labels of a data set are like.

    Returns:
        `count`; `entropy`, the mean of the rows' entropies in nats; `classes`: by name `mean` probability, `most` (how
        many examples it is the most probable class of); and where the examples have classes, `agreement` (share of
        examples whose class is the most probable one), and of each class `examples` and `agreement`, None of none.
    """
    rows = np.concatenate([labels.splits[split] for split in labels.splits]).astype(np.float64)
    most = np.eye(len(labels.names))[rows.argmax(axis=1)]
    entropy = -np.sum(rows * np.log(np.maximum(rows, np.finfo(np.float64).tiny)), axis=1).mean()
    report: dict[str, Any] = {
        "count": len(rows),
        "entropy": float(entropy),
        "classes": {
            name: {"mean": float(rows[:, place].mean()), "most": int(most[:, place].sum())}
            for place, name in enumerate(labels.names)
        },
    }
    if dataset.has_labels:
        hard = np.concatenate([_hard_labels(dataset, split) for split in labels.splits])
        hits, counts = (hard * most).sum(axis=0), hard.sum(axis=0)
        report["agreement"] = float(hits.sum() / len(rows))
        for place, name in enumerate(labels.names):
            count = int(counts[place])
            share = float(hits[place] / count) if count else None
            report["classes"][name] |= {"examples": count, "agreement": share}
    return report


def _columns(dataset: Dataset, classifier: Embedder) -> tuple[tuple[str, ...], list[int]]:
    """The classes to label with, and their places among the classifier's."""
    names = dataset.label_names if dataset.has_labels else classifier.classes
    if set(names) - set(classifier.classes):
        raise BadInput(
            f"{dataset.directory} has the classes {', '.join(names)} and {classifier.name} knows "
            f"{', '.join(classifier.classes)}; give a classifier that knows all of the data set's."
        )
    return names, [classifier.classes.index(name) for name in names]


def _beginnings(dataset: Dataset, split: str, classifier: Embedder) -> Iterator[Sound]:
    """A split's waveforms in the order of its records, at the classifier's rate and no longer than its window."""
    rate = dataset.representation.sample_rate
    for item in range(dataset.num_examples(split)):
        waveform = dataset.example(split, item, ("waveforms",))["waveforms"]
        waveform = resample(waveform, rate, classifier.sample_rate)[: classifier.window]
        yield Sound(waveform, classifier.sample_rate, f"example {item} of split {split!r} of {dataset.directory}")


def _hard_labels(dataset: Dataset, split: str) -> np.ndarray:
    items = range(dataset.num_examples(split))
    return np.stack([dataset.example(split, item, ("labels",))["labels"] for item in items])
