"""The sums of `arithmetic.Arithmetic`, compiled for accelerators, with rows split over the devices of a mesh.

In float64, which TPUs emulate; only the kernel distance's products are in float32, as on the host.
"""

from drumgan_jax.evaluation.compiled.frechet import frechet_distances, moments_of_parts
from drumgan_jax.evaluation.compiled.inception_score import scores_of_parts
from drumgan_jax.evaluation.compiled.kernel import subset_sums, sums_within_sounds
from drumgan_jax.evaluation.compiled.neighbours import find_neighbourhoods

__all__ = [
    "find_neighbourhoods",
    "frechet_distances",
    "moments_of_parts",
    "scores_of_parts",
    "subset_sums",
    "sums_within_sounds",
]
