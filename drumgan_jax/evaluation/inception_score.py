"""The Inception Score of a classifier's logits."""

import numpy as np

from drumgan_jax.errors import BadInput
from drumgan_jax.evaluation.intervals import Figure, student


def inception_score(logits: np.ndarray, splits: int = 10, seed: int = 2020) -> Figure:
    """Exponential of the mean divergence of each sample's labels from all samples' labels (Salimans et al. 2016).

    The mean over splits of shuffled samples, in float64; the shuffle and the splits are torch-fidelity's. The interval
    is of the mean over splits; `spread` is the standard deviation over them, which papers report.

    Args:
        logits: of generated samples [samples, classes].
        splits: number of parts.
        seed: of the shuffle.

    Raises:
        BadInput: fewer samples than splits.
    """
    count = len(logits)
    if count < splits or splits < 2:
        raise BadInput(f"An Inception Score over {splits} splits needs that many samples, not {count}; give more.")
    shuffled = np.asarray(logits, np.float64)[np.random.RandomState(seed).permutation(count)]
    shifted = shuffled - shuffled.max(axis=1, keepdims=True)
    log_labels = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    scores = []
    for i in range(splits):
        part = log_labels[i * count // splits : (i + 1) * count // splits]
        labels = np.exp(part)
        # A label of which no sample of the part has any probability left in float64 adds nothing.
        marginal = np.log(np.maximum(labels.mean(axis=0), np.finfo(np.float64).tiny))
        scores.append(np.exp((labels * (part - marginal)).sum(axis=1).mean()))
    value, spread = float(np.mean(scores)), float(np.std(scores))
    half = student(splits - 1) * spread / (splits - 1) ** 0.5
    return Figure(value, value - half, value + half, f"Student's t over {splits} splits", spread)
