"""MelGAN's and HiFi-GAN's networks against explicit formulas in NumPy, in float64."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.networks.hifigan import HifiGan
from drumgan_jax.networks.melgan import Discriminator, Generator, average_pool
from drumgan_jax.networks.weight_normalized import (
    Convolution,
    UpConvolution,
    _strided_in_pieces,
    convolution,
    reflect,
    strided_convolution,
    up_convolution,
)

pytestmark = pytest.mark.usefixtures("unoptimized")
RNG = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def correlate(x: Any, kernel: Any, dilation: int = 1, stride: int = 1, groups: int = 1) -> np.ndarray:
    """Sums over taps and the channels of an output's group, one output after the other."""
    x, kernel = np.float64(x), np.float64(kernel)
    width, inputs, features = kernel.shape
    count = 1 + (x.shape[1] - dilation * (width - 1) - 1) // stride
    y = np.zeros((len(x), count, features))
    for place in range(count):
        for out in range(features):
            first = out // (features // groups) * inputs
            seen = x[:, stride * place + dilation * np.arange(width), first : first + inputs]
            y[:, place, out] = np.einsum("bti,ti->b", seen, kernel[:, :, out])
    return y


def transposed(x: Any, kernel: Any) -> np.ndarray:
    """Zeros put between samples, each sample spread by the kernel, and both ends cut off."""
    x, kernel = np.float64(x), np.float64(kernel)
    factor = len(kernel) // 2
    spread = np.zeros((len(x), factor * x.shape[1] + factor, kernel.shape[2]))
    for place in range(x.shape[1]):
        for tap in range(2 * factor):
            spread[:, factor * place + tap] += x[:, place] @ kernel[tap]
    start = factor // 2 + factor % 2
    return spread[:, start : start + factor * x.shape[1]]


def effective(layer: Any) -> np.ndarray:
    """g v / |v|, with the length along the axis that has as many places as there are g."""
    v, g = np.float64(layer["v"]), np.float64(layer["g"])
    axis = 2 if layer["bias"].shape == layer["g"].shape else 1
    norm = np.sqrt(np.square(v).sum(axis=tuple({0, 1, 2} - {axis}), keepdims=True))
    return v / norm * (g if axis == 2 else g[:, None])


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x)


def mirrored(x: np.ndarray, samples: int) -> np.ndarray:
    return np.pad(x, ((0, 0), (samples, samples), (0, 0)), mode="reflect")


@pytest.mark.smoke
def test_convolutions_are_sums_over_taps() -> None:
    x, kernel = draw(2, 13, 3), draw(3, 3, 4)
    for dilation in (1, 3):
        np.testing.assert_allclose(convolution(x, kernel, dilation), correlate(x, kernel, dilation), atol=1e-5)
    np.testing.assert_allclose(convolution(x, kernel[:1]), correlate(x, kernel[:1]), atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_strided_groups_are_sums_over_their_channels_both_ways(groups: int) -> None:
    x, kernel = draw(2, 30, 12), draw(7, 12 // groups, 24)
    expected = correlate(x, kernel, stride=4, groups=groups)
    plain = jax.lax.conv_general_dilated(
        x, kernel, (4,), "VALID", feature_group_count=groups, dimension_numbers=("NWC", "WIO", "NWC")
    )
    np.testing.assert_allclose(plain, expected, atol=1e-4)
    for found in (strided_convolution(x, kernel, 4, groups), _strided_in_pieces(x, kernel, 4, groups)):
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 4, 5])
def test_transposed_convolutions_spread_samples_between_zeros(factor: int) -> None:
    for frames in (1, 6):
        x, kernel = draw(2, frames, 4), draw(2 * factor, 4, 3)
        found = up_convolution(x, kernel)
        assert found.shape == (2, factor * frames, 3)
        np.testing.assert_allclose(found, transposed(x, kernel), atol=1e-5)


