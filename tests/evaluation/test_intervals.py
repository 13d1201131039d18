"""Intervals against their textbook forms."""

import math

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.intervals import (
    Figure,
    bootstrap,
    groups_of_sounds,
    has_several_rows,
    jackknife,
    sound_index,
    student,
)


def test_student_has_the_tables_values() -> None:
    assert [student(n) for n in (1, 9, 30)] == pytest.approx([12.7062, 2.26216, 2.04227], rel=1e-5)


def test_jackknife_of_a_mean_is_the_students_interval_of_the_mean() -> None:
    values = np.random.default_rng(0).standard_normal(20)
    figure = jackknife([np.delete(values, i).mean() for i in range(20)], values.mean())
    half = 2.093024 * values.std(ddof=1) / math.sqrt(20)
    assert figure.value == values.mean()
    assert figure.high - figure.value == pytest.approx(half, rel=1e-6)
    assert figure.value - figure.low == pytest.approx(half, rel=1e-6)


@pytest.mark.smoke
def test_bootstrap_of_a_mean_has_the_normal_interval_of_many_samples() -> None:
    values = (np.random.default_rng(1).random(4000) < 0.3).astype(float)
    figure = bootstrap(values)
    error = values.std() / math.sqrt(4000)
    assert figure.value == pytest.approx(values.mean(), rel=1e-12)
    assert figure.high - figure.value == pytest.approx(1.96 * error, rel=0.1)
    assert figure.value - figure.low == pytest.approx(1.96 * error, rel=0.1)
    assert figure == bootstrap(values)
    assert figure != bootstrap(values, seed=1)


def test_bootstrap_of_distinct_values_is_the_same_law_as_resampling_them() -> None:
    values = np.random.default_rng(2).exponential(size=50)
    figure = bootstrap(values)
    rng = np.random.default_rng(3)
    means = values[rng.integers(0, 50, (20000, 50))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    assert figure.low == pytest.approx(low, abs=0.1 * (high - low))
    assert figure.high == pytest.approx(high, abs=0.1 * (high - low))


@pytest.mark.smoke
def test_bootstrap_of_sounds_of_equal_rows_is_that_of_one_row_each() -> None:
    values = np.random.default_rng(4).exponential(size=60)
    one, several = bootstrap(values), bootstrap(np.repeat(values, 7), index=np.repeat(np.arange(60), 7))
    assert (several.low, several.high) == pytest.approx((one.low, one.high), rel=1e-12)
    assert several.interval == "bootstrap of sounds, 1000 resamples"
    # The order in which a processor adds differs between machines, and so does the last bit.
    assert several.value == pytest.approx(bootstrap(np.repeat(values, 7)).value, rel=1e-14)
    assert bootstrap(values, index=np.arange(60)) == one


def test_bootstrap_of_sounds_of_unlike_numbers_of_rows_is_the_law_of_their_ratio() -> None:
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 9, 40)
    index = np.repeat(np.arange(40), sizes)
    values = rng.exponential(size=40)[index] + 0.1 * rng.standard_normal(len(index))
    drawn = rng.integers(0, 40, (20000, 40))
    sums = np.array([values[index == sound].sum() for sound in range(40)])
    low, high = np.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975])
    figure = bootstrap(values, index=index)
    assert figure.low == pytest.approx(low, abs=0.1 * (high - low))
    assert figure.high == pytest.approx(high, abs=0.1 * (high - low))


def test_sounds_are_counted_from_zero_and_stay_whole_in_groups() -> None:
    assert sound_index(None, 3, "real").tolist() == sound_index(np.array([4, 6, 9]), 3, "real").tolist() == [0, 1, 2]
    assert not has_several_rows(np.arange(3))
    index = sound_index(np.array([2, 2, 5, 7, 7, 7]), 6, "real")
    assert index.tolist() == [0, 0, 1, 2, 2, 2]
    assert has_several_rows(index)
    assert sorted(part.tolist() for part in groups_of_sounds(index, 10, np.random.default_rng(0))) == [
        [0, 1],
        [2],
        [3, 4, 5],
    ]
    index = np.repeat(np.arange(31), 4)
    groups = groups_of_sounds(index, 10, np.random.default_rng(1))
    assert sorted(len(group) for group in groups) == [12] * 9 + [16]
    assert sorted(index[np.concatenate(groups)]) == index.tolist()
    assert [len(set(index[group])) for group in groups] == [len(group) // 4 for group in groups]


def test_rows_of_one_sound_and_wrong_sound_numbers_are_refused() -> None:
    with pytest.raises(BadInput, match="at least 2 real sounds, not 1"):
        sound_index(np.zeros(5, int), 5, "real")
    assert sound_index(np.zeros(1, int), 1, "real").tolist() == [0]
    for wrong in (np.zeros(4, int), np.array([0, 1, 0])):
        with pytest.raises(ValueError, match="one for each of 3 rows"):
            sound_index(wrong, 3, "real")


def test_too_little_is_refused_and_equal_values_have_no_width() -> None:
    with pytest.raises(BadInput, match="at least 2 groups"):
        jackknife([1.0], 1.0)
    with pytest.raises(BadInput, match="at least 1 sample"):
        bootstrap(np.zeros(0))
    assert bootstrap(np.ones(7)) == Figure(1.0, 1.0, 1.0, "bootstrap, 1000 resamples")
