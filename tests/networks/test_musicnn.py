"""musicnn against NumPy float64 in its published layout, and its taps against the same layers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks import musicnn
from drumgan_jax.networks.musicnn import Musicnn, MusicnnTaps
from drumgan_jax.networks.tensorflow_layout import convert

pytestmark = pytest.mark.usefixtures("unoptimized")
SIZES: dict[str, Any] = {"timbral": 3, "heights": (5, 11), "temporal": 2, "lengths": (9, 6, 4), "middle": 3}
SMALL = Musicnn(num_labels=3, hidden=4, **SIZES)
BANDS = 48


class Layers:
    """TensorFlow's layers in NumPy float64, [batch, frames, bands, channels]; `state` keeps the weights drawn."""

    def __init__(self) -> None:
        self.random, self.state = np.random.default_rng(0), {"beta1_power": np.float32(0.9)}

    def draw(self, name: str, shape: tuple[int, ...], scale: float, offset: float = 0.0) -> np.ndarray:
        array = (offset + scale * self.random.uniform(-1, 1, shape)).astype(np.float32)
        self.state[f"{name}/Adam_1"] = np.zeros_like(array)
        return self.state.setdefault(name, array).astype(np.float64)

    def convolution(self, index: int, x: np.ndarray, size: tuple[int, int], features: int, pad: bool) -> np.ndarray:
        """ReLU of a correlation; `pad` as TensorFlow's "same" in time, which an even filter has more of after."""
        name = f"conv2d_{index}" if index else "conv2d"
        kernel = self.draw(f"{name}/kernel", (*size, 1, features), np.sqrt(6.0 / np.prod(size)))
        bias = self.draw(f"{name}/bias", (features,), 0.3)
        if pad:
            x = np.pad(x, ((0, 0), ((size[0] - 1) // 2, size[0] // 2), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
        return np.maximum(np.einsum("btfij,ijo->btfo", windows, kernel[:, :, 0]) + bias, 0.0)

    def normalized(self, index: int, x: np.ndarray) -> np.ndarray:
        name, width = f"batch_normalization_{index}" if index else "batch_normalization", (x.shape[-1],)
        gamma, beta = self.draw(f"{name}/gamma", width, 1.0, 0.3), self.draw(f"{name}/beta", width, 0.2)
        mean, variance = (
            self.draw(f"{name}/moving_mean", width, 0.3),
            self.draw(f"{name}/moving_variance", width, 0.5, 1.0),
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def dense(self, name: str, x: np.ndarray, features: int) -> np.ndarray:
        kernel = self.draw(f"{name}/kernel", (x.shape[1], features), np.sqrt(3.0 / x.shape[1]))
        return x @ kernel + self.draw(f"{name}/bias", (features,), 0.3)


def front(layers: Layers, mel: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    x = layers.normalized(0, mel[..., None])[..., 0]
    maps = [layers.convolution(i, x, (7, SIZES["heights"][i]), 3, pad=True) for i in range(2)]
    maps += [layers.convolution(2 + i, x, (SIZES["lengths"][i], 1), 2, pad=True) for i in range(3)]
    maps = [layers.normalized(i + 1, one) for i, one in enumerate(maps)]
    return maps[:2], maps[2:]


def middle(layers: Layers, maps: list[np.ndarray]) -> list[np.ndarray]:
    x = np.concatenate([one.max(axis=2) for one in maps], axis=2)
    found = [x]
    for index in range(5, 8):
        # Each layer sees all channels of the one before as if they were bands.
        out = layers.normalized(index + 1, layers.convolution(index, x, (7, x.shape[2]), 3, pad=True)[:, :, 0])
        x = out if index == 5 else x + out
        found.append(x)
    return found


def whole(layers: Layers, mel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    timbral, temporal = front(layers, mel)
    features = np.concatenate(middle(layers, [*timbral, *temporal]), axis=2)
    pools = np.stack([features.max(axis=1), features.mean(axis=1)], axis=2).reshape(len(mel), -1)
    hidden = np.maximum(layers.dense("dense", layers.normalized(9, pools), 4), 0.0)
    embedding = layers.normalized(10, hidden)
    return layers.dense("dense_1", embedding, 3), embedding


def channels_last(mel: np.ndarray) -> np.ndarray:
    """The network's input [batch, bands, frames, 1] of [batch, frames, bands]."""
    return mel.swapaxes(1, 2)[..., None].astype(np.float32)


@pytest.mark.smoke
def test_musicnn_is_the_reference() -> None:
    layers, mel = Layers(), np.random.default_rng(1).uniform(0, 4, (2, 21, BANDS))
    expected = whole(layers, mel)
    variables = convert(layers.state, SMALL, (1, BANDS, 21, 1))
    for output, wanted in zip(jax.jit(SMALL.apply)(variables, channels_last(mel)), expected, strict=True):
        np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def cells(x: np.ndarray, rows: int, frames: int) -> np.ndarray:
    """Maxima [batch, rows, frames', channels] of [batch, frames, positions, channels], in equal cells of positions."""
    size = -(-x.shape[2] // rows)
    found = [
        x[:, t : t + frames, p : p + size].max(axis=(1, 2))
        for p in range(0, x.shape[2], size)
        for t in range(0, x.shape[1], frames)
    ]
    return np.stack(found, axis=1).reshape(len(x), rows, x.shape[1] // frames, -1)


def test_taps_are_layers_of_the_whole_network() -> None:
    layers, mel = Layers(), np.random.default_rng(1).uniform(0, 4, (2, 32, BANDS))
    whole(layers, mel)
    timbral, temporal = front(layers, mel)
    timbral, temporal = [one[:, :, ::4] for one in timbral], [one[:, :, ::3] for one in temporal]
    last = np.concatenate(middle(layers, [*timbral, *temporal])[1:], axis=2)
    # 48 bands are 16 rows; the timbral filters have 11 and 10 positions at every fourth band.
    expected = (
        cells(np.concatenate(temporal, axis=3), 8, 2),
        cells(np.pad(timbral[0], ((0, 0), (0, 0), (0, 1), (0, 0)), mode="edge"), 4, 4),
        cells(timbral[1], 2, 8),
        cells(last[:, :, None], 1, 16),
    )
    variables = convert(layers.state, SMALL, (1, BANDS, 32, 1))
    taps = MusicnnTaps(**SIZES)
    shapes = jax.eval_shape(taps.init, jax.random.key(0), channels_last(mel))
    part = {kind: {name: variables[kind][name] for name in names} for kind, names in shapes.items()}
    maps = jax.jit(taps.apply)(part, channels_last(mel))
    assert [found.shape for found in maps] == [(2, 8, 16, 6), (2, 4, 8, 3), (2, 2, 4, 3), (2, 1, 2, 9)]
    for found, wanted in zip(maps, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    halves = jax.jit(taps.clone(compute_dtype=jnp.bfloat16).apply)(part, channels_last(mel))
    for half, found in zip(halves, maps, strict=True):
        assert half.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(half, np.float32), found, rtol=0, atol=0.05 * np.abs(found).max())


def test_rows_of_the_fourth_map_are_alike() -> None:
    taps = MusicnnTaps(**SIZES)
    mel = np.random.default_rng(1).uniform(0, 4, (1, 96, 16, 1)).astype(np.float32)
    *_, fourth = taps.apply(taps.init(jax.random.key(0), mel), mel)
    assert fourth.shape[1] == 2
    np.testing.assert_array_equal(fourth[:, 0], fourth[:, 1])


def test_a_checkpoint_of_another_network_is_one_sentence() -> None:
    layers = Layers()
    whole(layers, np.zeros((1, 8, BANDS)))
    published = musicnn.from_tensorflow
    with pytest.raises(BadInput, match=r"is float32 \(3,\), which does not fit Musicnn"):
        published(layers.state, Musicnn())
    del layers.state["conv2d_6/bias"]
    with pytest.raises(BadInput, match="the weights lack conv2d_6/bias for Musicnn"):
        published(layers.state, SMALL)
