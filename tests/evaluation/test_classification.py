"""Figures of a classifier against the same ones written out in NumPy."""

from typing import Any

import jax
import numpy as np
import pytest

from drumgan_jax.evaluation.classification import classification_report, confusion_picture, tally, wilson_interval


class Fixed:
    """A classifier whose logits are its waveforms."""

    @staticmethod
    def predict(variables: Any, waveforms: jax.Array) -> tuple[jax.Array, jax.Array]:
        return waveforms, waveforms


@pytest.mark.smoke
def test_a_tally_counts_valid_examples_once() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((9, 3)).astype(np.float32)
    truth = rng.integers(0, 3, 9)
    valid = np.array([1, 1, 1, 1, 1, 1, 1, 0, 0], np.float32)
    confusion, loss = tally(Fixed(), {}, logits, np.eye(3, dtype=np.float32)[truth], valid)  # type: ignore[arg-type]
    expected = np.zeros((3, 3), int)
    for true, row in zip(truth[:7], logits, strict=False):
        expected[true, row.argmax()] += 1
    np.testing.assert_array_equal(confusion, expected)
    exact = np.float64(logits)
    nats = np.log(np.exp(exact).sum(1)) - exact[np.arange(9), truth]
    np.testing.assert_allclose(loss, nats[:7].sum(), rtol=1e-6)


def test_a_report_holds_shares_of_the_confusion_matrix() -> None:
    report = classification_report(np.array([[8, 2, 0], [1, 4, 0], [0, 0, 0]]), 0.5, ("kick", "snare", "cymbal"))
    assert (report["count"], report["accuracy"], report["balanced_accuracy"]) == (15, 0.8, 0.8)
    assert {name: one["value"] for name, one in report["recall"].items()} == {"kick": 0.8, "snare": 0.8}
    assert report["recall"]["snare"]["count"] == 5
    assert report["confusion"][0] == [8, 2, 0]


def test_the_interval_is_wilsons() -> None:
    # The two roots p of (share - p)^2 = z^2 p (1 - p) / n.
    n, share, z2 = 40, 0.85, 1.959964**2
    roots = np.sort(np.roots([1 + z2 / n, -(2 * share + z2 / n), share**2]))
    np.testing.assert_allclose(wilson_interval(34, 40), roots, rtol=1e-9)
    assert wilson_interval(0, 10)[0] == pytest.approx(0.0, abs=1e-12)
    assert wilson_interval(10, 10)[1] == pytest.approx(1.0)


def test_the_picture_is_darker_where_more_are() -> None:
    names = ("kick", "snare", "cymbal")
    picture = confusion_picture(np.diag([5, 3, 9]), names)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    blue = np.all(picture == np.array([8, 48, 107]), axis=-1)  # the darkest of the colours
    assert 0.02 < blue.mean() < 0.4
    assert np.all(confusion_picture(np.zeros((3, 3)), names) == [8, 48, 107], axis=-1).sum() == 0
