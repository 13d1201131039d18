"""Metrics by name, their reports, and the cache of the reference."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_cases import linear_embedder, noises, stream

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation import suite as suites
from drumgan_jax.evaluation.frechet import frechet_distance
from drumgan_jax.evaluation.inception_score import inception_score
from drumgan_jax.evaluation.kernel import kernel_distance
from drumgan_jax.evaluation.moments import Moments
from drumgan_jax.evaluation.neighbours import neighbour_metrics
from drumgan_jax.evaluation.reference import reference_side
from drumgan_jax.evaluation.suite import Suite


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every embedder is the linear one, under the name asked for."""
    made = {name: linear_embedder(name) for name in ("drums", "vgg16", "linear")}
    monkeypatch.setattr(suites, "build_embedder", made.__getitem__)


@pytest.mark.smoke
@pytest.mark.usefixtures("known")
def test_every_metric_is_what_its_function_says() -> None:
    suite = Suite.of(["fid:linear", "fad:linear", "fad_inf:linear", "kid:linear", "is:linear", "prdc:linear"])
    real, fake = (suite.embed(stream(noises(90, seed, level=level))) for seed, level in ((1, 0.3), (2, 0.35)))
    results = suite.compare(real, fake)
    a, b = real["linear"], fake["linear"]
    assert results.scores["fid/linear"] == pytest.approx(
        frechet_distance(Moments.of(a.embeddings), Moments.of(b.embeddings)), rel=1e-9
    )
    assert results.scores["fad/linear"] == results.scores["fid/linear"]
    assert results.scores["fad_inf/linear"] < results.scores["fad/linear"]
    assert results.scores["kid/linear"] == kernel_distance(a.embeddings, b.embeddings, subset_size=270).value
    assert results.scores["is/linear"] == inception_score(b.logits).value
    assert results.figures["is/linear"]["reference_value"] == inception_score(a.logits).value
    figures, _ = neighbour_metrics(a.embeddings, b.embeddings)
    assert {name: results.scores[f"{name}/linear"] for name in figures} == pytest.approx(
        {name: figure.value for name, figure in figures.items()}, rel=1e-12
    )
    for figure in results.figures.values():
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert (figure["samples"], figure["embeddings"], figure["weights"]) == (90, 270, "a" * 64)
    assert results.warnings == [
        "fad_inf: sounds with several windows are extrapolated over windows, so the bias of a small number of sounds "
        "remains; compare it only between sets with the same number of sounds.",
        "kid: subsets of 270 instead of 1000, because one side has only 270 embeddings; measure more sounds.",
        _few(b),
    ]
    json.dumps(results.figures, allow_nan=False)


def _few(side: suites.Embeddings) -> str:
    """What is said of 90 sounds in three classes, of which none has 50; each sound has three windows."""
    of_sounds = side.logits.reshape(90, 3, 3).mean(axis=1)
    counts = ", ".join(f"class {one} {np.sum(of_sounds.argmax(axis=1) == one)}" for one in range(3))
    too_few = f"is: fewer than 50 sounds of the measured side are of {counts}"
    return f"{too_few}, so the score depends on chance; measure more sounds."


def one_window(logits: np.ndarray) -> dict[str, suites.Embeddings]:
    return {"linear": suites.Embeddings(len(logits), len(logits), logits=logits, sound_of_row=np.arange(len(logits)))}


@pytest.mark.usefixtures("known")
def test_classes_of_fewer_than_fifty_sounds_are_counted_in_a_warning() -> None:
    suite = Suite.of(["is:linear"])
    logits = 5 * np.eye(3, dtype=np.float32)[np.repeat([0, 1, 2], [60, 50, 49])]
    (warning,) = suite.compare(one_window(logits), one_window(logits)).warnings
    assert warning.startswith("is: fewer than 50 sounds of the measured side are of class 2 49, so")
    logits = np.concatenate([logits, logits[-1:]])
    assert suite.compare(one_window(logits), one_window(logits)).warnings == []
    # Sounds that were left out as silent leave gaps in the numbers.
    gaps = {"linear": dataclasses.replace(one_window(logits)["linear"], sound_of_row=3 * np.arange(len(logits)))}
    assert suite.compare(gaps, gaps).warnings == []
    # The classes of Inception are too many to be listed.
    many = 5 * np.eye(1008, dtype=np.float32)[np.repeat([3, 7], [80, 20])]
    (warning,) = suite.compare(one_window(many), one_window(many)).warnings
    assert "class 0 0, class 1 0, class 2 0, class 4 0, class 5 0 and 1002 other classes" in warning


@pytest.mark.usefixtures("known")
def test_a_set_of_one_class_has_no_score() -> None:
    suite = Suite.of(["is:linear"])
    logits = 5 * np.eye(3, dtype=np.float32)[np.full(100, 1)]
    results = suite.compare(one_window(logits), one_window(logits))
    assert results.warnings == [
        "is: all 100 sounds of the measured side are of one class (class 1), of which the score is 1 whatever they "
        "are; measure sounds of more classes."
    ]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("metric", ["fid", "fad", "fad_inf", "kid", "is", "prdc"])
