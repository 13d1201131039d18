"""The heavy sums behind the metrics: in NumPy on the host, or compiled for the devices of a mesh."""

import dataclasses
import functools
from collections.abc import Callable
from typing import cast

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from drumgan_jax.evaluation import compiled
from drumgan_jax.evaluation.frechet import Distances, MomentsOfParts, frechet_distances
from drumgan_jax.evaluation.inception_score import Scores, scores_of_parts
from drumgan_jax.evaluation.kernel_sums import Points, SubsetSums, subset_sums, sums_within_sounds
from drumgan_jax.evaluation.moments import moments_of_parts
from drumgan_jax.evaluation.neighbours import Neighbourhoods, find_neighbourhoods


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """What the metrics leave to others to compute; draws, checks and intervals are the same for all.

    Attributes:
        distances: as `frechet_distances`.
        moments: as `moments_of_parts`.
        over_subsets: as `subset_sums`.
        within_sounds: as `sums_within_sounds`.
        neighbourhoods: as `find_neighbourhoods`.
        scores: as `scores_of_parts`.
    """

    distances: Distances = frechet_distances
    moments: MomentsOfParts = moments_of_parts
    over_subsets: Callable[[Points, Points, np.ndarray, np.ndarray, float], SubsetSums] = subset_sums
    within_sounds: Callable[[Points, np.ndarray, float], float] = sums_within_sounds
    neighbourhoods: Callable[[np.ndarray, np.ndarray, int], Neighbourhoods] = find_neighbourhoods
    scores: Scores = scores_of_parts


HOST = Arithmetic()


def arithmetic_of(sharding: NamedSharding | None) -> Arithmetic:
    """The faster one where this sharding's devices are: on CPUs the host's, else that of the devices.

    None is for the first device.
    """
    mesh = cast(Mesh, sharding.mesh) if sharding else Mesh(np.array(jax.local_devices()[:1]), ("data",))
    return HOST if mesh.devices.flat[0].platform == "cpu" else on_devices(mesh)


def on_devices(mesh: Mesh) -> Arithmetic:
    """Everything compiled, the rows split over all devices of a mesh."""
    return Arithmetic(
        distances=functools.partial(compiled.frechet_distances, mesh),
        moments=functools.partial(compiled.moments_of_parts, mesh),
        over_subsets=functools.partial(compiled.subset_sums, mesh),
        within_sounds=functools.partial(compiled.sums_within_sounds, mesh),
        neighbourhoods=functools.partial(compiled.find_neighbourhoods, mesh),
        scores=functools.partial(compiled.scores_of_parts, mesh),
    )
