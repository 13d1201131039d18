"""The progressively growing GAN in plain PyTorch, at its last stage while that fades in."""

import functools

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

# Share of the new stage, the same in both frameworks' comparison.
ALPHA = 0.5


def networks(shape: tuple[int, int, int]) -> Networks:
    """Both networks for examples of a shape (freq, time, channels)."""
    return Networks(latents, functools.partial(synthesize, shape[:2]), discriminate, lambda g: [], fit=fit)


def latents(g: Tensors, z: Tensor, labels: Tensor) -> Tensor:
    """ws [batch, 1, w_dim]: z and labels."""
    return torch.cat([z, labels], 1)[:, None]


def synthesize(shape: tuple[int, int], g: Tensors, ws: Tensor, noise: list[Tensor]) -> Tensor:
    """Examples [batch, channels, freq, time] of `shape` (freq, time)."""
    last = count(g, "blocks_{}/same/kernel") - 1
    features = g["blocks_0/same/kernel"].shape[1]
    x = scaled_leaky_relu(dense(g, "blocks_0/dense", second_moment(ws[:, 0])))
    freq = shape[0] >> last
    x = _pixel_norm(x.reshape(len(x), freq, -1, features).movedim(3, 1))
    x = _normed(g, "blocks_0/same", x)
    # Time doubles at the last stages only.
    doublings = (shape[1] // x.shape[3]).bit_length() - 1
    old = x
    for stage in range(1, last + 1):
        factors = (2, 2) if stage > last - doublings else (2, 1)
        old, x = x, F.interpolate(x, scale_factor=factors)
        x = _normed(g, f"blocks_{stage}/same", _normed(g, f"blocks_{stage}/up", x))
    before = F.interpolate(_linear(g, f"outputs_{last - 1}", old), size=shape)
    return fade(before.float(), _linear(g, f"outputs_{last}", x).float())


def discriminate(d: Tensors, x: Tensor, labels: Tensor, shifts: Tensor) -> Output:
    """Logits [batch] and label logits of examples [batch, channels, freq, time]."""
    last = count(d, "inputs_{}/kernel") - 1
    # Time doubles at the last stages only, from the columns that the dense layer sees.
    base = d["dense/kernel"].shape[1] // d["last/kernel"].shape[0] // (x.shape[2] >> last)
    doublings = (x.shape[3] // base).bit_length() - 1
    factors = [(2, 2) if stage > last - doublings else (2, 1) for stage in range(last + 1)]
    old = _convolution(d, f"inputs_{last - 1}", F.avg_pool2d(x, factors[last]))
    x = _block(d, last, _convolution(d, f"inputs_{last}", x), factors[last])
    x = fade(old, x)
    for stage in range(last - 1, 0, -1):
        x = _block(d, stage, x, factors[stage])
    x = _convolution(d, "last", minibatch_stddev(x.float()))
    x = scaled_leaky_relu(dense(d, "dense", rows_of(x)))
    return Output(dense(d, "score", x)[:, 0], dense(d, "labels", x))


def fade(old: Tensor, new: Tensor) -> Tensor:
    """Crossfade of two stages."""
    return (1 - ALPHA) * old + ALPHA * new


def fit(x: Tensor) -> Tensor:
    """Real examples, faded like the generator's; the last stage doubles both axes."""
    return fade(F.interpolate(F.avg_pool2d(x, 2), scale_factor=2), x)


def _pixel_norm(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


def _normed(g: Tensors, path: str, x: Tensor) -> Tensor:
    return _pixel_norm(_convolution(g, path, x))


def _convolution(tensors: Tensors, path: str, x: Tensor) -> Tensor:
    kernel = tensors[f"{path}/kernel"]
    return scaled_leaky_relu(F.conv2d(x, equalized(kernel), tensors[f"{path}/bias"], padding=kernel.shape[2] // 2))


def _linear(g: Tensors, path: str, x: Tensor) -> Tensor:
    return F.conv2d(x, equalized(g[f"{path}/kernel"]), g[f"{path}/bias"])


def _block(d: Tensors, stage: int, x: Tensor, factors: tuple[int, int]) -> Tensor:
    x = _convolution(d, f"blocks_{stage}/next", _convolution(d, f"blocks_{stage}/same", x))
    return F.avg_pool2d(x, factors)
