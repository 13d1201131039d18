"""Rank correlation of two quantities."""

import numpy as np
from scipy.stats import rankdata


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation [...] of each pair of rows [..., n]; ties share their mean rank.

    NaN if all values of a row are equal.
    """
    first, second = (_standard(rankdata(np.asarray(side, np.float64), axis=-1)) for side in (a, b))
    return np.clip(np.mean(first * second, axis=-1), -1.0, 1.0)


def _standard(ranks: np.ndarray) -> np.ndarray:
    deviation = ranks.std(axis=-1, keepdims=True)
    varies = deviation > 0.0
    centred = ranks - ranks.mean(axis=-1, keepdims=True)
    return np.where(varies, centred / np.where(varies, deviation, 1.0), np.nan)
