"""The Inception Score against its definition."""

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
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
    assert figure.standard_deviation == pytest.approx(np.std(scores), rel=1e-5)
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
    assert alike.standard_deviation == pytest.approx(0, abs=1e-12)


def test_a_class_of_no_probability_adds_nothing() -> None:
    logits = np.random.default_rng(1).standard_normal((200, 5))
    impossible = np.concatenate([logits, np.full((200, 1), -1e5)], axis=1)
    assert inception_score(impossible).value == pytest.approx(inception_score(logits).value, rel=1e-12)


def test_fewer_samples_than_splits_are_refused() -> None:
    with pytest.raises(BadInput, match="over 10 splits needs that many samples, not 9"):
        inception_score(np.zeros((9, 3)))
    with pytest.raises(BadInput, match="over 10 splits needs that many samples, not 9"):
        inception_score(np.zeros((9, 3)), sounds=np.repeat(np.arange(3), 3))
    with pytest.raises(BadInput, match="at least 2 classified sounds, not 1"):
        inception_score(np.zeros((20, 3)), sounds=np.zeros(20, int))


def test_sounds_of_one_row_each_are_rows() -> None:
    logits = np.random.default_rng(2).standard_normal((200, 5))
    assert inception_score(logits, sounds=np.arange(200)) == inception_score(logits)
    assert inception_score(logits).interval == "Student's t over 10 splits"


def test_sounds_of_several_rows_have_the_jackknifes_interval() -> None:
    rng = np.random.default_rng(3)
    sounds = np.repeat(np.arange(10), rng.integers(20, 30, 10))
    logits = 2 * rng.standard_normal((10, 6))[sounds] + 0.3 * rng.standard_normal((len(sounds), 6))
    labels = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    shuffled = np.random.RandomState(2020).permutation(len(sounds))
    splits = [shuffled[i * len(sounds) // 10 : (i + 1) * len(sounds) // 10] for i in range(10)]
    # Ten sounds are ten groups.
    without = [np.mean([score(labels[split[sounds[split] != left_out]]) for split in splits]) for left_out in range(10)]
    half = 2.262157 * np.sqrt(0.9 * np.sum((without - np.mean(without)) ** 2))
    figure = inception_score(logits, sounds=sounds)
    assert (figure.value, figure.standard_deviation) == (
        inception_score(logits).value,
        inception_score(logits).standard_deviation,
    )
    assert figure.high - figure.value == pytest.approx(half, rel=1e-5)
    assert figure.value - figure.low == pytest.approx(half, rel=1e-5)
    assert figure.interval == "jackknife over 10 groups of sounds"


def test_the_interval_of_correlated_rows_covers_the_score_of_infinitely_many() -> None:
    def logits(sounds: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        drawn = 2 * rng.standard_normal((sounds, 1, 3)) + 0.1 * rng.standard_normal((sounds, 20, 3))
        return drawn.reshape(-1, 3)

    true = inception_score(logits(20000, 0)).value
    sounds = np.repeat(np.arange(60), 20)
    covered = covered_as_rows = 0
    for seed in range(1, 41):
        by_sounds, by_rows = inception_score(logits(60, seed), sounds=sounds), inception_score(logits(60, seed))
        covered += by_sounds.low < true < by_sounds.high
        covered_as_rows += by_rows.low < true < by_rows.high
    assert covered >= 34
    assert covered_as_rows <= 24


def test_a_few_rows_of_few_sounds_may_leave_splits_empty() -> None:
    figure = inception_score(np.random.default_rng(4).standard_normal((10, 3)), sounds=np.repeat(np.arange(2), 5))
    assert figure.value == pytest.approx(1, rel=1e-12)
    assert figure.interval == "jackknife over 2 groups of sounds"
