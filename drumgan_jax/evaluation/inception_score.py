"""The Inception Score of a classifier's logits."""

import dataclasses

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.intervals import (
    GROUPS,
    Figure,
    groups_of_sounds,
    has_several_rows,
    jackknife,
    sound_index,
    student,
)


def inception_score(
    logits: np.ndarray, splits: int = 10, seed: int = 2020, *, sounds: np.ndarray | None = None
) -> Figure:
    """Exponential of the mean divergence of each sample's labels from all samples' labels (Salimans et al. 2016).

    The mean over splits of shuffled samples, in float64; the shuffle and the splits are torch-fidelity's; `spread` is
    the standard deviation over splits, which papers report.

    The interval is of the mean over splits by Student's t where every sample is a sound of its own. Where sounds have
    several samples, splits share sounds and are alike; the interval is then the jackknife over up to 10 groups of
    sounds, each taken out of all splits.

    Args:
        logits: of generated samples [samples, classes].
        splits: number of parts.
        seed: of the shuffle.
        sounds: number of each sample's sound [samples] int, non-decreasing; None where each is of a sound of its own.

    Raises:
        BadInput: fewer samples than splits, or all of one sound.
    """
    count = len(logits)
    if count < splits or splits < 2:
        raise BadInput(f"An Inception Score over {splits} splits needs that many samples, not {count}; give more.")
    index = sound_index(sounds, count, "classified")
    order = np.random.RandomState(seed).permutation(count)
    shuffled = np.asarray(logits, np.float64)[order]
    shifted = shuffled - shuffled.max(axis=1, keepdims=True)
    log_labels = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    ends = [i * count // splits for i in range(1, splits)]
    parts = np.split(log_labels, ends)
    scores = [_score(part) for part in parts]
    value, spread = float(np.mean(scores)), float(np.std(scores))
    if not has_several_rows(index):
        half = student(splits - 1) * spread / (splits - 1) ** 0.5
        return Figure(value, value - half, value + half, f"Student's t over {splits} splits", spread)

    without_each = []
    for group in groups_of_sounds(index, GROUPS, np.random.default_rng(seed)):
        kept = np.split(~np.isin(order, group), ends)
        # Of few samples, a group may have all of a split.
        rest = [_score(part[keep]) for part, keep in zip(parts, kept, strict=True) if keep.any()]
        without_each.append(float(np.mean(rest)))
    figure = jackknife(without_each, value)
    return dataclasses.replace(figure, interval=f"{figure.interval} of sounds", spread=spread)


def _score(log_labels: np.ndarray) -> float:
    """Exponential of the mean divergence of samples' labels from their mean, from log labels [samples, classes]."""
    labels = np.exp(log_labels)
    # A label of which no sample has any probability left in float64 adds nothing.
    marginal = np.log(np.maximum(labels.mean(axis=0), np.finfo(np.float64).tiny))
    return float(np.exp((labels * (log_labels - marginal)).sum(axis=1).mean()))
