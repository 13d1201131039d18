"""StyleGAN2 in plain PyTorch.

Modulation scales activations, not kernels: on a CPU a kernel per example (grouped convolution) takes PyTorch five times
as long.
"""

import math

import torch
import torch.nn.functional as F

from benchmarks.torch_baseline.networks import (
    Networks,
    Output,
    Tensor,
    Tensors,
    count,
    dense,
    equalized,
    minibatch_stddev,
    rows_of,
    scaled_leaky_relu,
    second_moment,
)


def networks(shape: tuple[int, int, int]) -> Networks:
    """Both networks; their sizes follow from the tensors."""
    return Networks(latents, synthesize, discriminate, noise_sizes)


def latents(g: Tensors, z: Tensor, labels: Tensor) -> Tensor:
    """ws [batch, layers, w_dim] of z [batch, z_dim]."""
    x = second_moment(z)
    for i in range(count(g, "mapping/dense_{}/kernel")):
        x = scaled_leaky_relu(dense(g, f"mapping/dense_{i}", x, 0.01))
    return x[:, None].expand(-1, 2 * _levels(g), -1)


def noise_sizes(g: Tensors) -> list[tuple[int, ...]]:
    """Size of each convolution's noise."""
    _, freq, time = g["constant"].shape
    return [(1, freq << level, time << level) for level in range(_levels(g)) for _ in range(2 if level else 1)]


def synthesize(g: Tensors, ws: Tensor, noise: list[Tensor]) -> Tensor:
    """Examples [batch, channels, freq, time]."""
    x, image, number = g["constant"].expand(len(ws), -1, -1, -1), None, 0
    for level in range(_levels(g)):
        for name in ("up", "same") if level else ("same",):
            x = _styled(g, f"blocks_{level}/{name}", x, ws[:, number], noise[number])
            number += 1
        summand = _to_output(g, f"blocks_{level}/output", x, ws[:, number])
        image = summand if image is None else _upsample(image) + summand
    return image.float()


def discriminate(d: Tensors, x: Tensor, labels: Tensor, shifts: Tensor) -> Output:
    """Logits [batch] of examples [batch, channels, freq, time]."""
    half = math.sqrt(0.5)
    x = scaled_leaky_relu(F.conv2d(x, equalized(d["input/kernel"]), d["input/bias"]))
    for level in range(sum(path.endswith("skip/kernel") for path in d), 0, -1):
        block = f"block_{level}"
        skip = F.conv2d(_blur(x, 1, stride=2), equalized(d[f"{block}/skip/kernel"]))
        x = F.conv2d(x, equalized(d[f"{block}/same/kernel"]), d[f"{block}/same/bias"], padding=1)
        x = _blur(scaled_leaky_relu(x), 2)
        x = F.conv2d(x, equalized(d[f"{block}/down/kernel"]), d[f"{block}/down/bias"], stride=2)
        x = (skip + scaled_leaky_relu(x)) * half
    x = minibatch_stddev(x.float())
    x = scaled_leaky_relu(F.conv2d(x, equalized(d["last/kernel"]), d["last/bias"], padding=1))
    x = scaled_leaky_relu(dense(d, "dense", rows_of(x)))
    return Output(dense(d, "score", x)[:, 0])


def _levels(g: Tensors) -> int:
    return count(g, "blocks_{}/same/kernel")


def _styled(g: Tensors, path: str, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
    kernel, styles = g[f"{path}/kernel"], dense(g, f"{path}/style", w)
    x = x * styles[:, :, None, None]
    if path.endswith("up"):
        x = 4 * _blur(F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2), 1)
    else:
        x = F.conv2d(x, kernel, padding=1)
    demodulation = torch.rsqrt(F.linear(styles.square(), kernel.square().sum((2, 3))) + 1e-8)
    x = x * demodulation[:, :, None, None] + g[f"{path}/noise_strength"] * noise
    return scaled_leaky_relu(x + g[f"{path}/bias"][:, None, None])


def _to_output(g: Tensors, path: str, x: Tensor, w: Tensor) -> Tensor:
    styles = dense(g, f"{path}/style", w) / math.sqrt(x.shape[1])
    return F.conv2d(x * styles[:, :, None, None], g[f"{path}/kernel"], g[f"{path}/bias"])


def _blur(x: Tensor, padding: int, stride: int = 1) -> Tensor:
    """Blur with [1, 3, 3, 1] and unit gain, after padding every side."""
    taps = torch.tensor([0.125, 0.375, 0.375, 0.125], dtype=x.dtype, device=x.device)
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, padding=padding, stride=stride, groups=x.shape[1])


def _upsample(x: Tensor) -> Tensor:
    batch, channels, freq, time = x.shape
    apart = F.pad(x[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1)).reshape(batch, channels, 2 * freq, 2 * time)
    return 4 * _blur(F.pad(apart, (2, 1, 2, 1)), 0)
