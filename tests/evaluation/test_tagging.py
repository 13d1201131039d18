"""Areas under curves against their definitions."""

import json
import math

import numpy as np
import pytest

from drumgan_jax.evaluation.tagging import pr_auc, roc_auc, tagging_report


def roc_by_pairs(scores: np.ndarray, truth: np.ndarray) -> float:
    """The share of pairs of a positive and a negative in order, ties half."""
    pairs = [(a > b) + (a == b) / 2 for a in scores[truth > 0] for b in scores[truth == 0]]
    return float(np.mean(pairs))


def precision_by_thresholds(scores: np.ndarray, truth: np.ndarray) -> float:
    """The sum over thresholds of the precision times the gain in recall."""
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        taken = scores >= threshold
        now = truth[taken].sum() / truth.sum()
        area += (now - recall) * truth[taken].mean()
        recall = now
    return float(area)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [4, 1000])
def test_areas_are_those_of_the_definitions_also_with_ties(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.uniform(size=60) < 0.3).astype(np.float64)
    scores = np.round(levels * (0.5 * truth + rng.uniform(size=60)))
    assert roc_auc(scores, truth) == pytest.approx(roc_by_pairs(scores, truth), rel=1e-12)
    assert pr_auc(scores, truth) == pytest.approx(precision_by_thresholds(scores, truth), rel=1e-12)


def test_areas_of_the_best_the_worst_and_no_scores() -> None:
    truth = np.array([1, 1, 0, 0, 0])
    assert (roc_auc(truth, truth), pr_auc(truth, truth)) == (1, 1)
    assert roc_auc(-truth, truth) == 0
    # Without a preference, ROC-AUC is a half and precision the share of the positives.
    assert (roc_auc(np.zeros(5), truth), pr_auc(np.zeros(5), truth)) == (0.5, 0.4)
    assert math.isnan(roc_auc(np.ones(3), np.ones(3)))
    assert math.isnan(pr_auc(np.ones(3), np.zeros(3)))


def test_tags_without_both_kinds_are_left_out_of_the_means() -> None:
    rng = np.random.default_rng(0)
    logits, tags = rng.standard_normal((40, 4)), (rng.uniform(size=(40, 4)) < 0.4).astype(np.float32)
    tags[:, 1], tags[:, 2] = 0, 1
    report = tagging_report(logits, tags, ("a", "b", "c", "d"))
    assert list(report["by_tag"]) == ["a", "d"]
    assert (report["tags"], report["count"]) == (2, 40)
    assert report["roc_auc"] == pytest.approx(np.mean([roc_by_pairs(logits[:, i], tags[:, i]) for i in (0, 3)]))
    chance = 1 / (1 + np.exp(-logits))
    assert report["loss"] == pytest.approx(-np.mean(np.where(tags > 0, np.log(chance), np.log(1 - chance))))
    assert json.loads(json.dumps(report)) == report
