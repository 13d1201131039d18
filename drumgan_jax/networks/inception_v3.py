"""Inception-v3 as used for the Fréchet inception distance (Szegedy et al. 2016; Heusel et al. 2017).

The network of TensorFlow's "inception-2015-12-05": as torchvision's, except that average pooling does not count the
padding, the last block uses max pooling, and there are 1008 classes and no auxiliary head. Modules have torchvision's
names.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.torch_layout import convert


@dataclasses.dataclass(frozen=True)
class _Layer:
    name: str
    width: int
    kernel: tuple[int, int] = (1, 1)
    down: bool = False


# A branch is a sequence of steps; a step is one layer, or two in parallel.
_Branch = tuple[tuple[_Layer, ...], ...]


def average_pool(x: Array) -> Array:
    """3 x 3 average pooling with stride 1 of [batch, height, width, channels], without counting the padding."""
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def maximum_pool(x: Array) -> Array:
    """3 x 3 max pooling with stride 1 of [batch, height, width, channels]."""
    return nn.max_pool(x, (3, 3), padding="SAME")


def _halving_pool(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), (2, 2))


class InceptionV3(nn.Module):
    """Inception-v3 from images to features and logits, with frozen batch statistics.

    Attributes:
        num_classes: number of logits.
        divisor: divisor of all widths; 1 is the published network.
    """

    num_classes: int = 1008
    divisor: int = 1

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, Array]:
        """Features "pool3" [batch, 2048] and logits without bias, "logits_unbiased" [batch, num_classes].

        Args:
            images: [batch, height, width, 3] within [-1, 1], at least 75 x 75; 299 x 299 as published.
        """
        x = self._stem(images)
        for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = _Block(_branches_a(), average_pool, pooled, self.divisor, name=name)(x)
        x = _Block(_branches_b(), _halving_pool, 0, self.divisor, name="Mixed_6a")(x)
        for name, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = _Block(_branches_c(width), average_pool, 192, self.divisor, name=name)(x)
        x = _Block(_branches_d(), _halving_pool, 0, self.divisor, name="Mixed_7a")(x)
        x = _Block(_branches_e(), average_pool, 192, self.divisor, name="Mixed_7b")(x)
        x = _Block(_branches_e(), maximum_pool, 192, self.divisor, name="Mixed_7c")(x)
        x = jnp.mean(x, axis=(1, 2))
        return x, nn.Dense(self.num_classes, use_bias=False, name="fc")(x)

    def _stem(self, x: Array) -> Array:
        def unit(name: str, width: int, size: int, stride: int = 1, padding: str = "VALID") -> _Unit:
            return _Unit(width // self.divisor, (size, size), stride, padding, name=name)

        x = unit("Conv2d_1a_3x3", 32, 3, stride=2)(x)
        x = unit("Conv2d_2a_3x3", 32, 3)(x)
        x = _halving_pool(unit("Conv2d_2b_3x3", 64, 3, padding="SAME")(x))
        x = unit("Conv2d_3b_1x1", 80, 1)(x)
        return _halving_pool(unit("Conv2d_4a_3x3", 192, 3)(x))


class _Unit(nn.Module):
    width: int
    kernel: tuple[int, int]
    stride: int
    padding: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        strides = (self.stride, self.stride)
        x = nn.Conv(self.width, self.kernel, strides, self.padding, use_bias=False, name="conv")(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x))


class _Block(nn.Module):
    branches: tuple[_Branch, ...]
    pool: Callable[[Array], Array]
    pooled: int
    divisor: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        outputs = []
        for branch in self.branches:
            y = x
            for step in branch:
                y = jnp.concatenate([self._unit(layer)(y) for layer in step], axis=-1)
            outputs.append(y)
        y = self.pool(x)
        outputs.append(self._unit(_Layer("branch_pool", self.pooled))(y) if self.pooled else y)
        return jnp.concatenate(outputs, axis=-1)

    def _unit(self, layer: _Layer) -> _Unit:
        stride, padding = (2, "VALID") if layer.down else (1, "SAME")
        return _Unit(layer.width // self.divisor, layer.kernel, stride, padding, name=layer.name)


def _chain(*layers: _Layer) -> _Branch:
    return tuple((layer,) for layer in layers)


def _branches_a() -> tuple[_Branch, ...]:
    return (
        _chain(_Layer("branch1x1", 64)),
        _chain(_Layer("branch5x5_1", 48), _Layer("branch5x5_2", 64, (5, 5))),
        _chain(
            _Layer("branch3x3dbl_1", 64),
            _Layer("branch3x3dbl_2", 96, (3, 3)),
            _Layer("branch3x3dbl_3", 96, (3, 3)),
        ),
    )


def _branches_b() -> tuple[_Branch, ...]:
    return (
        _chain(_Layer("branch3x3", 384, (3, 3), down=True)),
        _chain(
            _Layer("branch3x3dbl_1", 64),
            _Layer("branch3x3dbl_2", 96, (3, 3)),
            _Layer("branch3x3dbl_3", 96, (3, 3), down=True),
        ),
    )


def _branches_c(width: int) -> tuple[_Branch, ...]:
    return (
        _chain(_Layer("branch1x1", 192)),
        _chain(_Layer("branch7x7_1", width), _Layer("branch7x7_2", width, (1, 7)), _Layer("branch7x7_3", 192, (7, 1))),
        _chain(
            _Layer("branch7x7dbl_1", width),
            _Layer("branch7x7dbl_2", width, (7, 1)),
            _Layer("branch7x7dbl_3", width, (1, 7)),
            _Layer("branch7x7dbl_4", width, (7, 1)),
            _Layer("branch7x7dbl_5", 192, (1, 7)),
        ),
    )


def _branches_d() -> tuple[_Branch, ...]:
    return (
        _chain(_Layer("branch3x3_1", 192), _Layer("branch3x3_2", 320, (3, 3), down=True)),
        _chain(
            _Layer("branch7x7x3_1", 192),
            _Layer("branch7x7x3_2", 192, (1, 7)),
            _Layer("branch7x7x3_3", 192, (7, 1)),
            _Layer("branch7x7x3_4", 192, (3, 3), down=True),
        ),
    )


def _branches_e() -> tuple[_Branch, ...]:
    def fork(name: str) -> tuple[_Layer, _Layer]:
        return _Layer(f"{name}a", 384, (1, 3)), _Layer(f"{name}b", 384, (3, 1))

    return (
        _chain(_Layer("branch1x1", 320)),
        (*_chain(_Layer("branch3x3_1", 384)), fork("branch3x3_2")),
        (*_chain(_Layer("branch3x3dbl_1", 448), _Layer("branch3x3dbl_2", 384, (3, 3))), fork("branch3x3dbl_3")),
    )


def from_torch(state: Mapping[str, np.ndarray], network: InceptionV3) -> dict[str, Any]:
    """Variables from pytorch-fid's state dict; the logits' bias is left out.

    Raises:
        BadInput: the state dict does not fit the network.
    """
    return convert(state, network, (1, 75, 75, 3), ignored=("fc.bias",))
