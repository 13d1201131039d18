"""The mapping of recordings' w, given attributes: the Gaussian of w that is left, and recordings that are near."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from drumgan_jax.networks.anchored_mapping import AnchoredMapping, deviates
from drumgan_jax.systems.attribute_regression import attribute_regression

COMPONENTS, CLASSES, RECORDINGS, DRAWN = 4, 3, 600, 900
OF_CLASS = np.arange(DRAWN) % CLASSES


@pytest.fixture(scope="module")
def recordings():
    """Ranks of one attribute [n, 1], w [n, w_dim] that move with it by a slope of the class, classes and slopes."""
    rng = np.random.default_rng(4)
    classes, ranks = np.arange(RECORDINGS) % CLASSES, rng.uniform(size=(RECORDINGS, 1)).astype(np.float32)
    slopes = rng.normal(size=(CLASSES, COMPONENTS))
    w = norm.ppf(0.02275 + 0.9545 * ranks) * slopes[classes] + classes[:, None]
    return ranks, w + 0.3 * rng.normal(size=w.shape), classes, slopes


def drawn(recordings, anchors, asked):
    """ws [drawn, w_dim] of a value of the attribute, of classes that take turns."""
    ranks, w, classes, _ = recordings
    members = np.eye(CLASSES, dtype=np.float32)[classes]
    found = attribute_regression(w, np.asarray(deviates(jnp.asarray(ranks))), members, 1e-6)
    found["class_means"] = np.stack([w[classes == one].mean(axis=0) for one in range(CLASSES)]).astype(np.float32)
    if anchors:
        keys = np.random.default_rng(5).normal(size=w.shape).astype(np.float32)
        found |= {"anchors": w.astype(np.float32), "anchor_classes": members, "anchor_attributes": ranks}
        found["keys"] = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    mapping = AnchoredMapping(COMPONENTS, CLASSES, RECORDINGS if anchors else 0, 0.6, 1)
    z = np.random.default_rng(6).normal(size=(DRAWN, COMPONENTS)).astype(np.float32)
    labels = np.concatenate([np.eye(CLASSES)[OF_CLASS], np.full((DRAWN, 1), asked)], axis=1).astype(np.float32)
    return np.asarray(mapping.apply({"statistics": found}, z, labels))


@pytest.mark.parametrize("anchors", [False, True])
@pytest.mark.parametrize("asked", [0.1, 0.8])
def test_w_moves_with_the_attribute_and_what_it_explains_no_longer_varies(recordings, anchors, asked):
    _, w, classes, slopes = recordings
    ws = drawn(recordings, anchors, asked)
    for one in range(CLASSES):
        own = ws[one == OF_CLASS]
        expected = norm.ppf(0.02275 + 0.9545 * asked) * slopes[one] + one
        # Three standard errors of 0.3: of the slope and the draws, or of some ten recordings that are near.
        np.testing.assert_allclose(own.mean(axis=0), expected, atol=0.3 if anchors else 0.1)
        np.testing.assert_allclose(own.std(axis=0), 0.3, atol=0.1)
        assert w[classes == one].std(axis=0).max() > 0.6


def test_w_stay_where_they_are_far_from_all_recordings_of_a_class(recordings):
    ranks, w, classes, slopes = recordings
    near = np.abs(ranks[:, 0] - 0.5) < 0.02
    few = ranks[near], w[near], classes[near], slopes
    np.testing.assert_array_equal(drawn(few, False, 0.95), drawn(few, False, 1.0))
    assert np.abs(drawn(few, False, 0.49) - drawn(few, False, 0.51)).max() > 0.01


def test_the_regression_is_the_conditional_gaussian(recordings):
    """Of the joint covariance, in float64 (Bishop 2006, eq. 2.81 and 2.82)."""
    ranks, w, classes, _ = recordings
    attributes = np.concatenate([ranks, ranks**2 + w[:, :1]], axis=1).astype(np.float64)
    found = attribute_regression(w, attributes, np.eye(CLASSES)[classes], 0.0)
    for one in range(CLASSES):
        joint = np.cov(np.concatenate([w, attributes], axis=1)[classes == one].T, bias=True)
        ww, wa, aa = joint[:COMPONENTS, :COMPONENTS], joint[:COMPONENTS, COMPONENTS:], joint[COMPONENTS:, COMPONENTS:]
        np.testing.assert_allclose(found["attribute_means"][one], attributes[classes == one].mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(found["attribute_deviations"][one], np.sqrt(np.diag(aa)), rtol=1e-5)
        np.testing.assert_allclose(found["attribute_slopes"][one], (wa @ np.linalg.inv(aa)).T, rtol=1e-3, atol=1e-4)
        left = found["class_factors"][one] @ found["class_factors"][one].T
        np.testing.assert_allclose(left, ww - wa @ np.linalg.inv(aa) @ wa.T, atol=1e-4)
