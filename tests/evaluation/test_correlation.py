"""Spearman's correlation against SciPy's."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from drumgan_jax.evaluation.correlation import spearman


@pytest.mark.smoke
def test_it_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, 30)), rng.integers(0, 6, (4, 30)).astype(float)
    expected = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b), expected, atol=1e-12)


def test_monotone_and_constant_rows() -> None:
    rows = np.asarray([[1.0, 2.0, 40.0], [3.0, 2.0, 1.0], [5.0, 5.0, 5.0]])
    np.testing.assert_allclose(spearman(np.arange(3.0), rows), [1.0, -1.0, np.nan])
