"""Class weights from what people write: a name, weights by name, one of either for each sound, or an array."""

from collections.abc import Mapping, Sequence

import numpy as np

from drumgan_jax.errors import BadInput

One = str | Mapping[str, float]
Labels = One | Sequence[One] | np.ndarray


def class_weights(labels: Labels, names: Sequence[str], count: int) -> np.ndarray:
    """Weights [count, classes] float32 that sum to 1.

    Args:
        labels: a class name or weights by class name, for all sounds; a list with one of these a sound; or weights
            [count, classes]. Weights count relative to each other.
        names: the classes, in order.
        count: sounds.

    Raises:
        BadInput: a class is unknown, a weight is negative or not finite, all are zero, or the number does not fit.
    """
    if isinstance(labels, np.ndarray):
        weights = np.asarray(labels, np.float64)
    elif isinstance(labels, (str, Mapping)):
        weights = np.tile(_row(labels, names), (count, 1))
    else:
        weights = np.stack([_row(one, names) for one in labels]) if len(labels) else np.zeros((0, len(names)))
    if weights.shape != (count, len(names)):
        raise BadInput(
            f"labels are {weights.shape}; give one name for all {count} sound(s), one for each, or weights"
            f" [{count}, {len(names)}]."
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise BadInput("a label's weight is negative or not a number; weights are from 0 up.")
    total = weights.sum(axis=1, keepdims=True)
    if names and not total.all():
        raise BadInput(f"all label weights of a sound are zero; give at least one of {', '.join(names)} some.")
    return (weights / np.where(total, total, 1.0)).astype(np.float32)


def _row(one: One, names: Sequence[str]) -> np.ndarray:
    weights = {one: 1.0} if isinstance(one, str) else dict(one)
    unknown = sorted(set(weights) - set(names))
    if unknown:
        known = ", ".join(names) if names else "none, it is trained without labels"
        raise BadInput(f"this run knows no class {', '.join(unknown)}; its classes: {known}.")
    return np.asarray([weights.get(name, 0.0) for name in names], np.float64)
