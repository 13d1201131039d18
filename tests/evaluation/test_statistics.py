"""Reference statistics as a file: what others read in it, and what is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from evaluation_cases import linear_embedder, noises, stream

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation import suite as suites
from drumgan_jax.evaluation.statistics import find, folder, path_of, read_statistics, write_statistics
from drumgan_jax.evaluation.suite import Suite


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every embedder is the linear one, under the name asked for."""
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path / "cache"))
    made = {name: linear_embedder(name) for name in ("drums", "vgg16", "linear")}
    monkeypatch.setattr(suites, "build_embedder", made.__getitem__)


@pytest.fixture
def suite() -> Suite:
    return Suite.of(["fid:linear", "fad_inf:linear"])


@pytest.fixture
def written(tmp_path: Path, suite: Suite) -> Path:
    """Statistics of 40 sounds."""
    path = tmp_path / "new" / "statistics.npz"
    write_statistics(path, suite.embedders, suite.embed(stream(noises(40, seed=1))))
    return path


def changed(path: Path, **arrays: object) -> Path:
    with np.load(path) as archive:
        np.savez(path, **{**archive, **{name.replace("__", "."): value for name, value in arrays.items()}})
    return path


def test_anybody_can_read_the_file(written: Path, suite: Suite) -> None:
    rows = suite.embed(stream(noises(40, seed=1)))["linear"].embeddings.astype(np.float64)
    statistics = np.load(written)
    np.testing.assert_allclose(statistics["linear.mu"], rows.mean(axis=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(statistics["linear.cov"], np.cov(rows, rowvar=False), rtol=1e-9)
    # The three lines of docs/metrics.md.
    fake = suite.embed(stream(noises(60, seed=2)))
    other = fake["linear"].total
    root = scipy.linalg.sqrtm(statistics["linear.cov"] @ other.covariance).real
    distance = np.sum((statistics["linear.mu"] - other.mean) ** 2)
    distance += np.trace(statistics["linear.cov"] + other.covariance - 2 * root)
    assert suite.compare(read_statistics(written, suite), fake).scores["fid/linear"] == pytest.approx(
        distance, rel=1e-6
    )
    assert {name: statistics[name].item() for name in statistics if statistics[name].ndim == 0} == {
        "version": 1,
        "linear.sounds": 40,
        "linear.rows": 120,
        "linear.weights": "a" * 64,
        "linear.sample_rate": 8000,
    }


def test_figures_are_those_against_the_sounds(written: Path, suite: Suite) -> None:
    fake = suite.embed(stream(noises(60, seed=2, level=0.4)))
    direct = suite.compare(suite.embed(stream(noises(40, seed=1))), fake).figures
    through_the_file = suite.compare(read_statistics(written, suite), fake).figures
    assert set(through_the_file) == {"fid/linear", "fad_inf/linear"}
    for name, figure in direct.items():
        read = through_the_file[name]
        for part in ("value", "low", "high"):
            assert read[part] == pytest.approx(figure[part], rel=1e-9)
        for part in ("reference_samples", "reference_embeddings", "samples", "warnings"):
            assert read[part] == figure[part]


def test_names_are_kept_in_the_cache(suite: Suite) -> None:
    with pytest.raises(BadInput, match=r"kit is neither a folder nor the name of statistics \(there are: none yet\)"):
        find("kit")
    for name in ("kit", "another kit"):
        write_statistics(path_of(name), suite.embedders, suite.embed(stream(noises(3))))
    assert find("kit") == folder() / "kit.npz"
    with pytest.raises(BadInput, match=r"\(there are: another kit, kit\); write it with .* --save_statistics=kat`"):
        find("kat")
    with pytest.raises(BadInput, match=r"gone\.npz does not exist; write it with"):
        find("gone.npz")
    for wrong in ("some/folder", "..", ""):
        with pytest.raises(BadInput, match=r"give a folder, a path that ends in \.npz, or a name without"):
            path_of(wrong)


def test_a_metric_that_needs_embeddings_says_so(written: Path) -> None:
    suite = Suite.of(["fid:linear", "kid:linear", "is:linear", "prdc:linear"])
    with pytest.raises(
        BadInput, match=r"and kid, is, prdc need the reference's embeddings; give a folder .* fad, fad_inf"
    ):
        read_statistics(written, suite)


def test_another_embedder_is_told(written: Path) -> None:
    with pytest.raises(BadInput, match=r"has statistics of linear, not of drums; .* --metrics=fad:drums"):
        read_statistics(written, Suite.of(["fid:linear", "fad:drums"]))


def test_other_weights_are_told(written: Path, suite: Suite) -> None:
    retrained = dataclasses.replace(suite.embedders[0], weights_hash="b" * 64)
    other = dataclasses.replace(suite, requests=(("fid", retrained),))
    with pytest.raises(BadInput, match=r"of the weights aaaaaaaa at 8000 Hz, not of bbbbbbbb at 8000 Hz"):
        read_statistics(written, other)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"version": 2}, "later version of drumgan"),
        ({"linear__mu": np.zeros(3)}, "is damaged"),
        ({"linear__mu": np.full(4, np.nan)}, "is damaged"),
        ({"linear__cov": np.arange(16.0).reshape(4, 4)}, "is damaged"),
        ({"linear__cov": -np.eye(4)}, "is damaged"),
        ({"linear__rows": 1}, "is damaged"),
        ({"linear__sounds": "many"}, "are not complete"),
    ],
)
def test_damage_is_one_sentence(written: Path, suite: Suite, arrays: dict[str, object], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        read_statistics(changed(written, **arrays), suite)


def test_files_of_another_kind_are_one_sentence(written: Path, suite: Suite, tmp_path: Path) -> None:
    content = written.read_bytes()
    for damaged in (b"", b"no archive", content[: len(content) // 2], content.replace(b"version", b"verslon")):
        written.write_bytes(damaged)
        with pytest.raises(BadInput, match="is damaged, or no file of reference statistics; write it with"):
            read_statistics(written, suite)
    np.savez(written, version=1)
    with pytest.raises(BadInput, match="has statistics of no embedder, not of linear"):
        read_statistics(written, suite)


def test_one_embedding_has_no_covariance(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="statistics need 2 embeddings of linear or more, not 1"):
        write_statistics(tmp_path / "a.npz", suite.embedders, suite.embed(stream(noises(1, samples=60))))
    with pytest.raises(BadInput, match=r"must end in \.npz"):
        write_statistics(tmp_path / "a.npy", suite.embedders, suite.embed(stream(noises(2))))
