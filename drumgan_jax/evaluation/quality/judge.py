"""A judge of classes that conditioning never saw: logistic regression on log-mel thumbnails.

The packaged classifier `drums` labels training data, so it cannot say whether a class that was asked for is heard. The
judge has another architecture and was fitted to other recordings. Its own accuracy on recordings stands beside every
figure of it: a generator cannot be expected to exceed that.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from scipy.optimize import minimize

from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.weight_file import FileFormat, not_one, read_weights, variables_digest, write_weights
from drumgan_jax.evaluation.intervals import Figure, bootstrap
from drumgan_jax.evaluation.quality.thumbnails import decibels, digests, thumbnails

FORMAT = FileFormat("drumgan judge", 1, "drumgan fit --config=judge")
_ARRAYS = ("mean", "deviation", "weights", "bias")
# Of a thumbnail's 20 pairs of frames (23 ms each): attack, body, and two parts of the tail.
_SEGMENTS = ((0, 2), (2, 6), (6, 12), (12, 20))
# Weight decay of the standardised weights; chosen on recordings that are not held out.
DECAY = 1e-3


@dataclasses.dataclass(frozen=True)
class Judge:
    """A linear classifier of thumbnails.

    Attributes:
        classes: names, in the order of the probabilities.
        mean: of the features [features].
        deviation: of the features [features].
        weights: of standardised features [features, classes].
        bias: [classes].
        about: how it was fitted, for reports.
        seen: digests of the thumbnails that it was fitted to [sounds] uint64: it says nothing about these sounds.
    """

    classes: tuple[str, ...]
    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    about: Mapping[str, Any]
    seen: np.ndarray

    @property
    def digest(self) -> str:
        """SHA-256 of the weights, in hex."""
        arrays = {name: np.asarray(getattr(self, name), np.float32) for name in _ARRAYS}
        return variables_digest({"params": arrays})

    def in_order(self, names: Sequence[str]) -> "Judge | None":
        """The same judge with its classes in this order; None if it has others."""
        if set(names) != set(self.classes) or len(names) != len(self.classes):
            return None
        order = [self.classes.index(name) for name in names]
        return dataclasses.replace(self, classes=tuple(names), weights=self.weights[:, order], bias=self.bias[order])

    def probabilities(self, kept: np.ndarray) -> np.ndarray:
        """Class probabilities [sounds, classes] of thumbnails [sounds, time, freq]."""
        logits = (_features(kept) - self.mean) / self.deviation @ self.weights + self.bias
        return np.exp(_log_softmax(logits))

    def agreement(self, kept: np.ndarray, classes: np.ndarray) -> Figure | None:
        """Share of thumbnails [sounds, time, freq] whose most probable class is the given one [sounds].

        Sounds that the judge was fitted to do not count; None if these are more than half.
        """
        new = ~np.isin(digests(kept), self.seen)
        if 2 * new.sum() < len(kept):
            return None
        heard = self.probabilities(kept[new]).argmax(axis=1)
        return bootstrap((heard == classes[new]).astype(float))


def fit_judge(kept: np.ndarray, classes: np.ndarray, names: Sequence[str], about: Mapping[str, Any]) -> Judge:
    """Fit a judge; every class weighs the same.

    Args:
        kept: thumbnails [sounds, time, freq].
        classes: class numbers [sounds].
        names: of the classes.
        about: kept with it.

    Raises:
        BadInput: a class has no sound, or there is only one class.
    """
    counts = np.bincount(classes, minlength=len(names))
    if len(names) < 2 or not counts.all():
        found = dict(zip(names, counts.tolist(), strict=True))
        raise BadInput(f"a judge needs two or more classes with a sound each, not {shown(found)}.")
    features = _features(kept)
    mean, deviation = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-3)
    x = np.c_[(features - mean) / deviation, np.ones(len(features))]
    targets, weight = np.eye(len(names))[classes], (len(classes) / (len(names) * counts))[classes]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        matrix = flat.reshape(x.shape[1], len(names))
        log_probabilities = _log_softmax(x @ matrix)
        decayed = matrix * np.r_[np.ones(len(matrix) - 1), 0.0][:, None]
        value = -np.mean(weight * np.sum(targets * log_probabilities, axis=1)) + DECAY * np.sum(decayed**2)
        gradient = x.T @ ((np.exp(log_probabilities) - targets) * weight[:, None]) / len(x) + 2.0 * DECAY * decayed
        return float(value), gradient.ravel()

    found = minimize(loss, np.zeros(x.shape[1] * len(names)), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    matrix = found.x.reshape(x.shape[1], len(names))
    return Judge(tuple(names), mean, deviation, matrix[:-1], matrix[-1], about, np.unique(digests(kept)))


def judge_waveforms(judge: Judge, waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """Class probabilities [sounds, classes] of waveforms [sounds, samples] at a sample rate in Hz."""
    return judge.probabilities(thumbnails(waveforms, sample_rate))


def packaged_judge() -> Judge:
    """The judge of kicks, snares and cymbals that comes with this package (packaged.md in this folder)."""
    with resources.as_file(resources.files(__package__) / "judge.npz") as path:
        return load_judge(path)


def save_judge(path: str | os.PathLike[str], judge: Judge) -> None:
    """Write a judge as one .npz; whole or not at all."""
    arrays = {name: np.asarray(getattr(judge, name), np.float32) for name in _ARRAYS}
    header = {"classes": list(judge.classes), "about": dict(judge.about)}
    write_weights(path, FORMAT, header, {**arrays, "seen": judge.seen})


def load_judge(path: str | os.PathLike[str]) -> Judge:
    """Read what `save_judge` wrote.

    Raises:
        BadInput: the file cannot be read, is damaged or of another kind.
    """
    _, header, arrays, _ = read_weights(path, FORMAT, "a judge")
    try:
        fitted = {name: arrays[name] for name in (*_ARRAYS, "seen")}
        judge = Judge(classes=tuple(header["classes"]), about=header["about"], **fitted)
        _ = judge.probabilities(np.zeros((1, 20, 20), np.uint8))
    except (KeyError, ValueError, TypeError) as error:
        raise not_one(path, "a judge", error, FORMAT.written_by) from error
    return judge


def _features(kept: np.ndarray) -> np.ndarray:
    """Mean dB of each band in each segment [sounds, segments * freq] float64, of thumbnails [sounds, time, freq]."""
    cells = decibels(kept).astype(np.float64)
    return np.concatenate([cells[:, start:stop].mean(axis=1) for start, stop in _SEGMENTS], axis=1)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
