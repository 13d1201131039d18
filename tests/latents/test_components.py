"""Principal components against scikit-learn, and what a generator without a mapping makes of them."""

import zlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instrument_cases import GROWING, STYLED, make_instrument

from drumgan_jax.core.errors import BadInput
from drumgan_jax.latents import components, covariance
from drumgan_jax.latents.components import (
    Components,
    components_of,
    kept_components,
    load_components,
    principal_components,
    save_components,
)

PCA = pytest.importorskip("sklearn.decomposition").PCA


def samples(count: int, width: int, seed: int, offset: float = 0.0) -> np.ndarray:
    """Normal rows [count, width] with a spectrum that falls by a tenth from one axis to the next, turned at random."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0]
    rows = rng.standard_normal((count, width)) * 0.9 ** np.arange(width) @ turn
    return (rows + offset * rng.standard_normal(width)).astype(np.float32)


@pytest.mark.smoke
@pytest.mark.parametrize(("width", "offset"), [(20, 0.0), (20, 300.0), (150, 3.0)])
def test_components_are_those_of_scikit_learn(width: int, offset: float) -> None:
    rows = samples(6000, width, seed=width, offset=offset)
    chunks = [rows[:2500], rows[2500:5000], rows[5000:]]
    found = principal_components(map(jnp.asarray, chunks), count=12)
    expected = PCA(12, svd_solver="full").fit(rows.astype(np.float64))
    signs = np.sign(np.sum(expected.components_ * found.directions, axis=1))[:, None]
    np.testing.assert_allclose(found.directions, signs * expected.components_, atol=1e-4)
    np.testing.assert_allclose(found.deviations**2, expected.explained_variance_, rtol=1e-4)
    np.testing.assert_allclose(found.explained_variance_ratio, expected.explained_variance_ratio_, rtol=1e-4)
    np.testing.assert_allclose(found.mean, expected.mean_, rtol=1e-6, atol=1e-5)
    assert found.num_samples == 6000
    assert (np.take_along_axis(found.directions, np.abs(found.directions).argmax(1)[:, None], 1) > 0).all()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=2, max_size=5), st.integers(0, 99))
def test_chunks_do_not_matter(sizes: list[int], seed: int) -> None:
    rows = samples(sum(sizes), 4, seed)
    pieces = np.split(rows, np.cumsum(sizes)[:-1])
    in_pieces, whole = principal_components(pieces), principal_components([rows])
    np.testing.assert_allclose(in_pieces.deviations**2, whole.deviations**2, atol=1e-5)
    np.testing.assert_allclose(in_pieces.mean, whole.mean, atol=1e-5)


def test_a_metric_finds_what_moves_the_first_layer_most() -> None:
    # z of 6 and labels of 2; the first layer hears z by three directions of unlike strength.
    rng = np.random.default_rng(4)
    ways = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    metric = np.zeros((8, 8))
    metric[:6, :6] = ways * np.array([5.0, 3.0, 2.0, 1e-2, 1e-2, 1e-2]) @ ways.T
    w = rng.standard_normal((200_000, 8)).astype(np.float32)
    w[:, 6:] = 0.5 * w[:, :2]  # labels that go with z must have no part all the same
    found = principal_components([w], metric)
    assert len(found) == 6
    np.testing.assert_array_equal(found.directions[:, 6:], 0.0)
    np.testing.assert_allclose(np.linalg.norm(found.directions, axis=1), 1.0, atol=1e-5)
    for k in range(3):
        assert abs(found.directions[k, :6] @ ways[:, k]) > 0.999
    np.testing.assert_allclose(found.deviations[:3], 1.0, atol=0.01)
    np.testing.assert_allclose(found.explained_variance_ratio[:3], np.array([25, 9, 4]) / 38, atol=0.005)

    # GANSpace's own way: PCA of the activations, and a regression from their coordinates back to z.
    activations = w.astype(np.float64) @ metric
    pca = PCA(3, svd_solver="full").fit(activations)
    coordinates = pca.transform(activations) / np.sqrt(pca.explained_variance_)
    back = np.linalg.lstsq(coordinates, w[:, :6] - w[:, :6].mean(0), rcond=None)[0]
    steps = found.deviations[:3, None] * found.directions[:3, :6]
    np.testing.assert_allclose(steps, back * np.sign(np.sum(back * steps, axis=1))[:, None], atol=1e-3)


@pytest.mark.parametrize(("parts", "count"), [(STYLED, 8), (GROWING, 8)])
def test_components_of_generators_with_and_without_a_mapping(parts: dict, count: int) -> None:
    made = make_instrument(parts)
    found = components_of(made.gan.generator, made.variables, 3, 20_000)
    assert (len(found), found.num_samples) == (count, 20_000)
    assert found.directions.shape[1] == made.gan.generator.w_dim
    assert (np.diff(found.explained_variance_ratio) <= 0).all()
    assert found.explained_variance_ratio.sum() == pytest.approx(1.0, abs=1e-5)
    if parts is GROWING:
        # z are alike in all directions, so it is the first layer's kernel that tells which moves it most.
        kernel = made.variables["params"]["blocks_0"]["dense"]["kernel"][:8]
        energies = np.linalg.svd(kernel, compute_uv=False) ** 2
        np.testing.assert_allclose(found.explained_variance_ratio, energies / energies.sum(), rtol=0.05)
        assert found.deviations[0] == pytest.approx(1.0, abs=0.03)


def test_directions_that_move_nothing_are_not_made_of_rounding() -> None:
    # The first layer hears two directions of four.
    rng = np.random.default_rng(5)
    ways = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    metric = ways * np.array([5.0, 3.0, 1e-8, 0.0]) @ np.linalg.qr(rng.standard_normal((4, 4)))[0]
    found = principal_components([rng.standard_normal((5000, 4)).astype(np.float32)], metric)
    np.testing.assert_allclose(found.deviations[:2], 1.0, atol=0.05)
    assert (found.deviations[2:] < 0.1).all()
    assert np.isfinite(found.directions).all()


def test_components_are_read_only_as_the_same_model_wrote_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = principal_components([samples(50, 5, 0)])
    path = tmp_path / "components.npz"
    save_components(path, found, "a" * 64)
    again = load_components(path, "a" * 64)
    assert isinstance(again, Components)
    for name, value in found.arrays().items():
        np.testing.assert_array_equal(getattr(again, name), value)
    assert load_components(path, "b" * 64) is None
    monkeypatch.setattr(
        "drumgan_jax.latents.components.read_arrays", lambda *_, **__: (_ for _ in ()).throw(zlib.error("damaged"))
    )
    assert load_components(path, "a" * 64) is None
    monkeypatch.undo()
    assert kept_components(path, "a" * 64, lambda: pytest.fail("found again")).num_samples == 50
    path.write_bytes(path.read_bytes()[:100])
    assert load_components(path, "a" * 64) is None
    assert kept_components(None, "", lambda: found) is found


@pytest.fixture
def short_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first 1,000 rows have an exact covariance, and blocks are short."""
    monkeypatch.setattr(components, "_SAMPLE", 1000)
    monkeypatch.setattr(covariance, "ROWS", 500)


