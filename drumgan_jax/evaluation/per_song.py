"""Fréchet distance of each sound of a set to a reference, to find the sounds that do not belong (Gui et al. 2024)."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from drumgan_jax.evaluation.collecting import Embeddings
from drumgan_jax.evaluation.frechet import distance_from
from drumgan_jax.evaluation.intervals import GROUPS, jackknife
from drumgan_jax.evaluation.moments import Moments
from drumgan_jax.evaluation.report import number, table

# Rows at either end of a ranking that are printed.
SHOWN = 10


@dataclasses.dataclass(frozen=True)
class SoundDistance:
    """One sound's distance to the reference.

    Attributes:
        sound: its name.
        distance: squared Fréchet distance of the Gaussians of its embeddings and of the reference's.
        low: lower end of the 95 % interval, a jackknife over up to 10 consecutive parts of the sound; None for a sound
            with one embedding.
        high: upper end of the interval.
        mean_distance: the part of `distance` that is between the means, which has no bias from short sounds.
        embeddings: number of its embeddings.
    """

    sound: str
    distance: float
    low: float | None
    high: float | None
    mean_distance: float
    embeddings: int


def per_song(real: Moments, fake: Embeddings, names: Sequence[str]) -> list[SoundDistance]:
    """Rank a side's sounds by their distance to a reference, the farthest first (Gui et al. 2024).

    A sound of n embeddings has a covariance of rank n - 1 at most; with one embedding it is zero, and the distance is
    that of the means plus the trace of the reference's covariance. Short sounds therefore rank too high, by up to that
    trace. (fadtk has no result for one embedding, and adds 1e-6 to the diagonals of singular covariances.)

    Args:
        real: moments of the reference.
        fake: embeddings of the sounds.
        names: name of each sound of the stream, by its place.
    """
    assert fake.embeddings is not None
    assert fake.sound_of_row is not None
    distance = _distance_from(real)
    sounds, starts = np.unique(fake.sound_of_row, return_index=True)
    ranked = [
        _measured(names[sound], rows.astype(np.float64), real, distance)
        for sound, rows in zip(sounds, np.split(fake.embeddings, starts[1:]), strict=True)
    ]
    return sorted(ranked, key=lambda one: -one.distance)


def _measured(name: str, rows: np.ndarray, real: Moments, distance: Callable[[np.ndarray], float]) -> SoundDistance:
    value, low, high = distance(rows), None, None
    if len(rows) > 1:
        parts = np.array_split(rows, min(len(rows), GROUPS))
        others = (np.concatenate(parts[:left] + parts[left + 1 :]) for left in range(len(parts)))
        figure = jackknife([distance(rest) for rest in others], value)
        low, high = figure.low, figure.high
    mean_distance = float(np.sum((rows.mean(axis=0) - real.mean) ** 2))
    return SoundDistance(name, value, low, high, mean_distance, len(rows))


def _distance_from(real: Moments) -> Callable[[np.ndarray], float]:
    """The Fréchet distance from a reference to the Gaussian of rows [count, dimensions] in float64."""
    distance, covariance = distance_from(real), real.covariance
    trace = np.trace(covariance)

    def from_rows(rows: np.ndarray) -> float:
        count, dimensions = rows.shape
        if count > dimensions:
            return distance(Moments.of(rows))
        # The nonzero eigenvalues of S1 S2 are those of D S1 D^T / (count - 1), for rows D about their mean: a small
        # matrix where there are few rows. Its smallest is zero.
        mean = rows.mean(axis=0)
        deviations, degrees = rows - mean, max(count - 1, 1)
        values = np.linalg.eigvalsh(deviations @ covariance @ deviations.T / degrees)[1:]
        cross = np.sqrt(np.maximum(values, 0.0)).sum()
        spread = np.sum(deviations**2) / degrees
        return float(max(np.sum((mean - real.mean) ** 2) + trace + spread - 2.0 * cross, 0.0))

    return from_rows


def ranking_table(ranked: Sequence[SoundDistance]) -> str:
    """The farthest and nearest sounds of a ranking as a table for the terminal."""
    rows = [
        [
            one.sound,
            str(place),
            number(one.distance),
            "" if one.low is None or one.high is None else f"{number(one.low)} .. {number(one.high)}",
            number(one.mean_distance),
            str(one.embeddings),
        ]
        for place, one in enumerate(ranked, 1)
    ]
    if len(rows) > 2 * SHOWN:
        rows = [*rows[:SHOWN], ["...", *[""] * 5], *rows[-SHOWN:]]
    return table(["sound", "place", "distance", "95 % interval", "of the means", "embeddings"], rows)


def single_embeddings(name: str, ranked: Sequence[SoundDistance], real: Moments) -> list[str]:
    """A sentence on sounds with one embedding, if others have more; `name` is that of the figure."""
    single = sum(one.embeddings == 1 for one in ranked)
    if not single or single == len(ranked):
        return []
    return [
        f"{name}: {single} of {len(ranked)} sounds have one embedding and no covariance, so that they rank too high by "
        f"up to {number(float(np.trace(real.covariance)))}; compare sounds of equal length, or the distances of the "
        "means."
    ]


def as_json(ranked: Sequence[SoundDistance]) -> list[dict[str, Any]]:
    """A ranking in types that JSON can hold."""
    return [dataclasses.asdict(one) for one in ranked]
