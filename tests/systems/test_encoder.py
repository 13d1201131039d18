"""An encoder is built for the generator that it encodes for, or refused in one sentence."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.audio.views import Plain, Thresholded
from drumgan_jax.core.errors import BadInput
from drumgan_jax.systems.encoder import Encoder, build_encoder
from drumgan_jax.systems.gan import Gan, build_gan

COMPLEX = {"kind": "complex", "sample_rate": 8000, "n_fft": 16, "hop_length": 8, "num_frames": 16}
WAVEFORM = {"kind": "waveform", "sample_rate": 8000, "num_samples": 64}
PROGRESSIVE = {"kind": "progressive", "base": [4, 8], "channels": [4, 4]}
STYLED = {"kind": "style_waveform", "channel_base": 8, "base": 16}
CONVOLUTION: dict[str, Any] = {
    "kind": "convolution",
    "view": {"kind": "thresholded", "floor_db": 50.0},
    "channels": [2, 3],
    "dense": [8],
}
WAVE = {"kind": "waveform", "view": {"kind": "plain"}, "channel_base": 8}


def gan_of(representation: dict[str, Any], network: dict[str, Any], **generator: Any) -> Gan:
    grows = network["kind"] == "progressive"
    config = {
        "representation": representation,
        "generator": {**network, **generator},
        "discriminator": network,
        "objective": {"kind": "wasserstein"},
        "train": {"compute_dtype": "float32"},
        "growth": {"kind": "progressive", "images": [8, 8]} if grows else {"kind": "constant"},
    }
    return build_gan(config, 3)


@pytest.fixture(scope="module")
def made() -> tuple[Encoder, dict[str, Any]]:
    encoder = build_encoder({"encoder": CONVOLUTION}, gan_of(COMPLEX, PROGRESSIVE, z_dim=5), 3)
    return encoder, jax.jit(encoder.init)(jax.random.key(0))


@pytest.mark.smoke
def test_where_w_is_z_joined_with_labels_these_are_probabilities(made) -> None:
    encoder, variables = made
    assert encoder.view == Thresholded(50.0)
    assert hash(encoder) == hash(build_encoder({"encoder": CONVOLUTION}, gan_of(COMPLEX, PROGRESSIVE, z_dim=5), 3))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((4, *encoder.shape), np.float32))
    w = encoder.predict(variables, x)
    assert w.shape == (4, 8)
    np.testing.assert_allclose(w[:, 5:].sum(axis=1), 1.0, rtol=1e-6)
    # What else a run keeps beside them does not matter.
    np.testing.assert_array_equal(encoder.predict({**variables, "generator": np.zeros(32, np.uint8)}, x), w)


def test_where_w_has_no_inverse_all_of_it_is_free() -> None:
    gan = gan_of(WAVEFORM, STYLED, z_dim=4, w_dim=6)
    encoder = build_encoder({"encoder": WAVE}, gan, 3)
    assert encoder.view == Plain()
    assert (encoder.network.num_labels, encoder.shape) == (0, (1, 64, 1))
    variables = jax.eval_shape(encoder.init, jax.random.key(0))
    assert set(variables) == {"params"}
    assert jax.eval_shape(encoder.predict, variables, jnp.zeros((2, 1, 64, 1))).shape == (2, 6)


def test_latents_do_not_depend_on_how_a_machine_multiplies(made) -> None:
    encoder, variables = made
    text = str(jax.make_jaxpr(encoder.predict)(variables, jnp.zeros((1, *encoder.shape))))
    assert "conv_general_dilated" in text
    assert "precision=None" not in text


@pytest.mark.parametrize(
    ("section", "match"),
    [
        ({"kind": "other"}, r"config\.encoder\.kind is 'other'; it must be one of convolution, waveform"),
        ({"width": 3}, r"config\.encoder has no setting width"),
        ({"view": {}}, r"config\.encoder\.view\.kind is None; it must be one of plain, thresholded"),
        ({"view": {"kind": "thresholded", "floor": 3}}, r"config\.encoder\.view has no setting floor"),
        ({"view": {"kind": "thresholded", "floor_db": -3.0}}, r"config\.encoder\.view\.floor_db is -3\.0"),
        ({"channels": [2, -1]}, r"config\.encoder\.channels is \(2, -1\); it must be a tuple of whole"),
        ({"channels": [2, 2.5]}, r"config\.encoder\.channels is \(2, 2\.5\); it must be a tuple of whole"),
        ({"dense": 3}, r"config\.encoder\.dense is 3; it must be a tuple of whole numbers"),
    ],
)
def test_values_out_of_range_are_one_sentence(section: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        build_encoder({"encoder": {**CONVOLUTION, **section}}, gan_of(COMPLEX, PROGRESSIVE), 3)


def test_what_does_not_fit_the_representation_is_told() -> None:
    waves = gan_of(WAVEFORM, STYLED)
    with pytest.raises(BadInput, match="takes a complex spectrum of 2 channels, not 1"):
        build_encoder({"encoder": CONVOLUTION}, waves, 3)
    with pytest.raises(BadInput, match="is no waveform"):
        build_encoder({"encoder": WAVE}, gan_of(COMPLEX, PROGRESSIVE), 3)
    with pytest.raises(BadInput, match="has no section encoder"):
        build_encoder({}, waves, 3)
