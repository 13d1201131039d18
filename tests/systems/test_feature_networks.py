"""The frozen networks of a projected discriminator: what a config says of them, and what their weights' files do."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from feature_cases import write_classifier

from drumgan_jax.audio.representations import build_representation
from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks import short_chunk
from drumgan_jax.networks.projected import Discriminator
from drumgan_jax.systems import feature_networks as features
from drumgan_jax.systems.classifier import load_classifier
from drumgan_jax.systems.feature_networks import build_feature_networks, described, load_weights

LOG_MEL = {"kind": "log_mel", "sample_rate": 16000, "n_fft": 512, "hop_length": 320, "num_mels": 32, "num_frames": 32}
RANDOM: dict[str, Any] = {
    "kind": "short_chunk",
    "weights": "random",
    "input": "normalized",
    "network": {"channels": 2, "blocks": [1, 1, 2, 2]},
}


def representation(**changes: Any) -> Any:
    mean = np.linspace(-1.0, -3.0, LOG_MEL["num_mels"])[:, None, None]
    return build_representation(LOG_MEL | changes).with_normalization(mean, np.full_like(mean, 0.7))


def of_file(path: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    return {"loops": {"kind": "short_chunk", "weights": str(path), **changes}}


@pytest.mark.smoke
def test_random_weights_are_the_seeds_and_known_by_their_hash() -> None:
    first, again, other = (described({"a": RANDOM | {"seed": seed}})["a"] for seed in (1, 1, 2))
    assert first == again == json.loads(json.dumps(first))
    assert first["sha256"] != other["sha256"]
    weights = load_weights({"a": first})["a"]
    assert weights.sha256 == first["sha256"]
    kernel = weights.variables["params"]["layer4"]["conv_2"]["kernel"]
    assert float(np.std(kernel)) == pytest.approx(np.sqrt(2 / np.prod(kernel.shape[:-1])), rel=0.15)
    assert np.all(weights.variables["batch_stats"]["layer4"]["bn_1"]["var"] == 1.0)


def test_a_classifiers_file_says_its_layout_and_is_then_not_needed_to_build(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "loops.npz", LOG_MEL)
    sections = described(of_file(path))
    assert sections == json.loads(json.dumps(sections))
    assert sections["loops"]["sha256"] == load_classifier(path).sha256
    assert sections["loops"]["network"] == {"channels": 2, "blocks": [1, 1, 1, 2, 2]}
    loaded = load_weights(sections)["loops"].variables
    whole = load_classifier(path).variables
    np.testing.assert_array_equal(
        loaded["params"]["layer4"]["conv_1"]["kernel"], whole["params"]["layer4"]["conv_1"]["kernel"]
    )
    assert "dense1" not in loaded["params"]
    path.unlink()
    (network,) = build_feature_networks(sections, representation())
    assert network.name == "loops"
    with pytest.raises(BadInput, match=r"loops\.npz"):
        load_weights(sections)


def test_a_network_of_the_same_mels_hears_what_its_own_front_end_makes_of_the_sound(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "loops.npz", LOG_MEL)
    (network,) = build_feature_networks(of_file(path), representation())
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (2, representation().num_samples)).astype(np.float32)
    waveform *= np.exp(-np.arange(waveform.shape[1]) / 2000).astype(np.float32)
    heard = network.convert(representation().encode(waveform))
    np.testing.assert_allclose(heard, load_classifier(path).classifier.front_end(waveform), atol=1e-3)
    (plain,) = build_feature_networks(of_file(path, input="normalized"), representation())
    x = representation().encode(waveform)
    np.testing.assert_array_equal(plain.convert(x), x)


def test_musicnn_hears_a_bar_in_its_own_bands_and_whole_chunks() -> None:
    section = {"tagger": {"kind": "musicnn", "weights": "random", "input": "converted", "network": {"timbral": 2}}}
    (network,) = build_feature_networks(described(section), representation(num_frames=96))
    assert network.convert(np.zeros((1, 32, 96, 1), np.float32)).shape == (1, 96, 120, 1)
    assert Discriminator((32, 96, 1), (network,), chunks=2).chunks == 2
    (plain,) = build_feature_networks(
        {"tagger": section["tagger"] | {"input": "normalized"}}, representation(num_frames=96)
    )
    with pytest.raises(BadInput, match="the bands must be 3 times a power of two, at least 96"):
        Discriminator((32, 96, 1), (plain,))


def test_published_weights_are_converted_from_their_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    network = short_chunk.ShortChunk(num_labels=3, channels=2, blocks=(1, 1, 1, 1, 2))
    shapes = jax.eval_shape(network.init, jax.random.key(1), np.zeros((1, 32, 32, 1), np.float32))
    variables = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.25, np.float32), shapes)
    published = features.Published(network, lambda state, network: state["all"], None)
    monkeypatch.setitem(features.PUBLISHED, "short_chunk", published)
    monkeypatch.setattr(features.store, "load", lambda name: ({"all": variables}, "12ab"))
    section = {"loops": {"kind": "short_chunk", "weights": "short_chunk", "input": "normalized"}}
    assert described(section)["loops"]["sha256"] == "12ab"
    loaded = load_weights(section)["loops"].variables
    np.testing.assert_array_equal(
        loaded["params"]["layer1"]["conv_1"]["kernel"], variables["params"]["layer1"]["conv_1"]["kernel"]
    )
    with pytest.raises(BadInput, match="the publisher of short_chunk does not state the scale"):
        build_feature_networks({"loops": section["loops"] | {"input": "converted"}}, representation())


def test_weights_of_another_hash_or_layout_are_one_sentence(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "loops.npz", LOG_MEL)
    with pytest.raises(BadInput, match=r"feature_networks\.loops\.sha256 is 00, but the weights .* have"):
        described(of_file(path, sha256="00"))
    sections = described(of_file(path))
    write_classifier(path, LOG_MEL, seed=1)
    with pytest.raises(BadInput, match="have changed since the run began"):
        load_weights(sections)
    write_classifier(path, LOG_MEL, network={"kind": "short_chunk", "channels": 4, "blocks": [1, 1, 1, 2, 2]})
    with pytest.raises(BadInput, match="another layout"):
        load_weights(sections)
    write_classifier(path, LOG_MEL, network={"kind": "mel_inception", "width": 1})
    with pytest.raises(BadInput, match="belong to a MelInception, not to a network of kind short_chunk"):
        described(of_file(path))


def test_what_was_described_needs_no_file_and_no_path_any_more(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "loops.npz", LOG_MEL)
    begun = described(of_file(path))
    moved = path.rename(tmp_path / "moved.npz")
    assert described(of_file(path), begun) == begun
    assert described(of_file(moved), begun) == begun
    assert described(of_file(moved, input="normalized"), begun) != begun
    write_classifier(moved, LOG_MEL, seed=1)
    assert described(of_file(moved), begun)["loops"]["sha256"] != begun["loops"]["sha256"]


@pytest.mark.parametrize("name", ["a b", "loops_mixing", ""])
def test_names_that_variables_cannot_have_are_one_sentence(name: str) -> None:
    with pytest.raises(BadInput, match=r"config\.feature_networks has a network named"):
        build_feature_networks({name: RANDOM}, representation())


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"kind": "resnet"}, r"feature_networks\.a\.kind is 'resnet'; it must be one of musicnn, short_chunk, vggish"),
        ({"input": "mel"}, r"feature_networks\.a\.input is 'mel'; it must be converted or normalized"),
        ({"weights": "nowhere"}, r"feature_networks\.a\.weights is 'nowhere'; it must be random, one of"),
        ({"width": 3}, r"feature_networks\.a has no setting width"),
        ({"weights": None}, r"feature_networks\.a\.weights is None; it must be a text"),
        ({"seed": -1}, r"feature_networks\.a\.seed is -1; it must be a whole number"),
        ({"network": 3}, r"feature_networks\.a\.network is 3; it must be a section"),
        ({"network": {"channels": 0}}, r"feature_networks\.a\.network\.channels is 0; it must be a whole number"),
        ({"network": {"channels": 2, "blocks": [1, 1, 2]}}, r"it needs four blocks or more"),
        ({"network": {"width": 3}}, r"feature_networks\.a\.network has no setting width"),
    ],
)
def test_values_that_mean_nothing_are_one_sentence(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        build_feature_networks({"a": RANDOM | changes}, representation())
