"""Class weights from user input: a name, weights by name, one of either for each sound, or an array."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from drumgan_jax.audio.attributes import ATTRIBUTES
from drumgan_jax.core.errors import BadInput, listed

One = str | Mapping[str, float]
Labels = One | Sequence[One] | Sequence[Sequence[float]] | np.ndarray | jax.Array


def class_weights(
    labels: Labels, names: Sequence[str], count: int, *, independent: bool = False, others: Sequence[str] = ()
) -> np.ndarray:
    """Weights [count, classes] float32 that sum to 1, or as they are given.

    Args:
        labels: a class name or weights by class name, for all sounds; a list with one of these per sound; or weights
            [count, classes], as an array or lists of lists. Only ratios of weights matter, unless they are independent.
        names: the classes, in order.
        count: number of sounds.
        independent: whether weights are sliders from 0 to 1 that do not depend on each other; all may be zero.
        others: names that are no classes and could have been meant, for messages.

    Raises:
        BadInput: a class is unknown, a weight is not a number, negative or not finite, or, if independent, above 1; all
            weights of a sound are zero and not independent, or the number of labels does not fit.
    """
    if isinstance(labels, (str, Mapping)):
        weights = np.tile(_row(labels, names, others), (count, 1))
    elif isinstance(labels, Sequence) and all(isinstance(one, (str, Mapping)) for one in labels):
        rows = [_row(one, names, others) for one in labels]
        weights = np.stack(rows) if rows else np.zeros((0, len(names)))
    else:
        weights = _numbers(labels)
    if weights.shape != (count, len(names)):
        raise BadInput(
            f"labels are {weights.shape}; give one name for all {count} sound(s), one for each, or weights"
            f" [{count}, {len(names)}]."
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise BadInput("a label's weight is negative or not a number; give weights of 0 or more.")
    if independent:
        if (weights > 1).any():
            raise BadInput("a class slider is above 1; this run's classes are independent, each from 0 to 1.")
        return weights.astype(np.float32)
    total = weights.sum(axis=1, keepdims=True)
    if names and not total.all():
        raise BadInput(f"all label weights of a sound are zero; give at least one of {listed(names)} a weight.")
    return (weights / np.where(total, total, 1.0)).astype(np.float32)


def _row(one: Any, names: Sequence[str], others: Sequence[str]) -> np.ndarray:
    weights = {one: 1.0} if isinstance(one, str) else dict(one)
    unknown = sorted(set(weights) - set(names))
    if unknown:
        known = listed(names) if names else "none, it is trained without labels"
        meant = others or set(unknown) & set(ATTRIBUTES)
        and_others = f"; its attributes: {listed(others) or 'none'}" if meant else ""
        raise BadInput(f"this run knows no class {listed(unknown)}; its classes: {known}{and_others}.")
    return _numbers([weights.get(name, 0.0) for name in names])


def _numbers(weights: Any) -> np.ndarray:
    """Weights as an array [...] float64."""
    try:
        array = np.asarray(weights)
        if array.dtype.kind in "OSUcmM":
            raise TypeError("of another type")
        return array.astype(np.float64)
    # Lists of different lengths raise too.
    except (TypeError, ValueError) as problem:
        raise BadInput(
            "label weights must be numbers, one per class for each sound; give class names, weights by class"
            " name, or an array [seeds, labels]."
        ) from problem
