"""The embedders of published and random weights: their front ends against NumPy float64, and the whole path from a file
of weights to embeddings, on networks of the same layout made narrow.
"""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import torch_writer
from flax import traverse_util

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.embedders import inception, short_chunk, vgg16, vggish
from drumgan_jax.networks.inception_v3 import InceptionV3
from drumgan_jax.networks.short_chunk import ShortChunk
from drumgan_jax.networks.vgg16 import VGG16
from drumgan_jax.networks.vggish import VGGish
from drumgan_jax.weights import store
from drumgan_jax.weights.catalogue import CATALOGUE

# By name: the module, its network's class and what makes it narrow, an example's shape, what the file has besides.
NARROW = {
    "vggish": (vggish, VGGish, {"widths": (2, 2, 3, 3, 4, 4), "hidden": 8, "dimensions": 5}, (1, 96, 64, 1), []),
    "inception": (inception, InceptionV3, {"divisor": 16, "num_classes": 6}, (1, 75, 75, 3), ["fc.bias"]),
    "short_chunk": (short_chunk, ShortChunk, {"channels": 2, "num_labels": 4}, (1, 128, 128, 1), ["spec.mel_scale.fb"]),
}
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def torch_state(network, example, more):
    """Random weights as PyTorch would name and lay them out."""
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(network.init, jax.random.key(0), jax.ShapeDtypeStruct(example, np.float32))
    state = {name: np.zeros(2, np.float32) for name in more}
    for path, leaf in traverse_util.flatten_dict(shapes).items():
        array = random.uniform(0.5, 1.5, leaf.shape) if path[-1] in ("var", "scale") else random.normal(size=leaf.shape)
        if path[-1] in ("bias", "mean"):
            array *= 0.1
        if path[-1] == "kernel":
            array *= np.sqrt(2.0 / np.prod(leaf.shape[:-1]))
            array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        state[".".join([*path[1:-1], LEAVES[path[-1]]])] = array.astype(np.float32)
    return state


@pytest.fixture(params=NARROW)
def narrow(request, tmp_path, monkeypatch):
    """A narrow embedder and the hash of its file."""
    module, network, widths, example, more = NARROW[request.param]
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path))
    file = CATALOGUE[request.param]
    path = tmp_path / "weights" / file.file_name
    path.parent.mkdir()
    torch_writer.write(path, torch_state(network(**widths), example, more), legacy=request.param == "vggish")
    digest = store.file_hash(path)
    monkeypatch.setitem(CATALOGUE, request.param, dataclasses.replace(file, sha256=digest))
    monkeypatch.setattr(module, network.__name__, functools.partial(network, **widths))
    return request.param, module.build(), digest


def test_a_file_of_weights_becomes_an_embedder(narrow):
    name, embedder, digest = narrow
    assert (embedder.name, embedder.weights_hash, embedder.rows_per_window) == (name, digest, 1)
    windows = np.random.default_rng(1).uniform(-1, 1, (3, embedder.window)).astype(np.float32)
    windows[0] = 0
    features = jax.jit(embedder.function)(embedder.variables, windows)
    width = 128 if name == "inception" else embedder.dimensions
    assert features.embedding.shape == (3, width)
    assert features.embedding.dtype == np.float32
    assert np.isfinite(features.embedding).all()
    assert np.ptp(np.asarray(features.embedding), axis=0).max() > 0
    if embedder.num_classes:
        assert features.logits.shape == (3, embedder.num_classes)
    else:
        assert features.logits is None


@pytest.mark.smoke
@pytest.mark.parametrize("name", NARROW)
def test_without_its_file_an_embedder_says_how_to_get_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path))
    with pytest.raises(BadInput, match=f"run `drumgan weights get {name}`"):
        NARROW[name][0].build()


def test_weights_of_another_network_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path))
    path = tmp_path / "weights" / CATALOGUE["short_chunk"].file_name
    path.parent.mkdir()
    torch_writer.write(path, {"features.0.weight": np.zeros((2, 1, 3, 3), np.float32)})
    path.with_name(f"{path.name}.sha256").write_text(store.file_hash(path))
    with pytest.raises(BadInput, match=r"lack bn\.bias .* for ShortChunk"):
        short_chunk.build()


def test_random_features_need_no_file_and_are_always_the_same(monkeypatch):
    monkeypatch.setattr(vgg16, "VGG16", functools.partial(VGG16, widths=(2, 2, 3, 3, 4), hidden=8))
    embedder, again = vgg16.build(), vgg16.build()
    assert embedder.weights_hash == again.weights_hash
    assert len(embedder.weights_hash) == 64
    windows = np.random.default_rng(1).uniform(-1, 1, (2, embedder.window)).astype(np.float32)
    features = jax.jit(embedder.function)(embedder.variables, windows)
    assert features.embedding.shape == (2, embedder.dimensions) == (2, 64)


def test_vggish_windows_are_patches_side_by_side():
    assert vggish.WINDOW == 15_600


def test_the_picture_is_black_for_silence_and_white_for_a_full_scale_tone():
    time = np.arange(22_016) / 22_050
    tone = np.sin(2 * np.pi * 1000 * time)
    windows = np.stack([np.zeros(22_016), tone, 0.01 * tone]).astype(np.float32)
    pictures = np.asarray(inception.picture(windows))
    assert pictures.shape == (3, 128, 128)
    assert pictures[0].max() == 0
    loudest = pictures[1, :, 64].argmax()
    # The highest band is in the first row; band k is centred on edge k + 1 of 130, evenly spaced in mel.
    mels = 2595 * np.log10(1 + np.array([20, 1000, 11_025]) / 700)
    assert 127 - loudest == pytest.approx(129 * (mels[1] - mels[0]) / (mels[2] - mels[0]) - 1, abs=1)
    assert 240 < pictures[1, loudest, 64] <= 255
    # Forty decibels are half of the eighty.
    assert pictures[1, loudest, 64] - pictures[2, loudest, 64] == pytest.approx(127.5, abs=0.01)


def test_pictures_are_enlarged_as_tensorflow_1_does_it():
    random = np.random.default_rng(0)
    picture = random.uniform(0, 255, (1, 16, 10)).astype(np.float32)
    expected = np.zeros((299, 299))
    for i in range(299):
        for j in range(299):
            y, x = i * 16 / 299, j * 10 / 299
            top, left = int(y), int(x)
            bottom, right = min(top + 1, 15), min(left + 1, 9)
            corners = picture[0, [top, top, bottom, bottom], [left, right, left, right]].astype(np.float64)
            weights = np.outer([1 - (y - top), y - top], [1 - (x - left), x - left]).ravel()
            expected[i, j] = corners @ weights
    np.testing.assert_allclose(inception.resize(picture)[0], expected, rtol=1e-5)
