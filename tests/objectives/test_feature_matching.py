"""MelGAN's losses against NumPy in float64."""

import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.objectives.feature_matching import discriminator_loss, feature_matching_loss, generator_loss

RNG = np.random.default_rng(0)
# Of two scales, six layers below the scores, as of four strided convolutions.
SHAPES = [[(2, 16 // scale, channels) for channels in (4, 8, 8, 8, 8, 8, 1)] for scale in (1, 2)]


def judgement() -> tuple[tuple[np.ndarray, ...], ...]:
    return tuple(tuple(2.0 * RNG.standard_normal(shape).astype(np.float32) for shape in scale) for scale in SHAPES)


def test_hinge_is_a_sum_over_scales_of_means() -> None:
    real, fake = judgement(), judgement()
    expected = sum(np.maximum(0, 1 - np.float64(scale[-1])).mean() for scale in real)
    expected += sum(np.maximum(0, 1 + np.float64(scale[-1])).mean() for scale in fake)
    assert float(discriminator_loss(real, fake)) == pytest.approx(expected, rel=1e-6)
    expected = -sum(np.float64(scale[-1]).mean() for scale in fake)
    assert float(generator_loss(fake)) == pytest.approx(expected, rel=1e-5)
    sure = tuple((*scale[:-1], jnp.full_like(scale[-1], 1.5)) for scale in real)
    doubted = tuple((*scale[:-1], -one[-1]) for scale, one in zip(fake, sure, strict=True))
    assert float(discriminator_loss(sure, doubted)) == 0.0


def test_features_are_matched_below_the_scores() -> None:
    real, fake = judgement(), judgement()
    pairs = [(a, b) for one, other in zip(real, fake, strict=True) for a, b in zip(one[:-1], other[:-1], strict=True)]
    # The release's weights: 4 / (4 strided + 1), and one over the number of scales.
    expected = sum(0.8 * 0.5 * np.abs(np.float64(a) - b).mean() for a, b in pairs)
    assert len(pairs) == 12
    assert float(feature_matching_loss(real, fake)) == pytest.approx(expected, rel=1e-6)
    assert float(feature_matching_loss(real, real)) == 0.0
