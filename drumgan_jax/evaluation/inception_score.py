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
    """Exponential of the mean KL divergence of each sample's labels from the marginal (Salimans et al. 2016).

    The score is the mean over splits of shuffled samples, in float64, with torch-fidelity's shuffle and splits.
    `standard_deviation` is over splits, as papers report it.

    If every sample is its own sound, the interval is Student's t over the splits. If sounds have several samples, the
    splits share sounds and are not independent; the interval is then a jackknife over up to 10 groups of sounds, each
    left out of all splits.

    Args:
        logits: logits of generated samples [samples, classes].
        splits: number of splits.
        seed: seed of the shuffle.
        sounds: sound number of each sample [samples] int, non-decreasing; None if every sample is its own sound.

    Raises:
        BadInput: there are fewer samples than splits, or all samples are from one sound.
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
    value, deviation = float(np.mean(scores)), float(np.std(scores))
    if not has_several_rows(index):
        half = student(splits - 1) * deviation / (splits - 1) ** 0.5
        return Figure(value, value - half, value + half, f"Student's t over {splits} splits", deviation)

    without_each = []
    for group in groups_of_sounds(index, GROUPS, np.random.default_rng(seed)):
        kept = np.split(~np.isin(order, group), ends)
        # With few samples, a group may hold a whole split.
        rest = [_score(part[keep]) for part, keep in zip(parts, kept, strict=True) if keep.any()]
        without_each.append(float(np.mean(rest)))
    figure = jackknife(without_each, value)
    return dataclasses.replace(figure, interval=f"{figure.interval} of sounds", standard_deviation=deviation)


def _score(log_labels: np.ndarray) -> float:
    """Exponential of the mean divergence of labels from their mean, from log probabilities [samples, classes]."""
    labels = np.exp(log_labels)
    # A label whose probability underflows to 0 in every sample adds nothing.
    marginal = np.log(np.maximum(labels.mean(axis=0), np.finfo(np.float64).tiny))
    return float(np.exp((labels * (log_labels - marginal)).sum(axis=1).mean()))
