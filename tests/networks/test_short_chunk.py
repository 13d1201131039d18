"""The short-chunk CNN against NumPy float64 in its published layout, and as a network to train."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torch_reference import TorchLayers, channels_last, relu

from drumgan_jax.networks.short_chunk import ShortChunk, ShortChunkTaps, from_torch

pytestmark = pytest.mark.usefixtures("unoptimized")
SMALL = ShortChunk(num_labels=3, channels=2)


def blocks(layers, x):
    x, maps = layers.batch_norm("spec_bn", x, 1e-5), []
    for index, width in enumerate((2, 2, 4, 4, 4, 4, 8), start=1):
        name = f"layer{index}"

        def layer(x, place, stride, name=name, width=width):
            x = layers.conv(f"{name}.conv_{place}", x, width, (3, 3), stride, (1, 1))
            return layers.batch_norm(f"{name}.bn_{place}", x, 1e-5)

        x = relu(layer(relu(layer(x, 1, 2)), 2, 1) + layer(x, 3, 2))
        maps.append(x)
    return maps


def reference(layers, x):
    x = blocks(layers, x)[-1]
    assert x.shape[2] == 1
    x = layers.linear("dense1", x[:, :, 0].max(axis=2), 8)
    embedding = relu(layers.batch_norm("bn", x, 1e-5))
    return layers.linear("dense2", embedding, 3), embedding


@pytest.mark.smoke
def test_short_chunk_is_the_reference():
    layers = TorchLayers()
    mel = np.random.default_rng(1).normal(size=(2, 1, 128, 231))
    expected = reference(layers, mel)
    # The published files may carry the front end's buffers.
    state = {**layers.state, "spec.mel_scale.fb": np.zeros((257, 128), np.float32)}
    outputs = jax.jit(SMALL.apply)(from_torch(state, SMALL), channels_last(mel))
    for output, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_training_drops_half_and_keeps_running_statistics():
    network = ShortChunk(num_labels=3, channels=32, blocks=(1, 2))
    mel = jax.random.normal(jax.random.key(0), (4, 16, 12, 1)) + 2.0
    variables = jax.jit(network.init)(jax.random.key(1), mel)

    @jax.jit
    def train(key):
        rngs = {"dropout": jax.random.key(key)}
        return network.apply(variables, mel, True, rngs=rngs, mutable=["batch_stats"])

    (logits, embedding), updates = train(2)
    (others, same), _ = train(3)
    assert logits.shape == (4, 3)
    assert embedding.shape == (4, 64)
    np.testing.assert_array_equal(embedding, same)
    assert np.abs(np.asarray(logits - others)).max() > 0.01
    # A tenth of the way from 0 to the batch's mean, as PyTorch's momentum 0.1.
    np.testing.assert_allclose(updates["batch_stats"]["spec_bn"]["mean"], [0.1 * jnp.mean(mel)], rtol=1e-5)


def test_taps_are_the_first_blocks_of_the_whole_network_by_its_running_averages():
    layers = TorchLayers()
    mel = np.random.default_rng(1).normal(size=(3, 1, 32, 48))
    expected = blocks(layers, mel)[:4]
    reference(layers, np.zeros((1, 1, 128, 128)))
    whole = from_torch(layers.state, SMALL)
    taps = ShortChunkTaps(channels=2)
    shapes = jax.eval_shape(taps.init, jax.random.key(0), channels_last(mel))
    part = {kind: {name: whole[kind][name] for name in layers} for kind, layers in shapes.items()}
    apply = jax.jit(lambda mel: taps.apply(part, mel, mutable=["batch_stats"]))
    maps, kept = apply(channels_last(mel))
    assert [tuple(found.shape) for found in maps] == [(3, 16, 24, 2), (3, 8, 12, 2), (3, 4, 6, 4), (3, 2, 3, 4)]
    alone, _ = apply(channels_last(mel[1:2]))
    for found, own, wanted in zip(maps, alone, expected, strict=True):
        np.testing.assert_allclose(found, wanted.transpose(0, 2, 3, 1), rtol=0, atol=1e-5 * np.abs(wanted).max())
        np.testing.assert_allclose(own[0], found[1], rtol=0, atol=1e-6 * np.abs(wanted).max())
    jax.tree.map(np.testing.assert_array_equal, kept["batch_stats"], part["batch_stats"])
    halves = jax.jit(taps.clone(compute_dtype=jnp.bfloat16).apply)(part, channels_last(mel))
    for half, found in zip(halves, maps, strict=True):
        assert half.dtype == jnp.bfloat16
        np.testing.assert_allclose(np.asarray(half, np.float32), found, rtol=0, atol=0.05 * np.abs(found).max())
