"""Sampling by weights: classes and sources are drawn as asked, in an order that depends on seed and weights alone."""

from types import SimpleNamespace

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.sampling import WeighedOrder, sampling_weights

LABELS = np.repeat([0, 1], [30, 10])
SOURCES = np.array(["a"] * 24 + ["b"] * 6 + ["c"] * 10)


def dataset(has_labels=True):
    labels = LABELS if has_labels else np.zeros(40, int)
    return SimpleNamespace(
        has_labels=has_labels, directory="the data set", classes_and_sources=lambda split: (labels, SOURCES)
    )


def shares(weights):
    by_class = [weights[label == LABELS].sum() for label in (0, 1)]
    return by_class, [weights[source == SOURCES].sum() for source in "abc"]


@pytest.mark.parametrize(
    ("balance", "classes", "sources"),
    [
        ((1.0, 0.0), [0.5, 0.5], [0.4, 0.1, 0.5]),
        ((0.0, 1.0), [0.75, 0.25], [0.375, 0.375, 0.25]),
        ((1.0, 1.0), [0.5, 0.5], [0.25, 0.25, 0.5]),
        ((1.0, 0.5), [0.5, 0.5], [0.5 * 2 / 3, 0.5 / 3, 0.5]),
    ],
)
def test_shares_are_powers_of_the_sizes(balance, classes, sources):
    by_class, by_source = shares(sampling_weights(dataset(), "train", *balance))
    np.testing.assert_allclose(by_class, classes, atol=1e-12)
    np.testing.assert_allclose(by_source, sources, atol=1e-12)


def test_nothing_asked_is_no_weights_and_classes_that_are_not_there_are_named():
    assert sampling_weights(dataset(), "train", 0.0, 0.0) is None
    assert sampling_weights(dataset(has_labels=False), "train", 0.0, 1.0) is not None
    with pytest.raises(BadInput, match="have no classes of their own"):
        sampling_weights(dataset(has_labels=False), "train", 1.0, 0.0)


def test_an_epoch_holds_each_example_as_often_as_its_weight_says():
    weights = sampling_weights(dataset(), "train", 1.0, 0.5)
    order = WeighedOrder(weights, seed=3)
    epochs = np.array([[order[40 * epoch + item] for item in range(40)] for epoch in range(50)])
    for epoch in epochs:
        counts = np.bincount(epoch, minlength=40)
        assert (np.abs(counts - 40 * weights) < 1.0 + 1e-9).all()
    np.testing.assert_allclose(np.bincount(epochs.ravel(), minlength=40) / 50, 40 * weights, atol=0.25)
    assert (epochs[0] != epochs[1]).any()
    again = WeighedOrder(weights, seed=3)
    assert [again[position] for position in (1_999, 0, 77)] == [epochs[49, 39], epochs[0, 0], epochs[1, 37]]
    assert [WeighedOrder(weights, seed=4)[item] for item in range(40)] != list(epochs[0])
