"""Agreement with the published packages, where they are installed: torch-fidelity, pytorch-fid and prdc."""

import warnings
from types import ModuleType

import numpy as np
import pytest

from drumgan_jax.evaluation.frechet import frechet_distance
from drumgan_jax.evaluation.inception_score import inception_score
from drumgan_jax.evaluation.kernel import kernel_distance
from drumgan_jax.evaluation.moments import Moments
from drumgan_jax.evaluation.neighbours import neighbour_metrics

AGREEMENT = 1e-5


def published(module: str) -> ModuleType:
    with warnings.catch_warnings():
        # What other packages say while they are imported is none of ours.
        warnings.simplefilter("ignore")
        return pytest.importorskip(module, exc_type=ImportError)


def rectified(count: int, features: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Embeddings as Inception makes them: none below zero, features of unlike strength."""
    rng = np.random.default_rng(seed)
    strength = np.random.default_rng(99).gamma(0.5, 1.0, features)
    return (np.maximum(rng.standard_normal((count, features)) + 0.3 + shift, 0) * strength).astype(np.float32)


@pytest.mark.parametrize(("features", "shift"), [(64, 0.05), (2048, 0.02)])
def test_kernel_distance_agrees_with_torch_fidelity(features: int, shift: float) -> None:
    kid = published("torch_fidelity.metric_kid")
    torch = published("torch")
    real, fake = rectified(900, features, 0), rectified(1100, features, 1, shift)
    theirs = kid.kid_features_to_metric(
        # In float64, for in float32 their own sums are only right to about 1e-5 of so small a distance.
        torch.tensor(fake).double(),
        torch.tensor(real).double(),
        kid_subsets=20,
        kid_subset_size=400,
        rng_seed=2020,
        verbose=False,
    )
    ours = kernel_distance(real, fake, subsets=20, subset_size=400)
    assert ours.value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=AGREEMENT)
    assert ours.standard_deviation == pytest.approx(theirs["kernel_inception_distance_std"], rel=AGREEMENT)


def test_inception_score_agrees_with_torch_fidelity() -> None:
    isc = published("torch_fidelity.metric_isc")
    torch = published("torch")
    logits = (2 * np.random.default_rng(2).standard_normal((1234, 1008))).astype(np.float32)
    theirs = isc.isc_features_to_metric(torch.tensor(logits))
    ours = inception_score(logits)
    assert ours.value == pytest.approx(theirs["inception_score_mean"], rel=AGREEMENT)
    assert ours.standard_deviation == pytest.approx(theirs["inception_score_std"], rel=AGREEMENT)


@pytest.mark.parametrize(("count", "features"), [(500, 64), (1500, 512)])
def test_frechet_distance_agrees_with_torch_fidelity(count: int, features: int) -> None:
    fid = published("torch_fidelity.metric_fid")
    torch = published("torch")
    real, fake = rectified(count, features, 3), rectified(count + 50, features, 4, 0.05)
    # In float64: they leave the means in the embeddings' own type.
    sides = [fid.fid_features_to_statistics(torch.tensor(side).double()) for side in (real, fake)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = fid.fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(Moments.of(real), Moments.of(fake)) == pytest.approx(theirs, rel=AGREEMENT)


def test_frechet_distance_agrees_with_pytorch_fid() -> None:
    fid = published("pytorch_fid.fid_score")
    real, fake = rectified(800, 192, 5).astype(np.float64), rectified(900, 192, 6, 0.05).astype(np.float64)
    sides = [(side.mean(0), np.cov(side, rowvar=False)) for side in (real, fake)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = fid.calculate_frechet_distance(*sides[0], *sides[1])
        except TypeError:
            pytest.skip("pytorch-fid asks this SciPy for sqrtm(disp=False), which it no longer has")
    assert frechet_distance(Moments.of(real), Moments.of(fake)) == pytest.approx(theirs, rel=AGREEMENT)


@pytest.mark.parametrize(("features", "k"), [(64, 5), (8, 3)])
def test_neighbours_agree_with_prdc(features: int, k: int) -> None:
    prdc = published("prdc")
    rng = np.random.default_rng(7)
    real, fake = rng.standard_normal((700, features)), 0.95 * rng.standard_normal((600, features)) + 0.02
    theirs = prdc.compute_prdc(real, fake, nearest_k=k)
    figures, _ = neighbour_metrics(real, fake, k)
    assert {name: figure.value for name, figure in figures.items()} == pytest.approx(theirs, rel=AGREEMENT)
