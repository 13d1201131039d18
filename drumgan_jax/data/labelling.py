"""Soft labels: class probabilities of every example in a data set, from a trained classifier."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jax.sharding import NamedSharding
from scipy.special import softmax

from drumgan_jax.audio.files import resample
from drumgan_jax.core.errors import BadInput, listed
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
    """Compute class probabilities of every example in every split, from the first window of its waveform.

    Waveforms are resampled to the classifier's sample rate and cut or zero-padded to its length. If the classifier has
    more classes than the data set, the probabilities are conditional on the data set's classes.

    Args:
        dataset: data set to label.
        classifier: from `open_classifier`.
        sharding: how batches of windows are split over the devices; None for one device.
        progress: called with the number of examples done, after every few dozen examples.

    Raises:
        BadInput: the classifier lacks a class of the data set, or a shard is damaged.
    """
    names, columns = _columns(dataset, classifier)
    splits, done = {}, 0
    for split in dataset.splits:
        stream = Stream(dataset.num_examples(split), _first_windows(dataset, split, classifier))
        total = None if progress is None else lambda count, before=done: progress(before + count)
        needs = {classifier.name: (LOGITS,)}
        # Every example needs a label, silent ones too.
        output = embed(stream, [classifier], needs, sharding, total, keep_silent_sounds=True)[classifier.name]
        assert output.logits is not None
        splits[split] = softmax(output.logits[:, columns].astype(np.float64), axis=1).astype(np.float32)
        done += output.sounds
    fingerprints = {split: dataset.fingerprint(split, len(rows)) for split, rows in splits.items()}
    return SoftLabels(names, classifier.name, splits, fingerprints)


def check_replaceable(dataset: Dataset, classifier: Embedder, overwrite: bool) -> None:
    """Check that labelling would not replace soft labels from another classifier, unless `overwrite` is set.

    Raises:
        BadInput: the data set has soft labels from another classifier, or damaged ones.
    """
    if overwrite or not has_soft_labels(dataset.directory):
        return
    other = read_soft_labels(dataset.directory).classifier
    if other != classifier.name:
        raise BadInput(
            f"{dataset.directory} has soft labels from {other}, a different classifier than {classifier.name}; add "
            "--overwrite to replace them."
        )


def summary(dataset: Dataset, labels: SoftLabels) -> dict[str, Any]:
    """Summary statistics of a data set's soft labels.

    Returns:
        `count`; `entropy`, the mean entropy of the rows in nats; `classes`: for each class its `mean` probability and
        `most`, the number of examples in which it is the most probable class. If the examples have classes, also
        `agreement`, the share of examples whose own class is the most probable, and for each class `examples` and
        `agreement` (None without examples).
    """
    rows = np.concatenate([labels.splits[split] for split in labels.splits]).astype(np.float64)
    most = np.eye(len(labels.names))[rows.argmax(axis=1)]
    entropy = -np.sum(rows * np.log(np.maximum(rows, np.finfo(np.float64).tiny)), axis=1).mean()
    report: dict[str, Any] = {
        "count": len(rows),
        "entropy": float(entropy),
        "classes": {
            name: {"mean": float(rows[:, column].mean()), "most": int(most[:, column].sum())}
            for column, name in enumerate(labels.names)
        },
    }
    if dataset.has_labels:
        hard = np.concatenate([_hard_labels(dataset, split) for split in labels.splits])
        hits, counts = (hard * most).sum(axis=0), hard.sum(axis=0)
        report["agreement"] = float(hits.sum() / len(rows))
        for column, name in enumerate(labels.names):
            count = int(counts[column])
            share = float(hits[column] / count) if count else None
            report["classes"][name] |= {"examples": count, "agreement": share}
    return report


def _columns(dataset: Dataset, classifier: Embedder) -> tuple[tuple[str, ...], list[int]]:
    """The classes of the soft labels, and their indices among the classifier's classes."""
    names = dataset.label_names if dataset.has_labels else classifier.classes
    if set(names) - set(classifier.classes):
        raise BadInput(
            f"{dataset.directory} has the classes {listed(names)}, but {classifier.name} has "
            f"{listed(classifier.classes)}; give a classifier with all classes of the data set."
        )
    return names, [classifier.classes.index(name) for name in names]


def _first_windows(dataset: Dataset, split: str, classifier: Embedder) -> Iterator[Sound]:
    """Yield a split's waveforms in record order, at the classifier's sample rate and cut to its window."""
    rate = dataset.representation.sample_rate
    for item in range(dataset.num_examples(split)):
        waveform = dataset.example(split, item, ("waveforms",))["waveforms"]
        waveform = resample(waveform, rate, classifier.sample_rate)[: classifier.window]
        yield Sound(waveform, classifier.sample_rate, f"example {item} of split {split!r} of {dataset.directory}")


def _hard_labels(dataset: Dataset, split: str) -> np.ndarray:
    items = range(dataset.num_examples(split))
    return np.stack([dataset.example(split, item, ("labels",))["labels"] for item in items])
