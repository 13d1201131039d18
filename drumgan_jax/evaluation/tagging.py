"""Metrics of a tagger: areas under the curves of its tags."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata


def roc_auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive has a higher score than a negative, ties counted half.

    By ranks (Hanley and McNeil 1982); NaN without positives or without negatives.

    Args:
        scores: [examples].
        truth: 1 for positives, 0 for negatives [examples].
    """
    positive = np.asarray(truth) > 0
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return float("nan")
    above = rankdata(scores)[positive].sum() - count * (count + 1) / 2
    return float(above / (count * others))


def pr_auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the precision-recall curve, as the average precision: the sum of precisions times gains in recall.

    One threshold for each distinct score; not interpolated, which would flatter (Davis and Goadrich 2006). NaN without
    positives.

    Args:
        scores: [examples].
        truth: 1 for positives, 0 for negatives [examples].
    """
    positive = np.asarray(truth) > 0
    if not positive.any():
        return float("nan")
    distinct, index = np.unique(-np.asarray(scores, np.float64), return_inverse=True)
    hits = np.cumsum(np.bincount(index, positive, len(distinct)))
    taken = np.cumsum(np.bincount(index, minlength=len(distinct)))
    gains = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(gains * hits / taken))


def tagging_report(logits: np.ndarray, tags: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """ROC-AUC and PR-AUC, each the mean over tags and by tag, and the loss, in types that JSON can hold.

    Tags without positives or without negatives have no areas and are left out of the means; `tags` counts the others.
    Areas are of single examples: if several slices of a recording count, each counts as one.

    Args:
        logits: [examples, tags].
        tags: ones and zeros [examples, tags].
        names: names of the tags.
    """
    logits = np.asarray(logits, np.float64)
    by_tag = {}
    for number, name in enumerate(names):
        positives = int(np.sum(tags[:, number] > 0))
        if 0 < positives < len(tags):
            areas = {area.__name__: area(logits[:, number], tags[:, number]) for area in (roc_auc, pr_auc)}
            by_tag[name] = {**areas, "count": positives}
    means = {area: _mean([one[area] for one in by_tag.values()]) for area in ("roc_auc", "pr_auc")}
    nats = np.logaddexp(0, logits) - logits * tags
    return {"count": len(tags), "tags": len(by_tag), **means, "loss": float(nats.mean()), "by_tag": by_tag}


def _mean(values: Sequence[float]) -> float:
    # Chance level, so that a run on a few examples can still be logged.
    return float(np.mean(values)) if values else 0.5