@pytest.mark.parametrize(
    ("plain", "shape"),
    [
        (lambda x, k: jnp.stack([_xla(x, k, 3)]), (3, 3, 4)),
        (lambda x, k: _xla(x, k, 1), (1, 3, 4)),
    ],
)
def test_gradients_are_those_of_the_plain_convolution(plain: Callable[..., Any], shape: tuple[int, ...]) -> None:
    x, kernel = draw(2, 13, 3), draw(*shape)
    dilation = 3 if shape[0] > 1 else 1
    weight = draw(*convolution(x, kernel, dilation).shape)
    ours, theirs = (
        jax.jit(jax.grad(lambda x, kernel, f=f: jnp.sum(f(x, kernel) * weight), argnums=(0, 1)))(x, kernel)
        for f in (lambda x, kernel: convolution(x, kernel, dilation), plain)
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def _xla(x: Any, kernel: Any, dilation: int) -> Any:
    return jax.lax.conv_general_dilated(
        x, kernel, (1,), "VALID", rhs_dilation=(dilation,), dimension_numbers=("NWC", "WIO", "NWC")
    )


def test_layers_have_lengths_and_directions() -> None:
    x = jnp.asarray(draw(2, 9, 6))
    for layer, formula in (
        (Convolution(5, 3, 2), lambda x, kernel: correlate(x, kernel, 2)),
        (UpConvolution(4, 3), transposed),
    ):
        params = jax.jit(layer.init)(jax.random.key(0), x)["params"]
        # As initialised, the kernel is its direction.
        np.testing.assert_allclose(effective(params), params["v"], atol=1e-6)
        params = {name: jnp.asarray(draw(*leaf.shape)) for name, leaf in params.items()}
        expected = formula(x, effective(params)) + np.float64(params["bias"])
        apply = jax.jit(layer.apply)
        np.testing.assert_allclose(apply({"params": params}, x), expected, atol=1e-5)
        longer = {**params, "v": 3.0 * params["v"]}
        np.testing.assert_allclose(apply({"params": longer}, x), expected, atol=1e-5)


@pytest.fixture(scope="module")
def melgan() -> tuple[Generator, dict[str, Any]]:
    network = Generator(ratios=(3, 2), width=2, residual_blocks=2)
    params = jax.jit(network.init)(jax.random.key(1), jnp.zeros((1, 5, 4, 1)))["params"]
    # Far from the initialisation, so that no layer's part in the output is small.
    return network, {"params": {name: _louder(layer) for name, layer in params.items()}}


def _louder(layer: dict[str, Any]) -> dict[str, Any]:
    return {**layer, "g": 3.0 * layer["g"]}


def generated(params: Any, mel: np.ndarray) -> np.ndarray:
    """The generator of `melgan`, layer by layer, as the paper's appendix and the release list them."""
    kernels = {name: (effective(layer), np.float64(layer["bias"])) for name, layer in params.items()}

    def apply(name: str, x: np.ndarray, formula: Callable[..., np.ndarray] = correlate, *how: int) -> np.ndarray:
        kernel, bias = kernels[name]
        return formula(x, kernel, *how) + bias

    y = apply("model.1", mirrored(np.float64(mel)[..., 0].swapaxes(1, 2), 3))
    for up, blocks in (("model.3", ("model.4", "model.5")), ("model.7", ("model.8", "model.9"))):
        y = apply(up, leaky(y), transposed)
        for number, block in enumerate(blocks):
            inner = apply(f"{block}.block.2", mirrored(leaky(y), 3**number), correlate, 3**number)
            y = apply(f"{block}.shortcut", y) + apply(f"{block}.block.4", leaky(inner))
    return np.tanh(apply("model.12", mirrored(leaky(y), 3))[..., 0])


def test_the_generator_is_the_papers(melgan: tuple[Generator, dict[str, Any]]) -> None:
    network, variables = melgan
    mel = draw(2, 5, 6, 1)
    found = jax.jit(network.apply)(variables, mel)
    assert np.std(found) > 0.05
    np.testing.assert_allclose(found, generated(variables["params"], mel), atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_a_waveform_is_as_long_as_its_frames(melgan: tuple[Generator, dict[str, Any]], frames: int) -> None:
    network, variables = melgan
    found = jax.jit(network.apply)(variables, draw(2, 5, frames, 1))
    assert found.shape == (2, 6 * frames)
    assert np.isfinite(found).all()


def test_a_waveform_hears_no_further_than_its_convolutions(melgan: tuple[Generator, dict[str, Any]]) -> None:
    network, variables = melgan
    mel = draw(1, 5, 40, 1)
    changed = mel.copy()
    changed[:, :, 30:] += 1.0
    apply = jax.jit(network.apply)
    before, after = (np.asarray(apply(variables, one)) for one in (mel, changed))
    np.testing.assert_array_equal(before[:, : 6 * 20], after[:, : 6 * 20])
    assert np.abs(before - after)[:, 6 * 30 :].max() > 0.01


def test_average_pooling_leaves_the_zeros_at_the_ends_out() -> None:
    for length in (8, 9):
        x = draw(2, length, 3)
        found = average_pool(jnp.asarray(x))
        windows = [x[:, max(0, 2 * n - 1) : 2 * n + 3] for n in range((length + 2 - 4) // 2 + 1)]
        np.testing.assert_allclose(found, np.stack([w.mean(axis=1) for w in windows], axis=1), atol=1e-6)


def test_the_discriminator_is_the_papers() -> None:
    network = Discriminator(width=4, width_max=32, strided=2, scales=2)
    waveform = draw(2, 160)
    params = jax.jit(network.init)(jax.random.key(2), waveform)["params"]
    found = jax.jit(network.apply)({"params": params}, waveform)
    assert [[layer.shape[1:] for layer in scale] for scale in found] == [
        [(160, 4), (40, 16), (10, 32), (10, 32), (10, 1)],
        [(80, 4), (20, 16), (5, 32), (5, 32), (5, 1)],
    ]
    x = np.float64(waveform)[..., None]
    for scale, layers in enumerate(found):
        name = f"model.disc_{scale}.model.layer"
        y = mirrored(x, 7)
        for number, (padding, stride, groups) in enumerate(((0, 1, 1), (20, 4, 1), (20, 4, 4), (2, 1, 1), (1, 1, 1))):
            layer = params[f"{name}_{number}" + (".1", ".0", ".0", ".0", "")[number]]
            y = np.pad(y, ((0, 0), (padding, padding), (0, 0)))
            y = correlate(y, effective(layer), 1, stride, groups) + np.float64(layer["bias"])
            y = y if number == 4 else leaky(y)
            np.testing.assert_allclose(layers[number], y, atol=1e-5)
        x = np.float64(average_pool(jnp.asarray(x, jnp.float32)))


def test_full_size_is_the_papers() -> None:
    """4.26 million kernels and biases, of 80 bands and a hop of 256 (Kumar et al. 2019, table 1)."""
    network = Generator((8, 8, 2, 2), 32, 3)
    mel = jax.ShapeDtypeStruct((1, 80, 4, 1), np.float32)
    layers = jax.eval_shape(network.init, jax.random.key(0), mel)["params"].values()
    assert round(sum(layer[name].size for layer in layers for name in ("v", "bias")) / 1e6, 2) == 4.26


@pytest.mark.parametrize("shallow", [False, True])
def test_hifigan_is_the_mean_of_its_blocks(shallow: bool) -> None:
    network = HifiGan(ratios=(2,), width=4, kernels=(3, 5), dilations=((1, 2), (3,)), shallow=shallow)
    mel = draw(2, 3, 5, 1)
    params = jax.jit(network.init)(jax.random.key(3), mel)["params"]
    params = {name: _louder(layer) for name, layer in params.items()}
    found = jax.jit(network.apply)({"params": params}, mel)

    def same(name: str, x: np.ndarray, dilation: int = 1) -> np.ndarray:
        kernel = effective(params[name])
        padding = dilation * (len(kernel) // 2)
        y = correlate(np.pad(x, ((0, 0), (padding, padding), (0, 0))), kernel, dilation)
        return y + np.float64(params[name]["bias"])

    def bent(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, 0.1 * x)

    y = same("conv_pre", np.float64(mel)[..., 0].swapaxes(1, 2))
    y = transposed(bent(y), effective(params["ups.0"])) + np.float64(params["ups.0"]["bias"])
    blocks = []
    for number, dilations in enumerate(network.dilations):
        x, name = y, f"resblocks.0.{number}"
        for place, dilation in enumerate(dilations):
            inner = same(f"{name}.convs1.{place}", bent(x), dilation)
            x = x + (inner if shallow else same(f"{name}.convs2.{place}", bent(inner)))
        blocks.append(x)
    expected = np.tanh(same("conv_post", bent(sum(blocks) / 2))[..., 0])
    assert found.shape == (2, 10)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_reflection_goes_on_where_the_sound_is_shorter() -> None:
    x = draw(1, 2, 1)
    np.testing.assert_array_equal(reflect(jnp.asarray(x), 3)[0, :, 0], x[0, [1, 0, 1, 0, 1, 0, 1, 0], 0])
