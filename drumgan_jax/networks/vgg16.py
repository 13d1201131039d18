"""VGG16 with untrained weights: random features for precision, recall, density and coverage.

Simonyan and Zisserman 2015, configuration D; used untrained by Naeem et al. 2020, "Reliable fidelity and diversity
metrics for generative models", with a second dense layer of width 64. Modules have torchvision's names.
"""

from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.torch_layout import convert

_GRID = 7
_EXAMPLE = (1, 32, 32, 3)


class VGG16(nn.Module):
    """Thirteen convolutions in five stages, average pooling to a 7 x 7 grid, and two dense layers.

    Attributes:
        widths: channels of the stages.
        hidden: width of the first dense layer.
        dimensions: width of the second dense layer, whose output without ReLU is the embedding.
    """

    widths: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)
    hidden: int = 4096
    dimensions: int = 64

    @nn.compact
    def __call__(self, images: Array) -> Array:
        """Embeddings [batch, dimensions] of images [batch, height, width, 3], at least 32 x 32."""
        x, index = images, 0
        for width, depth in zip(self.widths, (2, 2, 3, 3, 3), strict=True):
            for _ in range(depth):
                x = nn.relu(nn.Conv(width, (3, 3), name=f"features.{index}")(x))
                index += 2
            x = nn.max_pool(x, (2, 2), (2, 2))
            index += 1
        grid = jnp.einsum("hi,wj,bijc->bchw", _pooling(x.shape[1]), _pooling(x.shape[2]), x)
        x = nn.relu(nn.Dense(self.hidden, name="classifier.0")(grid.reshape(x.shape[0], -1)))
        return nn.Dense(self.dimensions, name="classifier.3")(x)


def _pooling(size: int) -> np.ndarray:
    """Matrix [7, size] of adaptive average pooling: cell i covers floor(i size / 7) to ceil((i + 1) size / 7)."""
    matrix = np.zeros((_GRID, size), np.float32)
    for i in range(_GRID):
        start, stop = i * size // _GRID, -(-(i + 1) * size // _GRID)
        matrix[i, start:stop] = 1.0 / (stop - start)
    return matrix


def draw(network: VGG16, seed: int) -> dict[str, Any]:
    """Draw random variables from a seed, the same with every version of NumPy and JAX.

    The distributions are torchvision's: convolutions normal with variance 2 / (9 * channels out) (He et al. 2015, by
    fan out), dense layers normal with standard deviation 0.01, biases zero. They are drawn layer by layer, in the order
    of the kernels' elements, from NumPy's RandomState, whose stream NumPy guarantees.
    """
    random = np.random.RandomState(seed)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jax.ShapeDtypeStruct(_EXAMPLE, np.float32))
    flat = flax.traverse_util.flatten_dict(shapes)
    variables = {}
    # By index, with the layers of "features" before those of "classifier".
    for path in sorted(flat, key=lambda path: (path[1][0] == "c", int(path[1].rpartition(".")[2]), path[2])):
        shape = flat[path].shape
        array = np.zeros(shape, np.float32)
        if path[-1] == "kernel":
            deviation = np.sqrt(2.0 / (9 * shape[-1])) if len(shape) == 4 else 0.01
            # Row by row to save memory, because the draws are float64.
            for row in array.reshape(-1, shape[-1]):
                row[:] = random.standard_normal(shape[-1]) * deviation
        variables[path] = array
    return flax.traverse_util.unflatten_dict(variables)


def from_torch(state: Mapping[str, np.ndarray], network: VGG16) -> dict[str, Any]:
    """Variables from torchvision's state dict, with a second dense layer of width `dimensions` and no third.

    Raises:
        BadInput: the state dict does not fit the network.
    """
    return convert(state, network, _EXAMPLE)
