"""Intervals against their textbook forms."""

import math

import numpy as np
import pytest

from drumgan_jax.errors import BadInput
from drumgan_jax.evaluation.intervals import Figure, bootstrap, jackknife, student


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


def test_too_little_is_refused_and_equal_values_have_no_width() -> None:
    with pytest.raises(BadInput, match="at least 2 groups"):
        jackknife([1.0], 1.0)
    with pytest.raises(BadInput, match="at least 1 sample"):
        bootstrap(np.zeros(0))
    assert bootstrap(np.ones(7)) == Figure(1.0, 1.0, 1.0, "bootstrap, 1000 resamples")
