"""Ways from one point to another end where they should, whatever the points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from drumgan_jax.core.errors import BadInput
from drumgan_jax.latents.latents import Latents
from drumgan_jax.latents.movement import linear, noises_between, on_layers, spherical, step_along, vary

T = np.linspace(0.0, 1.0, 9)
ENTRIES = st.floats(-100, 100, width=32)
SIZES = ((80, 120), (100, 100))
VECTORS = arrays(np.float32, (5,), elements=ENTRIES)


def length(x: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x.astype(np.float64), axis=-1)


@settings(max_examples=200, deadline=None)
@given(VECTORS, VECTORS)
def test_spherical_ways_turn_evenly_between_any_two_points(a: np.ndarray, b: np.ndarray) -> None:
    way = spherical(a, b, T)
    np.testing.assert_array_equal(way[[0, -1]], [a, b])
    assert np.isfinite(way).all()
    if min(length(a), length(b)) < 1e-3:
        return
    between = (1 - T) * length(a) + T * length(b)
    np.testing.assert_allclose(length(way), between, rtol=1e-4)
    unit = way.astype(np.float64) / length(way)[:, None]
    steps = np.arccos(np.clip(np.sum(unit[1:] * unit[:-1], axis=1), -1, 1))
    np.testing.assert_allclose(steps, steps.mean(), atol=3e-3)


@pytest.mark.smoke
@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, -3.0, 1.0 + 1e-7, 0.0])
def test_spherical_ways_between_parallel_and_opposite_points(factor: float) -> None:
    a = np.array([3.0, -4.0, 0.0], np.float32)
    way = spherical(a, np.float32(factor) * a, T)
    middle = length(way)[4]
    assert middle == pytest.approx(5.0 * (1.0 + abs(factor)) / 2.0, rel=1e-5)
    if factor < 0:
        assert abs(way[4] @ a) < 1e-4 * middle
    else:
        np.testing.assert_allclose(way[4], a * (1 + factor) / 2, rtol=1e-5, atol=1e-6)


def test_spherical_ways_are_slerp_around_a_centre() -> None:
    rng = np.random.default_rng(0)
    a, b, centre = rng.standard_normal((3, 2, 7)).astype(np.float32)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    angle = np.arccos(np.sum(a * b, axis=1))[:, None]
    expected = np.stack([(np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle) for t in T])
    np.testing.assert_allclose(spherical(a, b, T), expected, atol=1e-5)
    np.testing.assert_allclose(spherical(a + centre, b + centre, T, centre), expected + centre, atol=1e-5)


@given(VECTORS, VECTORS)
def test_linear_ways_are_even(a: np.ndarray, b: np.ndarray) -> None:
    way = linear(a, b, T)
    np.testing.assert_array_equal(way[[0, -1]], [a, b])
    np.testing.assert_allclose(way, a + T[:, None] * (b.astype(np.float64) - a), atol=1e-4)


def latents(seed: int, *noises: np.ndarray) -> Latents:
    ws = np.zeros((1, 2, 3), np.float32)
    return Latents(np.array([seed], np.uint32), ws, None, None, noises or None, "")


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.999, 1.0])
def test_noise_keeps_its_variance_on_the_way(shared: float) -> None:
    rng = np.random.default_rng(1)
    first, second = ([rng.standard_normal((1, *size, 1)).astype(np.float32) for size in SIZES] for _ in range(2))
    rest = np.sqrt(1 - shared**2)
    mixed = [np.float32(shared) * a + np.float32(rest) * b for a, b in zip(first, second, strict=True)]
    ways = noises_between(latents(0, *first), latents(0, *mixed), SIZES, T)
    for way, a, b in zip(ways, first, mixed, strict=True):
        assert way.shape == (9, *a.shape[1:])
        assert way.dtype == np.float32
        np.testing.assert_allclose(way.std(axis=(1, 2, 3)), 1.0, atol=0.03)
        np.testing.assert_array_equal(way[[0, -1]], np.concatenate([a, b]))


def test_noise_of_the_same_seed_stays_the_seeds() -> None:
    assert noises_between(latents(5), latents(5), SIZES, T) is None
    assert noises_between(latents(5), latents(6), (), T) is None
    # Of another seed, or found: a way of its own, beginning at the seed's.
    drawn = latents(5).layer_noise(SIZES)
    for other in (latents(6), latents(5, *drawn)):
        ways = noises_between(latents(5), other, SIZES, T)
        for way, a in zip(ways, drawn, strict=True):
            np.testing.assert_array_equal(way[:1], a)
            np.testing.assert_allclose(way.std(axis=(1, 2, 3)), 1.0, atol=0.02)


def test_steps_are_their_formulas() -> None:
    rng = np.random.default_rng(2)
    ws, first, second = rng.standard_normal((3, 2, 4, 3)).astype(np.float32)
    expected = ws + 0.5 * (first.astype(np.float64) - second) / np.sqrt(2)
    np.testing.assert_allclose(vary(ws, 0.5, first, second), expected, atol=1e-6)
    moved = step_along(ws, first[0, 0], np.array([-1.0, 2.0]), (1, 3))
    expected = ws.astype(np.float64)
    expected[0, 1:3] -= first[0, 0]
    expected[1, 1:3] += 2.0 * first[0, 0]
    np.testing.assert_allclose(moved, expected, atol=1e-6)
    for amounts in ([1.0], [[1.0, 2.0]], np.ones((2, 1)), np.ones(3)):
        with pytest.raises(BadInput, match=r"give one for all 2 sound\(s\), or one for each"):
            vary(ws, amounts, first, second)
        with pytest.raises(BadInput, match="amounts are"):
            step_along(ws, first[0, 0], amounts, None)
    # Two random z and the identity map: a step of unit variance.
    pair = rng.standard_normal((2, 1000, 1, 8)).astype(np.float32)
    assert vary(0 * pair[0], 1.0, *pair).std() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("layers", [(2, 2), (3, 1), (-1, 2), (0, 5)])
def test_layers_that_there_are_not_are_refused(layers: tuple[int, int]) -> None:
    ws = np.zeros((1, 4, 2), np.float32)
    with pytest.raises(BadInput, match="within 0 to 4"):
        on_layers(ws, ws, layers)
