"""The kernel distance against its definition in float64."""

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.kernel import kernel_distance


def vectors(count: int, features: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Embeddings as rectifiers make them: none below zero, some often zero."""
    drawn = np.random.default_rng(seed).standard_normal((count, features))
    return np.maximum(drawn + 0.3 + shift, 0).astype(np.float32)


def of_sounds(sounds: int, rows: int, features: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Rows of the law of `vectors`, several of every sound and nearly equal."""
    rng = np.random.default_rng(seed)
    each, noise = rng.standard_normal((sounds, 1, features)), rng.standard_normal((sounds, rows, features))
    drawn = 0.995 * each + 0.1 * noise
    return np.maximum(drawn + 0.3 + shift, 0).reshape(-1, features).astype(np.float32)


def true_distance(features: int, shift: float) -> float:
    """Between `vectors` without and with a shift, of infinitely many samples or nearly so."""
    x, y = vectors(400_000, features, 7).astype(np.float64), vectors(400_000, features, 8, shift).astype(np.float64)
    # (x.y / d + 1)^3 is a scalar product of tensor powers of x and y up to the third; the distance is one of moments.
    true = 3 / features * np.sum((x.mean(0) - y.mean(0)) ** 2)
    true += 3 / features**2 * np.sum((x.T @ x - y.T @ y) ** 2) / len(x) ** 2
    for i in range(features):
        third = (x * x[:, i : i + 1])[:, :, None] * x[:, None] - (y * y[:, i : i + 1])[:, :, None] * y[:, None]
        true += np.sum(third.mean(0) ** 2) / features**3
    return true


def discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared MMD of equally many x and y, in float64."""
    x, y = x.astype(np.float64), y.astype(np.float64)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    size = len(x)
    within = sum((k.sum() - np.trace(k)) / (size * (size - 1)) for k in (kernel(x, x), kernel(y, y)))
    return within - 2 * kernel(x, y).mean()


def over_subsets(real: np.ndarray, fake: np.ndarray, subsets: int, size: int, seed: int = 2020) -> np.ndarray:
    rng = np.random.RandomState(seed)
    result = []
    for _ in range(subsets):
        a = fake[rng.choice(len(fake), size, replace=False)]
        b = real[rng.choice(len(real), size, replace=False)]
        result.append(discrepancy(a, b))
    return np.array(result)


# Subsets of few among many samples are summed one by one, those of many among few from one matrix of all, in more
# than one block where there are over 1,000.
@pytest.mark.smoke
@pytest.mark.parametrize(
    ("real", "fake", "features", "subsets", "size"),
    [(300, 250, 64, 20, 100), (900, 1200, 64, 5, 40), (2300, 1400, 16, 60, 400), (1500, 1300, 128, 3, 1200)],
    ids=lambda number: str(number),
)
def test_equals_the_mean_over_the_same_subsets(real: int, fake: int, features: int, subsets: int, size: int) -> None:
    x, y = vectors(real, features, 0), vectors(fake, features, 1, 0.1)
    expected = over_subsets(x, y, subsets, size)
    figure = kernel_distance(x, y, subsets, size)
    assert figure.value == pytest.approx(expected.mean(), rel=1e-6)
    assert figure.standard_deviation == pytest.approx(expected.std(), rel=1e-5)


def test_digits_survive_embeddings_far_from_the_origin() -> None:
    x, y = vectors(400, 256, 2) + 10, vectors(400, 256, 3, 0.05) + 10
    expected = over_subsets(x, y, 10, 200)
    # Kernel values are about a million there; the distance is below one of them.
    assert kernel_distance(x, y, 10, 200).value == pytest.approx(expected.mean(), rel=1e-5)


def test_equal_laws_are_at_zero_within_the_interval_and_others_are_not() -> None:
    inside = 0
    for seed in range(40):
        same = kernel_distance(vectors(300, 16, 100 + seed), vectors(300, 16, 200 + seed), 20, 100)
        inside += same.low < 0 < same.high
    assert inside >= 34
    assert kernel_distance(vectors(300, 16, 4), vectors(300, 16, 5, 1.0), 20, 100).low > 0


def test_the_interval_covers_the_distance_of_infinitely_many_samples() -> None:
    true = true_distance(4, 0.5)
    covered = 0
    for seed in range(100):
        figure = kernel_distance(vectors(400, 4, 500 + seed), vectors(500, 4, 700 + seed, 0.5), 40, 100)
        covered += figure.low < true < figure.high
    # 95 % of 100, less 4 standard deviations of that count.
    assert covered >= 86


@pytest.mark.parametrize(("features", "shift"), [(4, 0.0), (64, 0.0), (4, 0.5)], ids=str)
def test_the_interval_of_correlated_rows_covers_the_distance_of_infinitely_many(features: int, shift: float) -> None:
    true = true_distance(features, shift) if shift else 0.0
    sounds = np.repeat(np.arange(30), 20)
    covered = covered_as_rows = 0
    for seed in range(40):
        x, y = of_sounds(30, 20, features, 900 + seed), of_sounds(30, 20, features, 1900 + seed, shift)
        by_sounds = kernel_distance(x, y, 20, 300, real_sounds=sounds, fake_sounds=sounds)
        by_rows = kernel_distance(x, y, 20, 300)
        assert (by_sounds.value, by_sounds.standard_deviation) == (by_rows.value, by_rows.standard_deviation)
        covered += by_sounds.low < true < by_sounds.high
        covered_as_rows += by_rows.low < true < by_rows.high
    assert covered >= 33
    assert covered_as_rows <= 26


def test_the_interval_of_sounds_equals_its_definition() -> None:
    rng = np.random.default_rng(9)
    numbers = [np.repeat(np.arange(40), rng.integers(1, 9, 40))[:120] for _ in range(2)]
    x, y = (vectors(40, 6, 10 + i, 0.2 * i)[numbers[i]] + 0.1 * vectors(120, 6, 20 + i) for i in range(2))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a.astype(np.float64) @ b.astype(np.float64).T / 6 + 1) ** 3

    variance, unbiased = 0.0, -2 * kernel(x, y).mean()
    for a, b, sounds in ((x, y, numbers[0]), (y, x, numbers[1])):
        within = kernel(a, a)
        shares = 2 * ((within.sum(axis=1) - np.diagonal(within)) / 119 - kernel(a, b).mean(axis=1))
        shares -= shares.mean()
        variance += sum(shares[sounds == sound].sum() ** 2 for sound in set(sounds.tolist())) / 120**2
        unbiased += within[sounds[:, None] != sounds].mean()
    # One subset of all samples.
    figure = kernel_distance(x, y, 1, 120, real_sounds=numbers[0], fake_sounds=numbers[1])
    assert figure.value == pytest.approx(discrepancy(x, y), rel=1e-5)
    assert figure.high - figure.value == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-5)
    assert figure.low == pytest.approx(unbiased - 1.959964 * np.sqrt(variance), rel=1e-5)
    assert figure.interval == "delta method over sounds, the draw of subsets, and the excess of pairs from one sound"


def test_sounds_of_one_row_each_are_rows() -> None:
    x, y = vectors(300, 8, 30), vectors(200, 8, 31, 0.1)
    as_sounds = kernel_distance(x, y, 10, 50, real_sounds=np.arange(300), fake_sounds=np.arange(200))
    assert as_sounds == kernel_distance(x, y, 10, 50)
    assert as_sounds.interval == "delta method over samples, and the draw of subsets"


def test_a_set_against_itself_and_constant_sets() -> None:
    x = vectors(200, 8, 6)
    figure = kernel_distance(x, x, 5, 200)
    assert figure.value == pytest.approx(discrepancy(x, x), rel=1e-5)
    assert figure.value < 0
    zeros, twos = np.zeros((20, 4), np.float32), np.full((20, 4), 2, np.float32)
    assert kernel_distance(zeros, zeros, 5, 10).value == pytest.approx(0, abs=1e-12)
    # Kernel values are 1 among zeros, (4 + 1)^3 among twos and 1 across.
    assert kernel_distance(zeros, twos, 5, 10).value == pytest.approx(1 + 125 - 2, rel=1e-6)


def test_fewer_samples_than_a_subset_and_unlike_dimensions_are_refused() -> None:
    with pytest.raises(BadInput, match="subsets of 1000 needs that many generated embeddings, not 999"):
        kernel_distance(np.zeros((1000, 2)), np.zeros((999, 2)))
    with pytest.raises(BadInput, match="at least 2 real embeddings, not 1"):
        kernel_distance(np.zeros((1, 2)), np.zeros((9, 2)), subset_size=1)
    with pytest.raises(BadInput, match="at least 2 generated embeddings, not 1"):
        kernel_distance(np.zeros((9, 2)), np.zeros((1, 2)), subset_size=1)
    with pytest.raises(BadInput, match="subsets of at least 2 embeddings, not 1"):
        kernel_distance(np.zeros((9, 2)), np.zeros((9, 2)), subset_size=1)
    with pytest.raises(BadInput, match="at least 2 generated sounds, not 1"):
        kernel_distance(np.zeros((9, 2)), np.zeros((9, 2)), 2, 5, fake_sounds=np.zeros(9, int))
    with pytest.raises(BadInput, match="2 and 3 dimensions"):
        kernel_distance(np.zeros((10, 2)), np.zeros((10, 3)), 2, 5)
