"""Streaming moments and the Fréchet distance against NumPy float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumgan_jax.evaluation.moments import Moments, frechet_distance


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    offset=st.floats(-1e6, 1e6),
    seed=st.integers(0, 2**31),
)
def test_merged_batches_equal_the_whole(sizes: list[int], offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batches = [rng.standard_normal((size, 5)) + offset for size in sizes]
    merged = Moments.empty(5)
    for batch in batches:
        merged = merged.merge(Moments.of(batch))
    whole = np.concatenate(batches)
    assert merged.count == len(whole)
    if len(whole) > 1:
        np.testing.assert_allclose(merged.mean, whole.mean(0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(merged.covariance, np.cov(whole, rowvar=False), rtol=1e-7, atol=1e-9)


@pytest.mark.smoke
def test_frechet_of_diagonal_gaussians_has_its_closed_form() -> None:
    rng = np.random.default_rng(0)
    mean_a, mean_b = rng.standard_normal((2, 6))
    std_a, std_b = rng.uniform(0.5, 2.0, (2, 6))
    a = Moments(101, mean_a, 100 * np.diag(std_a**2))
    b = Moments(101, mean_b, 100 * np.diag(std_b**2))
    expected = np.sum((mean_a - mean_b) ** 2) + np.sum((std_a - std_b) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_frechet_equals_the_matrix_square_root_form() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((500, 8)) @ rng.standard_normal((8, 8))
    y = rng.standard_normal((400, 8)) @ rng.standard_normal((8, 8)) + 0.3
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    # The product of two positive definite matrices has real positive eigenvalues; their roots sum to the trace.
    trace = np.sqrt(np.linalg.eigvals(s1 @ s2).real).sum()
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(s1) + np.trace(s2) - 2 * trace
    assert frechet_distance(Moments.of(x), Moments.of(y)) == pytest.approx(expected, rel=1e-9)


def test_frechet_is_zero_for_equal_and_finite_for_rank_deficient_sets() -> None:
    x = np.random.default_rng(2).standard_normal((4, 32))
    assert frechet_distance(Moments.of(x), Moments.of(x)) == pytest.approx(0.0, abs=1e-6)
    constant = Moments.of(np.ones((10, 32)))
    assert frechet_distance(constant, Moments.of(np.zeros((10, 32)))) == pytest.approx(32.0)
