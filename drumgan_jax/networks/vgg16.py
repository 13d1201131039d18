"""VGG16 with weights that stay as drawn: random features for precision, recall, density and coverage.

Simonyan and Zisserman 2015, configuration D; the use without training is that of Naeem et al. 2020, "Reliable fidelity
and diversity metrics for generative models", who cut the second dense layer to 64. Modules carry torchvision's names.
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
    """Thirteen convolutions in five stages, the mean over a 7 x 7 grid, and two dense layers.

    Attributes:
        widths: channels of the stages.
        hidden: width of the first dense layer.
        dimensions: of the second, whose output before any rectifier is the embedding.
    """

    widths: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)
    hidden: int = 4096
    dimensions: int = 64

    @nn.compact
    def __call__(self, pictures: Array) -> Array:
        """Embeddings [batch, dimensions] of pictures [batch, height, width, 3], sides from 32 on."""
        x, place = pictures, 0
        for width, depth in zip(self.widths, (2, 2, 3, 3, 3), strict=True):
            for _ in range(depth):
                x = nn.relu(nn.Conv(width, (3, 3), name=f"features.{place}")(x))
                place += 2
            x = nn.max_pool(x, (2, 2), (2, 2))
            place += 1
        grid = jnp.einsum("hi,wj,bijc->bchw", _averaging(x.shape[1]), _averaging(x.shape[2]), x)
        x = nn.relu(nn.Dense(self.hidden, name="classifier.0")(grid.reshape(x.shape[0], -1)))
        return nn.Dense(self.dimensions, name="classifier.3")(x)


def _averaging(size: int) -> np.ndarray:
    """Matrix [7, size] of PyTorch's adaptive mean: cell i is over floor(i size / 7) up to ceil((i + 1) size / 7)."""
    matrix = np.zeros((_GRID, size), np.float32)
    for i in range(_GRID):
        start, stop = i * size // _GRID, -(-(i + 1) * size // _GRID)
        matrix[i, start:stop] = 1.0 / (stop - start)
    return matrix


def draw(network: VGG16, seed: int) -> dict[str, Any]:
    """Random variables, the same for a seed for ever.

    The distributions are torchvision's: convolutions normal with variance 2 / (9 * channels out) (He et al. 2015, by
    fan out), dense layers with standard deviation 0.01, biases zero. They come from NumPy's RandomState, whose stream
    NumPy guarantees, layer after layer, in the order of the kernels' elements here.
    """
    random = np.random.RandomState(seed)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jax.ShapeDtypeStruct(_EXAMPLE, np.float32))
    flat = flax.traverse_util.flatten_dict(shapes)
    variables = {}
    # By place in the lists "features" and "classifier", of which the first is also the first to be run.
    for path in sorted(flat, key=lambda path: (path[1][0] == "c", int(path[1].rpartition(".")[2]), path[2])):
        shape = flat[path].shape
        array = np.zeros(shape, np.float32)
        if path[-1] == "kernel":
            deviation = np.sqrt(2.0 / (9 * shape[-1])) if len(shape) == 4 else 0.01
            # Row by row, because the draws are float64.
            for row in array.reshape(-1, shape[-1]):
                row[:] = random.standard_normal(shape[-1]) * deviation
        variables[path] = array
    return flax.traverse_util.unflatten_dict(variables)


def from_torch(state: Mapping[str, np.ndarray], network: VGG16) -> dict[str, Any]:
    """Variables of torchvision's state dict with a second dense layer of the network's width, and none after it.

    Raises:
        BadInput: the layout is another.
    """
    return convert(state, network, _EXAMPLE)
