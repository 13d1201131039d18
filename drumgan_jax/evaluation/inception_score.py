"""The Inception Score of a classifier's logits."""

import dataclasses
from collections.abc import Callable, Sequence

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

# Scores [parts] of some of the samples, from logits [samples, classes] and the sample numbers of each part.
Scores = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]


def scores_of_parts(logits: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Exponential of the mean divergence of labels from their mean [parts], for each array of sample numbers."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_labels = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.array([_score(log_labels[part]) for part in parts])


def inception_score(
    logits: np.ndarray,
    splits: int = 10,
    seed: int = 2020,
    *,
    sounds: np.ndarray | None = None,
    scores: Scores = scores_of_parts,
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
        scores: computes the scores of the splits.

    Raises:
        BadInput: there are fewer samples than splits, or all samples are from one sound.
    """
    count = len(logits)
    if count < splits or splits < 2:
        raise BadInput(f"An Inception Score over {splits} splits needs that many samples, not {count}; give more.")
    index = sound_index(sounds, count, "classified")
    order = np.random.RandomState(seed).permutation(count)
    parts = np.split(order, [i * count // splits for i in range(1, splits)])
    of_splits = scores(logits, parts)
    value, deviation = float(np.mean(of_splits)), float(np.std(of_splits))
    if not has_several_rows(index):
        half = student(splits - 1) * deviation / (splits - 1) ** 0.5
        return Figure(value, value - half, value + half, f"Student's t over {splits} splits", deviation)

    rests = [
        [part[~np.isin(part, group)] for part in parts]
        for group in groups_of_sounds(index, GROUPS, np.random.default_rng(seed))
    ]
    # With few samples, a group may hold a whole split.
    rests = [[rest for rest in of_group if len(rest)] for of_group in rests]
    found = scores(logits, [rest for of_group in rests for rest in of_group])
    of_groups = np.split(found, np.cumsum([len(of_group) for of_group in rests])[:-1])
    figure = jackknife([float(np.mean(one)) for one in of_groups], value)
    return dataclasses.replace(figure, interval=f"{figure.interval} of sounds", standard_deviation=deviation)


def _score(log_labels: np.ndarray) -> float:
    """Exponential of the mean divergence of labels from their mean, from log probabilities [samples, classes]."""
    labels = np.exp(log_labels)
    # A label whose probability underflows to 0 in every sample adds nothing.
    marginal = np.log(np.maximum(labels.mean(axis=0), np.finfo(np.float64).tiny))
    return float(np.exp((labels * (log_labels - marginal)).sum(axis=1).mean()))
