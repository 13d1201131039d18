"""What the training steps need of a system's networks, and how Flax variables become tensors."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

Tensor = Any
Tensors = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Output:
    """A discriminator's answer.

    Attributes:
        logits: of all maps in one row [logits].
        labels: predicted label logits [batch, labels], or None.
    """

    logits: Tensor
    labels: Tensor = None


@dataclasses.dataclass(frozen=True)
class Networks:
    """Both networks of a system, as functions of their tensors by path; examples are [batch, channels, ...].

    Attributes:
        latents: ws [batch, layers, w_dim] from tensors, z [batch, z_dim] and labels.
        synthesize: examples from tensors, ws and a list of noises.
        discriminate: Output from tensors, examples, labels and shifts of phase [batch, layers] or None.
        noise_sizes: the noises' sizes without the batch, from the generator's tensors.
        prepare: what is computed of the discriminator's tensors once a step.
        advance: changes the discriminator's constant tensors before its step.
        fit: real examples as the discriminator sees them.
    """

    latents: Callable[[Tensors, Tensor, Tensor], Tensor]
    synthesize: Callable[[Tensors, Tensor, list[Tensor]], Tensor]
    discriminate: Callable[[Tensors, Tensor, Tensor, Tensor], Output]
    noise_sizes: Callable[[Tensors], list[tuple[int, ...]]]
    prepare: Callable[[Tensors], Tensors] = lambda tensors: tensors
    advance: Callable[[Tensors], None] = lambda tensors: None
    fit: Callable[[Tensor], Tensor] = lambda x: x


def channels_first(path: str, array: np.ndarray) -> np.ndarray:
    """A Flax variable in PyTorch's layout: kernels [out, in, ...], the learned constant [channels, ...]."""
    if array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
        # A waveform's kernel has one row; a 1 x 1 kernel stays as it is.
        array = array[:, :, 0] if array.shape[2] == 1 < array.shape[3] else array
    elif array.ndim == 3:
        array = array.transpose(2, 0, 1)
        array = array[:, 0] if array.shape[1] == 1 else array
    elif array.ndim == 2 and path.endswith("kernel"):
        array = array.T
    return np.ascontiguousarray(array)


def example_channels_first(x: np.ndarray) -> np.ndarray:
    """Examples or noise [batch, freq, time, channels] as [batch, channels, freq, time], waveforms without freq."""
    x = np.asarray(x).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(x[:, :, 0] if x.shape[2] == 1 else x)


def count(tensors: Tensors, pattern: str) -> int:
    """How many of pattern.format(0), pattern.format(1), ... there are."""
    number = 0
    while pattern.format(number) in tensors:
        number += 1
    return number


def second_moment(z: Tensor) -> Tensor:
    """Rows [batch, features] divided by their RMS."""
    return z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)


def scaled_leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2, times sqrt(2)."""
    return F.leaky_relu(x, 0.2) * 2**0.5


def dense(tensors: Tensors, path: str, x: Tensor, multiplier: float = 1.0) -> Tensor:
    """Equalised dense layer of x [batch, in]."""
    kernel = tensors[f"{path}/kernel"]
    return F.linear(x, kernel * (multiplier / kernel.shape[1] ** 0.5), tensors[f"{path}/bias"] * multiplier)


def equalized(kernel: Tensor) -> Tensor:
    """A kernel [out, in, ...] over the root of its fan in."""
    return kernel / kernel[0].numel() ** 0.5


def rows_of(x: Tensor) -> Tensor:
    """[batch, freq * time * channels] in the order that the dense layers' weights have, from [batch, channels, ...]."""
    return x.movedim(1, -1).flatten(1)


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """x with the standard deviation over groups as another channel."""
    group = min(group, len(x))
    deviation = x.reshape(group, -1, *x.shape[1:]).var(0, unbiased=False)
    statistic = torch.sqrt(deviation + 1e-8).mean((1, 2, 3)).repeat(group)
    return torch.cat([x, statistic[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1)
