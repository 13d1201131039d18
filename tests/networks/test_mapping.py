"""The mapping network and what is done to w, against NumPy float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from scipy import stats

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks.mapping import Mapping, mix_styles, normalize_second_moment, truncate


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def float32(array):
    return jnp.asarray(array, jnp.float32)


def test_parity_09_normalize_second_moment():
    x = normal(0, 3, 16)
    expected = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(normalize_second_moment(float32(x)), expected, atol=1e-6)
    np.testing.assert_array_equal(normalize_second_moment(jnp.zeros((1, 16))), 0)


@pytest.mark.parametrize("labels", [None, np.array([[1.0, 0, 0], [0.2, 0.3, 0.5]])], ids=["plain", "labels"])
def test_parity_09_mapping(labels):
    """z and the embedded label are normalised apart, then joined; the embedding learns at full rate."""
    z = normal(0, 2, 6)
    network = Mapping(8, 3, num_labels=0 if labels is None else 3)
    given = None if labels is None else float32(labels)
    parameters = network.init(jax.random.key(0), float32(z), given)["params"]
    expected = reference.mapping(z, labels, parameters, lr_multiplier=0.01)
    np.testing.assert_allclose(network.apply({"params": parameters}, float32(z), given), expected, atol=2e-6)
    if labels is not None:
        assert np.asarray(parameters["embed"]["kernel"]).std() < 5
        assert parameters["dense_0"]["kernel"].shape == (6 + 8, 8)


@pytest.mark.parametrize("labels", [None, np.zeros((2, 4)), np.zeros(2)], ids=["none", "four", "indices"])
def test_wrong_labels_are_refused(labels):
    given = None if labels is None else float32(labels)
    with pytest.raises(BadInput, match=r"\[batch, 3\]"):
        Mapping(8, 1, num_labels=3).init(jax.random.key(0), jnp.zeros((2, 6)), given)


@pytest.mark.smoke
@pytest.mark.parametrize("cutoff", [None, 2])
def test_parity_29_truncation(cutoff):
    ws, average = normal(0, 3, 5, 4), normal(1, 4)
    expected = ws.copy()
    expected[:, :cutoff] = average + 0.7 * (ws[:, :cutoff] - average)
    np.testing.assert_allclose(truncate(float32(ws), float32(average), 0.7, cutoff), expected, atol=1e-6)


def test_parity_30_style_mixing():
    """One cutoff for the whole batch: with probability 0.9 uniform in 1 .. num_ws - 1, else none."""
    num_ws = 6
    first, second = jnp.zeros((3, num_ws, 2)), jnp.ones((3, num_ws, 2))
    mix = jax.jit(jax.vmap(lambda key: mix_styles(first, second, key, 0.9)))
    mixed = np.asarray(mix(jax.random.split(jax.random.key(0), 2000)))
    # The same in all examples and in all of w; zeros (the first), then ones.
    np.testing.assert_array_equal(mixed, np.broadcast_to(mixed[:, :1, :, :1], mixed.shape))
    assert (np.diff(mixed[:, 0, :, 0], axis=1) >= 0).all()
    cutoffs = (mixed[:, 0, :, 0] == 0).sum(axis=1)
    assert set(cutoffs) == set(range(1, num_ws + 1))
    counts = [int((cutoffs == cutoff).sum()) for cutoff in range(1, num_ws + 1)]
    assert stats.chisquare(counts, [2000 * p for p in [0.9 / 5] * 5 + [0.1]]).pvalue > 0.001
    np.testing.assert_array_equal(mix_styles(first, second, jax.random.key(0), 0.0), first)
