"""The Fréchet distance against float64 references that take other ways than the code."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.frechet import distance_from, frechet_distance, frechet_figure, frechet_infinity
from drumgan_jax.evaluation.moments import Moments


def vectors(count: int, features: int, seed: int, offset: float = 0.0) -> np.ndarray:
    """Correlated vectors [count, features] of standard deviations from 0.5 to 2 or so."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((features, features)) / features**0.5
    return rng.standard_normal((count, features)) @ (0.5 * mix + np.eye(features)) + offset


def by_square_root(x: np.ndarray, y: np.ndarray) -> float:
    """The definition with SciPy's matrix square root, for covariances of full rank."""
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.asarray(scipy.linalg.sqrtm(s1 @ s2)).real
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(s1) + np.trace(s2) - 2 * np.trace(root))


def by_nuclear_norm(x: np.ndarray, y: np.ndarray) -> float:
    """The same from the vectors themselves: tr (S1 S2)^(1/2) is the sum of singular values of X Y^T, centred."""
    xc, yc = x - x.mean(0), y - y.mean(0)
    m, n = max(len(x) - 1, 1), max(len(y) - 1, 1)
    cross = np.linalg.svd(xc @ yc.T, compute_uv=False).sum() / np.sqrt(m * n)
    return float(
        np.sum((x.mean(0) - y.mean(0)) ** 2) + np.sum(xc**2) / m + np.sum(yc**2) / n - 2 * cross,
    )


def distance(x: np.ndarray, y: np.ndarray) -> float:
    return frechet_distance(Moments.of(x), Moments.of(y))


@pytest.mark.smoke
def test_diagonal_gaussians_have_their_closed_form() -> None:
    rng = np.random.default_rng(0)
    mean_a, mean_b = rng.standard_normal((2, 6))
    std_a, std_b = rng.uniform(0.5, 2.0, (2, 6))
    a = Moments(101, mean_a, 100 * np.diag(std_a**2))
    b = Moments(101, mean_b, 100 * np.diag(std_b**2))
    expected = np.sum((mean_a - mean_b) ** 2) + np.sum((std_a - std_b) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("count", "features"), [(1000, 64), (1500, 128), (1000, 384)])
def test_well_conditioned_sets_agree_with_the_matrix_square_root(count: int, features: int) -> None:
    x, y = vectors(count, features, 1), vectors(count + 100, features, 2, 0.05)
    assert distance(x, y) == pytest.approx(by_square_root(x, y), rel=1e-6)


def test_full_rank_at_2048_dimensions() -> None:
    # The best way to carry x to A x, of a symmetric positive definite A, is A itself: the distance is E |x - A x|^2
    # (Brenier's theorem), with no square root at all.
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2600, 2048)) * np.linspace(0.3, 2, 2048)
    scale, direction = rng.uniform(0.5, 1.5, 2048), rng.standard_normal(2048) / 2048**0.5
    y = x * scale + (x @ direction)[:, None] * direction
    moved = x - y
    expected = np.sum(moved.mean(0) ** 2) + np.sum((moved - moved.mean(0)) ** 2) / (len(x) - 1)
    assert distance(x, y) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("real", "fake"), [(500, 500), (500, 300), (300, 500), (500, 1500), (1500, 500)], ids=lambda count: str(count)
)
def test_rank_deficient_sets_agree_with_the_singular_values(real: int, fake: int) -> None:
    x, y = vectors(real, 768, 5), vectors(fake, 768, 6, 0.02)
    # 1e-4 is promised; without the known rank of either side it would be 1e-8.
    assert distance(x, y) == pytest.approx(by_nuclear_norm(x, y), rel=1e-10)


@pytest.mark.smoke
def test_500_samples_of_2048_dimensions() -> None:
    x, y = vectors(500, 2048, 7), vectors(500, 2048, 8, 0.02)
    assert distance(x, y) == pytest.approx(by_nuclear_norm(x, y), rel=1e-4)


