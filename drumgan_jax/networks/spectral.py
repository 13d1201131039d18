"""Spectral normalisation: kernels divided by their largest singular value (Miyato et al. 2018).

The vector `u` that a power iteration keeps lies in the collection "statistics" at its kernel's path in "params". A
forward pass changes nothing: it takes one iteration from `u` for its own use, and whoever trains keeps one a step, with
`advance`. PyTorch's form keeps one at each forward pass in training, so that it depends on how often that is.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from drumgan_jax.core.parts import Array

# PyTorch's default of a convolution: uniform, within one over the root of the fan in.
_UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
_HIGHEST = jax.lax.Precision.HIGHEST


class Kernel(nn.Module):
    """A convolution's kernel with a largest singular value of about one, as the matrix [out, height * width * in].

    Attributes:
        shape: (height, width, in, out); a depthwise one has 1 as its `in`.
    """

    shape: tuple[int, int, int, int]

    @nn.compact
    def __call__(self) -> Array:
        """The kernel of `shape` divided by its largest singular value as far as `u` tells it, float32."""
        kernel = self.param("kernel", _UNIFORM, self.shape)
        # Nothing is gained by drawing it, since the kernel is.
        u = self.variable("statistics", "u", lambda: _unit(jnp.ones(self.shape[-1])))
        return normalize(kernel, u.value)


def normalize(kernel: Array, u: Array) -> Array:
    """A kernel divided by the singular value that one power iteration from `u` finds.

    Differentiated, the vectors of the iteration count as constants, and the singular value as their product with the
    kernel (Miyato et al. 2018, section 2.3).

    Args:
        kernel: [..., out], float32.
        u: [out].
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])
    v, new = jax.lax.stop_gradient(_iterate(matrix, u))
    return kernel / jnp.dot(v, jnp.dot(matrix, new, precision=_HIGHEST), precision=_HIGHEST)


def advance(params: Mapping[str, Any], statistics: Mapping[str, Any]) -> dict[str, Any]:
    """ObjectiveState after one power iteration of every `u`, each by the kernel at its path; the rest is as it was.

    Args:
        params: tree with each `kernel` [..., out].
        statistics: tree with each `u` [out].
    """
    kernels, kept = flatten_dict(dict(params)), flatten_dict(dict(statistics))
    for path, leaf in kept.items():
        if path[-1] == "u":
            kernel = kernels[(*path[:-1], "kernel")]
            kept[path] = _iterate(kernel.reshape(-1, kernel.shape[-1]), leaf)[1]
    return unflatten_dict(kept)


def _iterate(matrix: Array, u: Array) -> tuple[Array, Array]:
    """v [in] and the next u [out] of a matrix [in, out]."""
    v = _unit(jnp.dot(matrix, u, precision=_HIGHEST))
    return v, _unit(jnp.dot(v, matrix, precision=_HIGHEST))


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)
