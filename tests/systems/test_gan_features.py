"""The features by which a GAN's objective tells how unlike two examples are."""

from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.audio.spectral_distance import level_features
from drumgan_jax.configs import drumgan_vst, splice_loops, style_drumsynth
from drumgan_jax.systems.gan import Gan, build_gan


def gan_of(module: ModuleType, **statistics: float) -> Gan:
    config = module.get_config("tiny").to_dict()
    config["representation"].update(statistics)
    return build_gan(config, 3)


@pytest.mark.parametrize("gan", [gan_of(style_drumsynth), gan_of(drumgan_vst, mean=0.0, std=1.0)])
def test_they_are_those_of_the_sounds_and_can_be_differentiated(gan: Gan) -> None:
    shown, features = gan.representation, gan.features
    assert features is not None
    rng = np.random.default_rng(0)
    waveforms = (rng.standard_normal((2, shown.num_samples)) * 0.1).astype(np.float32)
    x = shown.encode(waveforms)
    np.testing.assert_allclose(jax.jit(features)(x), level_features(shown.invert(x), shown.sample_rate), atol=1e-3)
    assert np.isfinite(jax.jit(jax.grad(lambda x: features(x).sum()))(np.zeros((1, *shown.shape), np.float32))).all()


def test_smaller_examples_of_a_growing_network_have_as_many() -> None:
    gan = gan_of(drumgan_vst, mean=0.0, std=1.0)
    freq, time, channels = gan.representation.shape
    assert gan.features is not None
    shapes = [
        jax.eval_shape(gan.features, jax.ShapeDtypeStruct((2, freq // size, time // size, channels), np.float32)).shape
        for size in (1, 2)
    ]
    assert shapes[0] == shapes[1]


def test_magnitudes_alone_have_none() -> None:
    assert build_gan(splice_loops.get_config("tiny").to_dict(), 0).features is None


@pytest.mark.parametrize(("platform", "dtype"), [("tpu", jnp.bfloat16), ("cpu", jnp.float32), (None, jnp.float32)])
def test_the_networks_compute_in_what_their_devices_are_good_at(platform: str | None, dtype: jnp.dtype) -> None:
    config = style_drumsynth.get_config("tiny").to_dict()
    assert build_gan(config, 3, platform).generator.compute_dtype == dtype