def test_duplicates_and_constant_features_lower_the_rank_and_not_the_accuracy() -> None:
    rng = np.random.default_rng(9)
    # 40 vectors repeated, of which 20 features never move: more rows than dimensions, and rank 39.
    few = vectors(40, 128, 10)
    few[:, :20] = 1.5
    x, y = few[rng.integers(0, 40, 1000)], vectors(900, 128, 11)
    assert distance(x, y) == pytest.approx(by_nuclear_norm(x, y), rel=1e-4)
    assert distance(y, x) == pytest.approx(by_nuclear_norm(x, y), rel=1e-4)


def test_equal_sets_are_at_zero_and_disjoint_ones_far() -> None:
    for count, features in ((300, 64), (100, 256), (200, 1024)):
        x = vectors(count, features, 12)
        assert distance(x, x) == pytest.approx(0.0, abs=1e-6 * np.trace(np.cov(x, rowvar=False)))
    x = vectors(300, 64, 12)
    # The distance between a set and its translate is the length of the translation squared.
    assert distance(x, x + 100) == pytest.approx(64 * 100**2, rel=1e-9)
    assert distance(x, x + 100) > 1e3 * distance(x, vectors(300, 64, 13))


def test_constant_and_one_sample_sets_have_a_distance() -> None:
    x = vectors(200, 32, 14)
    spread = np.trace(np.cov(x, rowvar=False))
    for point in (np.full((10, 32), 2.0), np.full((1, 32), 2.0)):
        expected = np.sum((x.mean(0) - 2) ** 2) + spread
        assert distance(x, point) == pytest.approx(expected, rel=1e-12)
        assert distance(point, x) == pytest.approx(expected, rel=1e-12)
        assert distance(point, np.zeros((1, 32))) == pytest.approx(128.0, rel=1e-12)


def test_bad_sets_are_refused_in_a_sentence() -> None:
    x = Moments.of(vectors(50, 4, 15))
    with pytest.raises(BadInput, match="empty set"):
        frechet_distance(x, Moments.empty(4))
    with pytest.raises(BadInput, match="4 and 5 dimensions"):
        frechet_distance(x, Moments.of(vectors(50, 5, 15)))
    with pytest.raises(BadInput, match="not finite"):
        frechet_distance(Moments.of(np.full((50, 4), np.nan)), x)
    with pytest.raises(BadInput, match="2 groups of samples, not 1"):
        frechet_figure(x, [x, Moments.empty(4)])
    with pytest.raises(BadInput, match="needs 50 embeddings"):
        frechet_infinity(x, vectors(49, 4, 16))
    with pytest.raises(BadInput, match="at least 2 generated sounds, not 1"):
        frechet_infinity(x, vectors(50, 4, 16), sounds=np.zeros(50, int))


def test_figure_is_the_whole_sets_distance_with_the_jackknifes_interval() -> None:
    x, y = vectors(600, 8, 17), vectors(400, 8, 18, 0.3)
    parts = np.array_split(y, 8)
    figure = frechet_figure(Moments.of(x), [Moments.of(part) for part in parts])
    assert figure.value == pytest.approx(distance(x, y), rel=1e-10)
    without = [distance(x, np.concatenate(parts[:i] + parts[i + 1 :])) for i in range(8)]
    error = np.sqrt(7 / 8 * np.sum((np.array(without) - np.mean(without)) ** 2))
    assert figure.high - figure.value == pytest.approx(2.364624 * error, rel=1e-6)
    assert figure.value - figure.low == pytest.approx(2.364624 * error, rel=1e-6)


