"""Precision, recall, density and coverage against their definition on whole distance matrices."""

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation import neighbours
from drumgan_jax.evaluation.neighbours import neighbour_metrics

NAMES = ("precision", "recall", "density", "coverage")


def by_definition(real: np.ndarray, fake: np.ndarray, k: int) -> dict[str, float]:
    """With exact differences, every distance by itself."""

    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.stack([np.sqrt(np.sum((row - b) ** 2, axis=1)) for row in a.astype(np.float64)])

    real_radii = np.sort(distances(real, real), axis=1)[:, k]
    fake_radii = np.sort(distances(fake, fake), axis=1)[:, k]
    across = distances(real, fake)
    inside_real = across < real_radii[:, None]
    return {
        "precision": inside_real.any(axis=0).mean(),
        "recall": (across < fake_radii[None, :]).any(axis=1).mean(),
        "density": inside_real.sum() / (k * len(fake)),
        "coverage": (across.min(axis=1) < real_radii).mean(),
    }


def values(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
    figures, _ = neighbour_metrics(real, fake, k)
    return {name: figure.value for name, figure in figures.items()}


def of_sounds(sounds: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of a normal law in two dimensions, several of every sound and alike."""
    drawn = 0.98 * rng.standard_normal((sounds, 1, 2)) + 0.2 * rng.standard_normal((sounds, rows, 2))
    return drawn.reshape(-1, 2)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("real", "fake", "features", "k"), [(400, 300, 64, 5), (150, 500, 3, 1), (90, 80, 2048, 3)], ids=str
)
def test_equals_the_definition(real: int, fake: int, features: int, k: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((real, features)) + 30
    y = 0.9 * rng.standard_normal((fake, features)) + 30.1
    assert values(x, y, k) == pytest.approx(by_definition(x, y, k), rel=1e-12)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((203, 8)), rng.standard_normal((157, 8))
    whole = neighbour_metrics(x, y)
    monkeypatch.setattr(neighbours, "BLOCK", 1000)
    assert neighbour_metrics(x, y) == whole


def test_equal_disjoint_and_collapsed_sets() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((300, 16))
    # A set against itself: every sample is in the ball of its neighbours, or in its own at distance 0.
    assert values(x, x) == pytest.approx(by_definition(x, x, 5))
    assert values(x, x)["precision"] == values(x, x)["coverage"] == 1
    assert values(x, x + 1000) == dict.fromkeys(NAMES, 0.0)
    # One real sound repeated, hardly changed: precise, covering next to nothing, recalling itself.
    collapsed = x[:1] + 1e-3 * rng.standard_normal((300, 16))
    found = values(x, collapsed)
    assert found["precision"] == 1
    assert found["coverage"] < 0.2
    assert found["recall"] == pytest.approx(1 / 300)


def test_a_copy_of_the_kth_neighbour_is_on_the_ball_and_not_in_it() -> None:
    rng = np.random.default_rng(3)
    for features in (1, 7, 64, 512):
        x = rng.standard_normal((60, features)) * 3 + 100
        distances = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))
        order = np.argsort(distances, axis=1)
        balls = np.arange(60)
        # Each copy is in all balls that hold it, but not in the one that it bounds.
        copies = x[order[:, 5]]
        strictly = distances[balls[:, None], order[:, 5][None, :]] < np.sort(distances, axis=1)[:, 5][:, None]
        assert not strictly[balls, balls].any()
        assert values(x, copies)["density"] == pytest.approx(strictly.sum() / (5 * 60), rel=1e-12)
        assert values(x, copies)["precision"] == pytest.approx(strictly.any(axis=0).mean())


def test_ties_on_a_grid_are_ties() -> None:
    # Distances between points of a grid repeat exactly; off the origin their rounding differs from pair to pair.
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), axis=-1).reshape(-1, 3)
    for k in (1, 3, 6):
        assert values(grid + 1 / 3, grid + 1 / 3, k) == pytest.approx(by_definition(grid, grid, k), rel=1e-12)
        half = grid[::2]
        assert values(grid / 7 + 1 / 3, half / 7 + 1 / 3, k) == pytest.approx(by_definition(grid, half, k), rel=1e-12)


def test_duplicates_are_told_and_balls_of_radius_zero_hold_nothing() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((100, 8)) + 5, rng.standard_normal((100, 8)) + 5
    assert neighbour_metrics(x, y)[1] == []
    repeated = np.concatenate([np.repeat(x[:3], 6, axis=0), x[3:]])
    figures, warnings = neighbour_metrics(repeated, repeated)
    assert {name: figure.value for name, figure in figures.items()} == pytest.approx(
        by_definition(repeated, repeated, 5)
    )
    assert [sentence.split(",")[0] for sentence in warnings] == [
        "18 of 115 real embeddings have 5 or more duplicates",
        "18 of 115 generated embeddings have 5 or more duplicates",
    ]
    assert "density and coverage" in warnings[0]
    # Five of each are four other copies: the fifth neighbour is another sound.
    assert neighbour_metrics(np.concatenate([np.repeat(x[:3], 5, axis=0), x[3:]]), y)[1] == []


def test_constant_sets() -> None:
    ones = np.ones((20, 4))
    figures, warnings = neighbour_metrics(ones, ones)
    assert {figure.value for figure in figures.values()} == {0.0}
    assert len(warnings) == 2


def test_intervals_hold_the_values_and_narrow_with_the_samples() -> None:
    rng = np.random.default_rng(5)
    widths = []
    for count in (100, 1600):
        figures, _ = neighbour_metrics(rng.standard_normal((count, 4)), rng.standard_normal((count, 4)) + 0.7)
        assert all(figure.low <= figure.value <= figure.high for figure in figures.values())
        widths.append(figures["coverage"].high - figures["coverage"].low)
    assert 0 < widths[1] < 0.5 * widths[0]


def test_the_interval_of_correlated_rows_covers_the_mean_of_infinitely_many() -> None:
    # Balls are held fixed, so one real side stands for all trials, and the many fakes around it are the truth.
    real, sounds = of_sounds(30, 20, np.random.default_rng(6)), np.repeat(np.arange(30), 20)
    radii = np.sort(np.linalg.norm(real[:, None] - real, axis=2), axis=1)[:, 5]
    many = np.random.default_rng(7).standard_normal((20000, 2)) * np.hypot(0.98, 0.2)
    inside = np.linalg.norm(real[:, None] - many, axis=2) < radii[:, None]
    true = {"precision": inside.any(axis=0).mean(), "density": inside.sum() / (5 * len(many))}
    covered = dict.fromkeys(true, 0)
    covered_as_rows = dict.fromkeys(true, 0)
    for seed in range(40):
        fake = of_sounds(30, 20, np.random.default_rng(100 + seed))
        by_sounds, _ = neighbour_metrics(real, fake, real_sounds=sounds, fake_sounds=sounds)
        by_rows, _ = neighbour_metrics(real, fake)
        for name in NAMES:
            # All sounds have as many rows, so the means are the same.
            assert by_sounds[name].value == pytest.approx(by_rows[name].value, rel=1e-12)
            assert by_sounds[name].interval == "bootstrap of sounds, 1000 resamples"
        for name, value in true.items():
            covered[name] += by_sounds[name].low <= value <= by_sounds[name].high
            covered_as_rows[name] += by_rows[name].low <= value <= by_rows[name].high
    assert min(covered.values()) >= 32
    assert max(covered_as_rows.values()) <= 24


def test_each_metric_goes_by_the_sounds_of_the_side_that_it_averages() -> None:
    rng = np.random.default_rng(8)
    x, y = of_sounds(30, 10, rng), of_sounds(20, 7, rng)
    x_sounds, y_sounds = np.repeat(np.arange(30), 10), np.repeat(np.arange(20), 7)
    there, _ = neighbour_metrics(x, y, real_sounds=x_sounds, fake_sounds=y_sounds)
    back, _ = neighbour_metrics(y, x, real_sounds=y_sounds, fake_sounds=x_sounds)
    assert (there["precision"], there["recall"]) == (back["recall"], back["precision"])
    real_only, _ = neighbour_metrics(x, y, real_sounds=x_sounds)
    by_rows, _ = neighbour_metrics(x, y, fake_sounds=np.arange(140))
    for name, sounds_of_real in zip(NAMES, (False, True, False, True), strict=True):
        assert real_only[name] == (there if sounds_of_real else by_rows)[name]
    assert by_rows == neighbour_metrics(x, y)[0]


def test_a_long_sound_has_no_more_weight_than_a_short_one() -> None:
    rng = np.random.default_rng(9)
    real = rng.standard_normal((200, 4))
    # A hundred short sounds among the real ones, and a long one of three hundred windows far from all.
    fake = np.concatenate([rng.standard_normal((100, 4)), 50 + rng.standard_normal((300, 4))])
    sounds = np.concatenate([np.arange(100), np.full(300, 100)])
    inside = by_definition(real, fake[:100], 5)["precision"] * 100
    by_sound, _ = neighbour_metrics(real, fake, fake_sounds=sounds)
    by_window, _ = neighbour_metrics(real, fake, fake_sounds=sounds, by_sound=False)
    assert by_sound["precision"].value == pytest.approx(inside / 101)
    assert by_window["precision"].value == pytest.approx(inside / 400)
    density = by_definition(real, fake[:100], 5)["density"]
    assert by_sound["density"].value == pytest.approx(density * 100 / 101)
    assert by_sound["precision"].low > 0.8
    # The other way around, it is recall and coverage.
    back, _ = neighbour_metrics(fake, real, real_sounds=sounds)
    assert back["recall"].value == pytest.approx(inside / 101)
    assert back["coverage"].value == pytest.approx(by_definition(fake, real, 5)["coverage"] * 400 / 101, rel=1e-12)


def test_too_few_samples_and_unlike_dimensions_are_refused() -> None:
    with pytest.raises(BadInput, match="at least 6 generated embeddings, not 5"):
        neighbour_metrics(np.zeros((6, 2)), np.zeros((5, 2)))
    with pytest.raises(BadInput, match="at least 2 real sounds, not 1"):
        neighbour_metrics(np.zeros((6, 2)), np.zeros((6, 2)), real_sounds=np.zeros(6, int))
    with pytest.raises(BadInput, match="2 and 3 dimensions"):
        neighbour_metrics(np.zeros((6, 2)), np.zeros((6, 3)))
