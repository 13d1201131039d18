"""The Inception Score against its definition."""

import numpy as np
import pytest

from drumgan_jax.errors import BadInput
from drumgan_jax.evaluation.inception_score import inception_score


def score(labels: np.ndarray) -> float:
    return float(np.exp(np.mean(np.sum(labels * np.log(labels / labels.mean(axis=0)), axis=1))))


@pytest.mark.smoke
@pytest.mark.parametrize("count", [100, 1003])
def test_mean_and_spread_over_shuffled_splits(count: int) -> None:
    logits = 3 * np.random.default_rng(0).standard_normal((count, 12)) + 50
    labels = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    shuffled = labels[np.random.RandomState(2020).permutation(count)]
    scores = [score(shuffled[i * count // 10 : (i + 1) * count // 10]) for i in range(10)]
    figure = inception_score(logits.astype(np.float32))
    assert figure.value == pytest.approx(np.mean(scores), rel=1e-6)
    assert figure.spread == pytest.approx(np.std(scores), rel=1e-5)
    half = 2.262157 * np.std(scores, ddof=1) / np.sqrt(10)
    assert figure.high - figure.value == pytest.approx(half, rel=1e-5)
    assert figure.value - figure.low == pytest.approx(half, rel=1e-5)


def test_bounds_certain_and_even_labels_score_the_classes_and_alike_ones_score_one() -> None:
    # 800 over 10 splits: shuffled, so a split's classes are only about even.
    certain = inception_score(1e4 * np.eye(4, dtype=np.float32)[np.arange(8000) % 4])
    assert certain.value == pytest.approx(4, rel=0.01)
    assert certain.value <= 4
    alike = inception_score(np.tile(np.array([[1.0, 2.0, -3.0]]), (50, 1)))
    assert alike.value == pytest.approx(1, rel=1e-12)
    assert alike.spread == pytest.approx(0, abs=1e-12)


def test_a_class_of_no_probability_adds_nothing() -> None:
    logits = np.random.default_rng(1).standard_normal((200, 5))
    impossible = np.concatenate([logits, np.full((200, 1), -1e5)], axis=1)
    assert inception_score(impossible).value == pytest.approx(inception_score(logits).value, rel=1e-12)


def test_fewer_samples_than_splits_are_refused() -> None:
    with pytest.raises(BadInput, match="over 10 splits needs that many samples, not 9"):
        inception_score(np.zeros((9, 3)))
