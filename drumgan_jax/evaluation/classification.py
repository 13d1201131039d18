"""Metrics of a classifier: its confusion matrix, accuracy and recall."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from drumgan_jax.evaluation.intervals import NORMAL
from drumgan_jax.systems.classifier import Classifier

Array = jax.Array


def tally(
    classifier: Classifier, variables: Mapping[str, Any], waveforms: Array, labels: Array, valid: Array
) -> tuple[Array, Array]:
    """Confusion matrix and sum of cross-entropies of a batch; a pure function, to be compiled.

    Args:
        classifier: front end and network.
        variables: their weights.
        waveforms: [batch, samples] within [-1, 1].
        labels: one-hot [batch, labels].
        valid: 1 for each example that counts, 0 for padding [batch].

    Returns:
        Counts [true label, predicted label] int32, and the sum of cross-entropies [] in nats.
    """
    logits, _ = classifier.predict(variables, waveforms)
    predicted = jax.nn.one_hot(jnp.argmax(logits, axis=-1), labels.shape[-1])
    confusion = jnp.einsum("bt,bp,b->tp", labels, predicted, valid, precision="highest")
    return confusion.astype(jnp.int32), jnp.sum(optax.softmax_cross_entropy(logits, labels) * valid)


def classification_report(confusion: np.ndarray, loss: float, label_names: Sequence[str]) -> dict[str, Any]:
    """Accuracies and recalls of a confusion matrix, in types that JSON can hold.

    `balanced_accuracy` is the mean recall over classes with examples. Intervals are Wilson's 95 % intervals (1927),
    which assume independent examples.

    Args:
        confusion: counts [true label, predicted label].
        loss: mean cross-entropy in nats.
        label_names: names of the labels on both axes.
    """
    confusion = np.asarray(confusion, np.int64)
    count, right = int(confusion.sum()), np.diagonal(confusion)
    of_class = confusion.sum(axis=1)
    recall = {
        name: {"value": int(hit) / int(n), "interval": wilson_interval(int(hit), int(n)), "count": int(n)}
        for name, hit, n in zip(label_names, right, of_class, strict=True)
        if n
    }
    return {
        "count": count,
        "accuracy": float(right.sum() / count),
        "accuracy_interval": wilson_interval(int(right.sum()), count),
        "balanced_accuracy": float(np.mean([one["value"] for one in recall.values()])),
        "loss": float(loss),
        "recall": recall,
        "labels": list(label_names),
        "confusion": confusion.tolist(),
    }


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    share, z2 = successes / count, NORMAL**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = NORMAL / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def confusion_picture(confusion: np.ndarray, label_names: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix [height, width, 3] uint8: counts, shaded by their share of the row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    confusion = np.asarray(confusion, np.int64)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = 1.5 + 0.6 * len(label_names)
    figure = Figure(figsize=(side, side), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(len(label_names)), label_names, rotation=90)
    axes.set_yticks(range(len(label_names)), label_names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for (row, column), count in np.ndenumerate(confusion):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