@pytest.mark.parametrize("samples", [60, 2000])
def test_a_set_of_one_sound_is_refused(metric: str, samples: int) -> None:
    suite = Suite.of([f"{metric}:linear"])
    many, one = (suite.embed(stream(noises(count, samples=samples))) for count in (40, 1))
    with pytest.raises(BadInput, match=f"{metric} compares sets, and the measured side is one sound; give it more"):
        suite.compare(many, one)
    with pytest.raises(BadInput, match=f"{metric} compares sets, and the reference side is one sound; give it more"):
        suite.compare(one, many)


@pytest.mark.usefixtures("known")
def test_every_sound_weighs_the_same_unless_windows_are_asked_for() -> None:
    real = noises(60)
    # Thirty sounds of the reference's kind and a loud one as long as a hundred of them.
    fake = [*noises(30, 1), noises(1, 2, 48 * 100, 3.0)[0]]
    scores = {}
    for weigh in ("sounds", "windows"):
        suite = Suite.of(["prdc:linear"], weigh=weigh)
        scores[weigh] = suite.compare(suite.embed(stream(real)), suite.embed(stream(fake))).scores["precision/linear"]
    assert Suite.of(["prdc:linear"]).weigh == "sounds"
    assert scores["sounds"] > 0.9
    assert scores["windows"] < 0.7
    with pytest.raises(BadInput, match="means cannot weigh 'files'; give sounds or windows"):
        Suite.of(["prdc:linear"], weigh="files")


@pytest.mark.usefixtures("known")
def test_fewer_embeddings_than_dimensions_is_told() -> None:
    suite = Suite.of(["fid:linear"])
    real, few = (suite.embed(stream(noises(count, samples=60))) for count in (30, 3))
    (warning,) = suite.compare(real, few).warnings
    assert warning.startswith("fid: too few embeddings (3 of the measured side) for their 4 dimensions")


@pytest.mark.usefixtures("known")
def test_a_small_reference_has_no_score_of_its_own() -> None:
    suite = Suite.of(["is:linear"])
    real, fake = (suite.embed(stream(noises(count, samples=60))) for count in (5, 20))
    assert "reference_value" not in suite.compare(real, fake).figures["is/linear"]


def test_a_file_of_the_packaged_name_is_another_embedder(tmp_path: Path) -> None:
    from drumgan_jax.evaluation import embedders

    path = tmp_path / "drums.npz"
    path.write_bytes((Path(embedders.__file__).parent / "drums.npz").read_bytes())
    suite = Suite.of(["fid:drums", f"kid:{path}"])
    first, second = suite.embedders
    assert (first.name, second.name) == ("drums", f"drums@{first.weights_hash[:8]}")
    assert suite.needs == {"drums": {"moments"}, second.name: {"embeddings"}}


def test_without_published_weights_the_shipped_ones_are_used_and_it_is_told() -> None:
    suite = Suite.of(["fid", "fad", "is"])
    assert [(metric, embedder.name) for metric, embedder in suite.requests] == [
        ("fid", "drums"),
        ("fad", "drums"),
        ("is", "drums"),
    ]
    assert [note.split(" instead")[0] for note in suite.notes] == [
        "fid is measured with drums",
        "fad is measured with drums",
    ]
    assert "drumgan weights get vggish" in suite.notes[1]


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["fd"], "there is no metric 'fd'; there are fid, fad"),
        (["fid:resnet"], "there is no embedder 'resnet'; there are drums"),
        (["is:log_mel"], "is:log_mel needs an embedder with class logits"),
        (["fad:vggish"], "the weights of vggish are not at .*; run `drumgan weights get vggish`"),
        ([], "no metric was given"),
    ],
)
def test_unknown_names_end_with_a_sentence(names: list[str], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        Suite.of(names)


@pytest.mark.usefixtures("known")
def test_the_reference_is_embedded_once(cache: Path) -> None:
    suite, waveforms, calls = Suite.of(["fid:linear", "prdc:linear"]), noises(40), []

    def give() -> object:
        calls.append(1)
        return stream(waveforms)

    def side(suite: Suite = suite, **identity: object) -> dict[str, suites.Embeddings]:
        return reference_side(suite, {"records": "x", "count": 40, **identity}, give)

    first, again = side(), side()
    assert len(calls) == 1
    np.testing.assert_array_equal(again["linear"].embeddings, first["linear"].embeddings)
    np.testing.assert_allclose(again["linear"].total.scatter, first["linear"].total.scatter, rtol=1e-12)
    side(count=41)
    assert len(calls) == 2
    # What was kept for other metrics lacks the logits; it stays, and they are added.
    side(Suite.of(["is:linear"]))
    assert len(calls) == 3
    side()
    side(Suite.of(["is:linear"]))
    assert len(calls) == 3
    for path in (cache / "references").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(side()["linear"].embeddings, first["linear"].embeddings)
    assert len(calls) == 4


@pytest.mark.usefixtures("known")
def test_other_weights_are_another_reference() -> None:
    suite, calls = Suite.of(["fid:linear"]), []

    def give() -> object:
        calls.append(1)
        return stream(noises(20))

    reference_side(suite, {}, give)
    other = dataclasses.replace(suite.requests[0][1], weights_hash="b" * 64)
    reference_side(Suite((("fid", other),), None), {}, give)
    assert len(calls) == 2
