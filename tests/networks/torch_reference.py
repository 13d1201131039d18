"""PyTorch's layers in NumPy float64, channels first, with weights drawn where they are first used.

A reference network is a function that calls these with PyTorch's names: running it both computes what the network
should give and leaves the state dict, in `state`, that the network's weights are converted from.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class TorchLayers:
    """Layers by name; `state` grows as they are run."""

    def __init__(self, seed=0):
        self.random = np.random.default_rng(seed)
        self.state = {}

    def _draw(self, name, shape, scale, offset=0.0):
        # Kept as float32, so that both sides compute with the same numbers.
        array = (offset + scale * self.random.uniform(-1, 1, shape)).astype(np.float32)
        return self.state.setdefault(name, array).astype(np.float64)

    def conv(self, name, x, features, kernel, stride=1, padding=(0, 0), bias=True):
        x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
        channels = x.shape[1]
        scale = np.sqrt(6.0 / (channels * kernel[0] * kernel[1]))
        weight = self._draw(f"{name}.weight", (features, channels, *kernel), scale)
        windows = sliding_window_view(x, kernel, axis=(2, 3))[:, :, ::stride, ::stride]
        y = np.einsum("bchwij,ocij->bohw", windows, weight, optimize=True)
        return y + self._draw(f"{name}.bias", (features,), 0.1)[:, None, None] if bias else y

    def linear(self, name, x, features, bias=True):
        weight = self._draw(f"{name}.weight", (features, x.shape[1]), np.sqrt(6.0 / x.shape[1]))
        bias = self._draw(f"{name}.bias", (features,), 0.1) if bias else 0.0
        return x @ weight.T + bias

    def batch_norm(self, name, x, epsilon):
        features = x.shape[1]
        shape = (-1,) + (1,) * (x.ndim - 2)
        scale, bias = self._draw(f"{name}.weight", (features,), 0.5, 1.0), self._draw(f"{name}.bias", (features,), 0.1)
        mean = self._draw(f"{name}.running_mean", (features,), 0.1)
        variance = self._draw(f"{name}.running_var", (features,), 0.5, 1.0)
        self.state[f"{name}.num_batches_tracked"] = np.array(7)
        x = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + epsilon)
        return x * scale.reshape(shape) + bias.reshape(shape)


def relu(x):
    return np.maximum(x, 0)


def pool(x, size, stride, padding=0, kind="max"):
    """Maximum or mean over windows; what pads is never the maximum, nor counted in the mean."""
    if padding:
        x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2), constant_values=np.nan)
    windows = sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    return np.nanmax(windows, axis=(4, 5)) if kind == "max" else np.nanmean(windows, axis=(4, 5))


def channels_last(x):
    return x.transpose(0, 2, 3, 1).astype(np.float32)