@pytest.mark.usefixtures("short_sample")
@pytest.mark.parametrize("moved", [None, 60, 90], ids=str)
def test_a_randomised_search_finds_the_exact_components_in_one_pass(moved: int | None) -> None:
    rows = samples(6000, 100, 3, offset=3.0)
    metric = None
    if moved is not None:
        # A first layer that the last entries, as those of labels, do not move.
        metric = np.random.default_rng(4).standard_normal((100, 100)) * (np.arange(100) < moved)[:, None]
    exact = principal_components([rows], metric, 8)
    found = principal_components(
        (rows[start : start + 1300] for start in range(0, 6000, 1300)), metric, 8, randomised=True
    )
    assert (len(found), found.num_samples) == (8, 6000)
    np.testing.assert_allclose(found.mean, exact.mean, atol=1e-5)
    np.testing.assert_allclose(found.directions, exact.directions, atol=2e-3)
    np.testing.assert_allclose(found.deviations, exact.deviations, rtol=1e-4)
    np.testing.assert_allclose(found.explained_variance_ratio, exact.explained_variance_ratio, rtol=2e-3)
    # Those of the first rows alone are far from it.
    first = principal_components([rows[:1000]], metric, 8)
    assert np.abs(first.directions - exact.directions).max() > 0.02


@pytest.mark.usefixtures("short_sample")
def test_a_randomised_search_of_few_rows_or_many_components_is_exact() -> None:
    few, wide = samples(900, 30, 5), samples(3000, 30, 6)
    for rows, count in ((few, 2), (wide, 11)):
        found = principal_components([rows], count=count, randomised=True)
        np.testing.assert_allclose(found.directions, principal_components([rows], count=count).directions, atol=1e-5)
    with pytest.raises(BadInput, match="give the number"):
        principal_components([few], randomised=True)
    with pytest.raises(BadInput, match=r"1 sample\(s\)"):
        principal_components([few[:1]], count=1, randomised=True)


def test_nystroem_is_its_definition() -> None:
    rng = np.random.default_rng(7)
    root = rng.standard_normal((30, 30)) * 0.7 ** np.arange(30)
    matrix, tests = root @ root.T, np.linalg.qr(rng.standard_normal((30, 9)))[0]
    products = matrix @ tests
    values, vectors = np.linalg.eigh(products @ np.linalg.solve(tests.T @ products, products.T))
    found, directions, mixture = covariance.nystroem(products, tests)
    np.testing.assert_allclose(found, values[::-1][:9], rtol=1e-4, atol=1e-5 * values[-1])
    np.testing.assert_allclose(np.abs(np.sum(directions * vectors[:, ::-1][:, :9], axis=0)), 1, atol=1e-5)
    # Of the approximation, not of the matrix, and so for the first axes, which it has nearly whole.
    np.testing.assert_allclose((products @ mixture)[:, :3], (directions * found)[:, :3], atol=1e-4 * values[-1])


def test_too_few_samples_or_components_are_refused() -> None:
    with pytest.raises(BadInput, match=r"1 sample\(s\)"):
        principal_components([np.zeros((1, 3), np.float32)])
    with pytest.raises(BadInput, match="0 sample"):
        principal_components([])
    for count in (0, 6):
        with pytest.raises(BadInput, match="there are 5 components"):
            principal_components([samples(9, 5, 0)], count=count)