def test_the_interval_covers_the_distance_of_infinitely_many_samples() -> None:
    # Far apart, so that the bias of a finite set is small beside the spread.
    real = Moments(10**6, np.zeros(4), (10**6 - 1) * np.eye(4))
    covered = 0
    for seed in range(200):
        rows = np.random.default_rng(seed).standard_normal((400, 4)) * 1.5 + 1
        figure = frechet_figure(real, [Moments.of(part) for part in np.array_split(rows, 10)])
        covered += figure.low < 4 * 1 + 4 * 0.5**2 < figure.high
    # 95 % of 200 is 190; 4 standard deviations of that count are 12.
    assert 178 <= covered <= 200


def test_infinity_removes_the_bias_of_a_finite_set() -> None:
    features = 32
    real = Moments(10**6, np.zeros(features), (10**6 - 1) * np.eye(features))
    true = features * 0.1**2
    rng = np.random.default_rng(19)
    biased, extrapolated, covered = [], [], 0
    for seed in range(20):
        rows = rng.standard_normal((1500, features)) + 0.1
        figure, slope, r2 = frechet_infinity(real, rows, seed)
        biased.append(frechet_distance(real, Moments.of(rows)))
        extrapolated.append(figure.value)
        covered += figure.low < true < figure.high
        assert slope > 0
        assert 0.8 < r2 <= 1
    assert np.mean(biased) > 1.3 * true
    assert np.mean(extrapolated) == pytest.approx(true, rel=0.1)
    assert covered >= 16


def test_infinity_is_the_line_through_subsets_without_replacement() -> None:
    real, rows = Moments.of(vectors(900, 4, 20)), vectors(1200, 4, 21, 0.2)
    rng = np.random.default_rng(3)
    sizes = np.linspace(500, 1200, 25).astype(int)
    distances = [frechet_distance(real, Moments.of(rows[rng.permutation(1200)[:size]])) for size in sizes]
    line = scipy.stats.linregress(1 / sizes, distances)
    figure, slope, r2 = frechet_infinity(real, rows, 3)
    assert figure.value == pytest.approx(line.intercept, rel=1e-9)
    assert slope == pytest.approx(line.slope, rel=1e-9)
    assert r2 == pytest.approx(line.rvalue**2, rel=1e-6)
    groups = [Moments.of(part) for part in np.array_split(rows[rng.permutation(1200)], 10)]
    sampling = frechet_figure(real, groups)
    # Student's t with 25 - 2 degrees of freedom.
    half = np.hypot(sampling.high - sampling.value, 2.068658 * line.intercept_stderr)
    assert figure.high - figure.value == pytest.approx(half, rel=1e-6)
    assert figure.value - figure.low == pytest.approx(half, rel=1e-6)


def test_infinity_of_correlated_rows_leaves_whole_sounds_out() -> None:
    real = Moments(10**6, np.zeros(4), (10**6 - 1) * np.eye(4))
    sounds = np.repeat(np.arange(40), 20)
    covered = covered_as_rows = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        # Far apart, so that the bias of few sounds is small beside the spread.
        each, noise = rng.standard_normal((40, 1, 4)), rng.standard_normal((40, 20, 4))
        rows = (0.995 * each + 0.1 * noise + 2).reshape(-1, 4)
        by_sounds, *line = frechet_infinity(real, rows, sounds=sounds)
        by_rows, *line_by_rows = frechet_infinity(real, rows)
        assert (by_sounds.value, line) == (by_rows.value, line_by_rows)
        covered += by_sounds.low < 4 * 2**2 < by_sounds.high
        covered_as_rows += by_rows.low < 4 * 2**2 < by_rows.high
    assert covered >= 34
    assert covered_as_rows <= 28
    assert by_sounds.interval == "jackknife over 10 groups of sounds, and the standard error of the fit"
    assert frechet_infinity(real, rows, sounds=np.arange(800))[0] == by_rows


def test_one_set_to_many_is_the_same_as_each_alone() -> None:
    x, y, z = (Moments.of(vectors(100, 16, seed)) for seed in (22, 23, 24))
    from_x = distance_from(x)
    assert [from_x(y), from_x(z)] == [frechet_distance(x, y), frechet_distance(x, z)]
