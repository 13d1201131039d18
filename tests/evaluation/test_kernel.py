"""The kernel distance against its definition in float64."""

import numpy as np
import pytest

from drumgan_jax.errors import BadInput
from drumgan_jax.evaluation.kernel import kernel_distance


def vectors(count: int, features: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Embeddings as rectifiers make them: none below zero, some often zero."""
    drawn = np.random.default_rng(seed).standard_normal((count, features))
    return np.maximum(drawn + 0.3 + shift, 0).astype(np.float32)


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
    assert figure.spread == pytest.approx(expected.std(), rel=1e-5)


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
    # (x.y / d + 1)^3 is a scalar product of tensor powers of x and y up to the third; the distance is one of moments.
    x, y = vectors(400_000, 4, 7).astype(np.float64), vectors(400_000, 4, 8, 0.5).astype(np.float64)
    true = 3 / 4 * np.sum((x.mean(0) - y.mean(0)) ** 2)
    true += 3 / 16 * np.sum((x.T @ x - y.T @ y) ** 2) / len(x) ** 2
    for i in range(4):
        third = (x * x[:, i : i + 1])[:, :, None] * x[:, None] - (y * y[:, i : i + 1])[:, :, None] * y[:, None]
        true += np.sum(third.mean(0) ** 2) / 64
    covered = 0
    for seed in range(100):
        figure = kernel_distance(vectors(400, 4, 500 + seed), vectors(500, 4, 700 + seed, 0.5), 40, 100)
        covered += figure.low < true < figure.high
    # 95 % of 100, less 4 standard deviations of that count.
    assert covered >= 86


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
    with pytest.raises(BadInput, match="of 2 and of 3 dimensions"):
        kernel_distance(np.zeros((10, 2)), np.zeros((10, 3)), 2, 5)
