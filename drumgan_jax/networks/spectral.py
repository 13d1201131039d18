"""Spectral normalisation: kernels divided by their largest singular value (Miyato et al. 2018).

The power iteration's vector `u` is in the collection "statistics" at its kernel's path in "params". A forward pass
changes nothing: it does one temporary iteration from `u`, and the trainer stores one per step with `advance`. PyTorch
stores one per forward pass in training, so its results depend on the number of passes.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from drumgan_jax.core.parts import Array

# PyTorch's default for convolutions: uniform within 1 / sqrt(fan in).
_UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
_HIGHEST = jax.lax.Precision.HIGHEST


class Kernel(nn.Module):
    """A convolution kernel with a largest singular value of about 1, as a matrix [out, height * width * in].

    Attributes:
        shape: (height, width, in, out); `in` is 1 for depthwise kernels.
    """

    shape: tuple[int, int, int, int]

    @nn.compact
    def __call__(self) -> Array:
        """The kernel of `shape` divided by its largest singular value as estimated from `u`, float32."""
        kernel = self.param("kernel", _UNIFORM, self.shape)
        # The kernel is random, so `u` need not be.
        u = self.variable("statistics", "u", lambda: _unit(jnp.ones(self.shape[-1])))
        return normalize(kernel, u.value)


def normalize(kernel: Array, u: Array) -> Array:
    """Divide a kernel by the singular value found by one power iteration from `u`.

    In derivatives the iteration's vectors are constants, and the singular value is their product with the kernel
    (Miyato et al. 2018, section 2.3).

    Args:
        kernel: [..., out], float32.
        u: [out].
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])
    v, new = jax.lax.stop_gradient(_iterate(matrix, u))
    return kernel / jnp.dot(v, jnp.dot(matrix, new, precision=_HIGHEST), precision=_HIGHEST)


def advance(params: Mapping[str, Any], statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Statistics after one power iteration of every `u` with the kernel at its path; other entries are unchanged.

    Args:
        params: tree with each `kernel` [..., out].
        statistics: tree with each `u` [out].
    """
    kernels, leaves = flatten_dict(dict(params)), flatten_dict(dict(statistics))
    for path, leaf in leaves.items():
        if path[-1] == "u":
            kernel = kernels[(*path[:-1], "kernel")]
            leaves[path] = _iterate(kernel.reshape(-1, kernel.shape[-1]), leaf)[1]
    return unflatten_dict(leaves)


def _iterate(matrix: Array, u: Array) -> tuple[Array, Array]:
    """v [in] and the next u [out] for a matrix [in, out]."""
    v = _unit(jnp.dot(matrix, u, precision=_HIGHEST))
    return v, _unit(jnp.dot(v, matrix, precision=_HIGHEST))


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)
