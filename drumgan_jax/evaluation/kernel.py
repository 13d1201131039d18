"""Kernel distance between two sets of embeddings: KID on Inception embeddings, and the same on any others."""

import math
from collections.abc import Callable

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.intervals import NORMAL, Figure, has_several_rows, sound_index
from drumgan_jax.evaluation.kernel_sums import Points, SubsetSums, centred, subset_sums, sums_within_sounds


def kernel_distance(
    real: np.ndarray,
    fake: np.ndarray,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
    *,
    real_sounds: np.ndarray | None = None,
    fake_sounds: np.ndarray | None = None,
    over_subsets: Callable[[Points, Points, np.ndarray, np.ndarray, float], SubsetSums] = subset_sums,
    within_sounds: Callable[[Points, np.ndarray, float], float] = sums_within_sounds,
) -> Figure:
    """Mean over random subsets of the unbiased squared maximum mean discrepancy (Bińkowski et al. 2018, eq. 4).

    The kernel is (x.y / dimensions + 1)^3. Subsets are drawn without replacement as torch-fidelity draws them, with the
    fake set as its first input. The distance can be slightly negative.

    Embeddings are taken relative to their common mean; the products of these differences and what depends on them are
    in float32, all else is in float64. The result differed from that of float64 by up to 1e-10, at distances of 1e-5 to
    7e-4 (2048 dimensions).

    The interval covers the sampling of sounds on both sides, by the delta method on each sound's share of the distance
    (the sum over its samples), and of finitely many subsets; `standard_deviation` is over subsets. The estimate is
    unbiased for independent samples only: two samples of one sound are more alike than two of the distribution, so the
    distance of equal distributions is above zero, the more so the fewer the sounds. The value includes that excess, as
    published; the interval is extended downwards by it.

    Args:
        real: real embeddings [samples, dimensions].
        fake: generated embeddings [samples, dimensions].
        subsets: number of subsets.
        subset_size: samples of each side in a subset.
        seed: seed of the draws.
        real_sounds: sound number of each real embedding [samples] int, non-decreasing; None if each is its own sound.
        fake_sounds: sound number of each generated embedding, likewise.
        over_subsets: computes the sums over subsets.
        within_sounds: computes the sums over pairs from one sound.

    Raises:
        BadInput: a side has fewer samples than a subset or only one sound, a subset has fewer than two samples, or the
            dimensions differ.
    """
    for name, side in (("real", real), ("generated", fake)):
        if len(side) < 2:
            raise BadInput(f"A kernel distance needs at least 2 {name} embeddings, not {len(side)}; give more sounds.")
        if len(side) < subset_size:
            raise BadInput(
                f"A kernel distance on subsets of {subset_size} needs that many {name} embeddings, not {len(side)}; "
                "give more sounds or a smaller subset size."
            )
    if subset_size < 2:
        raise BadInput(f"A kernel distance needs subsets of at least 2 embeddings, not {subset_size}.")
    if real.shape[1] != fake.shape[1]:
        raise BadInput(
            f"A kernel distance cannot compare embeddings with {real.shape[1]} and {fake.shape[1]} dimensions; embed "
            "both sides with the same embedder."
        )
    of_fake, of_real = sound_index(fake_sounds, len(fake), "generated"), sound_index(real_sounds, len(real), "real")
    draws = np.random.RandomState(seed)
    drawn = [[draws.choice(len(side), subset_size, replace=False) for side in (fake, real)] for _ in range(subsets)]
    indices = np.array([pair[0] for pair in drawn]), np.array([pair[1] for pair in drawn])
    x, y, constant = centred(fake, real)
    within_fake, fake_near_fake, _ = over_subsets(x, x, indices[0], indices[0], constant)
    within_real, real_near_real, _ = over_subsets(y, y, indices[1], indices[1], constant)
    across, fake_near_real, real_near_fake = over_subsets(x, y, indices[0], indices[1], constant)
    estimates = (within_fake + within_real) / (subset_size * (subset_size - 1)) - 2 * across / subset_size**2

    # Each sample's derivative of the distance, with a factor of 2 because a sample can be either one of a pair.
    variance = (
        _variance_of_mean(2 * (fake_near_fake - fake_near_real), of_fake)
        + _variance_of_mean(2 * (real_near_real - real_near_fake), of_real)
        + estimates.var() / subsets
    )
    value, half = float(estimates.mean()), NORMAL * math.sqrt(variance)
    interval, unbiased = "delta method over samples, and the draw of subsets", value
    if has_several_rows(of_fake) or has_several_rows(of_real):
        interval = "delta method over sounds, the draw of subsets, and the excess of pairs from one sound"
        unbiased -= _excess(within_sounds(x, of_fake, constant), fake_near_fake, of_fake)
        unbiased -= _excess(within_sounds(y, of_real, constant), real_near_real, of_real)
    return Figure(value, min(value, unbiased) - half, max(value, unbiased) + half, interval, float(estimates.std()))


def _variance_of_mean(shares: np.ndarray, index: np.ndarray) -> float:
    """Variance of the mean of shares [samples] clustered by `sound_index` [samples]; unknown shares are NaN.

    The sum over sounds of the squared sum of the sound's centred shares, divided by the squared number of shares
    (Liang and Zeger 1986).
    """
    known = np.isfinite(shares)
    centred = np.where(known, shares - np.nanmean(shares), 0)
    return float(np.sum(np.bincount(index, centred) ** 2) / known.sum() ** 2)


def _excess(within: float, near: np.ndarray, index: np.ndarray) -> float:
    """Excess in the mean kernel value of a side's pairs due to pairs from one sound.

    Args:
        within: sum of kernel values over the pairs from one sound.
        near: mean kernel value of each sample with the others [samples]; NaN if unknown.
        index: sound number of each sample [samples], from `sound_index`.
    """
    rows = np.bincount(index)
    pairs, all_pairs = int(np.sum(rows * (rows - 1))), len(index) * (len(index) - 1)
    # The mean over all pairs minus the mean over pairs of different sounds.
    return (within - pairs * float(np.nanmean(near))) / (all_pairs - pairs)
