"""What conditions a generator: classes and attributes, joined to the rows of labels that its networks take."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from drumgan_jax.audio.attributes import NO_ATTRIBUTES, AttributeScale
from drumgan_jax.core.errors import BadInput, listed, shown
from drumgan_jax.latents.labels import Labels, class_weights
from drumgan_jax.latents.seeds import items_of, labels_of


@dataclasses.dataclass(frozen=True, eq=False)
class Conditions:
    """The columns of labels: classes, then attributes.

    Attributes:
        classes: names, in order; empty for none.
        attributes: those that condition the generator, and what they mean.
        independent: whether class weights are sliders from 0 to 1 that networks take as they are, rather than shares.
    """

    classes: tuple[str, ...]
    attributes: AttributeScale = NO_ATTRIBUTES
    independent: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any], classes: Sequence[str]) -> Self:
        """The conditions of a run's frozen config, or of a packed file's.

        Args:
            config: section `task`, and `attributes` if there are any.
            classes: names of its classes; empty if it is not conditioned on them.

        Raises:
            BadInput: the data set lacks an attribute that the task names.
        """
        task = config["task"]
        attributes = NO_ATTRIBUTES
        if names := task.get("attributes", ()):
            attributes = AttributeScale.of_json(config["attributes"]) if "attributes" in config else attributes
            attributes = attributes.only(names)
            # The data set may have classes that the generator is not conditioned on.
            attributes = attributes if classes else attributes.of_all_classes()
        return cls(tuple(classes), attributes, bool(task.get("independent_classes", False)))

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns."""
        return (*self.classes, *self.attributes.names)

    @property
    def typical(self) -> np.ndarray | None:
        """Attributes of recordings [classes, recordings, attributes]; None without attributes."""
        return self.attributes.typical.astype(np.float32) if self.attributes.names else None

    @property
    def neutral(self) -> np.ndarray:
        """The row [labels] of which nothing is known: all classes alike, attributes in the middle."""
        count = len(self.classes)
        return np.asarray([1 / max(count, 1)] * count + [0.5] * len(self.attributes.names), np.float32)

    def one_of_each(self) -> np.ndarray:
        """A row [classes, labels] for each class (one without classes), its attributes those of a recording of it."""
        count = len(self.classes)
        rows = np.eye(max(count, 1), count, dtype=np.float32)
        if not self.attributes.names:
            return rows
        return np.concatenate([rows, self.attributes.typical[: len(rows), 0].astype(np.float32)], axis=1)

    def rows(self, labels: Labels | None, seeds: np.ndarray) -> np.ndarray:
        """Rows of labels [sounds, labels] float32.

        Args:
            labels: a class name; weights and attributes by name, such as {"kick": 1.0, "brightness": 0.8}; a list with
                one of these for each sound; or an array [sounds, classes] or [sounds, labels]. Attributes are from 0 to
                1. What is not given is drawn from the seed: the class, and the attributes from those of the class's
                recordings, see AttributeScale.completed.
            seeds: of the sounds [sounds] uint32.

        Raises:
            BadInput: a name is unknown, a weight or an attribute is out of range, or the number of labels does not fit.
        """
        count, names = len(seeds), self.attributes.names
        weights, asked = self._parted(labels, count)
        if weights is None:
            classes = np.asarray(labels_of(seeds, len(self.classes)))
        else:
            classes = class_weights(weights, self.classes, count, independent=self.independent, others=names)
        if not names:
            return classes
        if not np.isnan(asked).all() and not (np.nanmin(asked) >= 0.0 and np.nanmax(asked) <= 1.0):
            raise BadInput(f"an attribute is out of range; give each of {listed(names)} a number from 0 to 1.")
        items = np.asarray(items_of(seeds, self.attributes.typical.shape[1]))
        total = classes.sum(axis=1, keepdims=True)
        # Without any class, all classes' recordings are meant.
        shares = np.where(total > 0.0, classes / np.where(total > 0.0, total, 1.0), 1 / max(len(self.classes), 1))
        shares = shares if self.classes else np.ones((count, 1))
        attributes = self.attributes.completed(asked, shares, items)
        return np.concatenate([classes, attributes], axis=1).astype(np.float32)

    def _parted(self, labels: Any, count: int) -> tuple[Any, np.ndarray]:
        """Class weights as `class_weights` takes them (None to draw them), and attributes, NaN where not given."""
        names = self.attributes.names
        asked = np.full((count, len(names)), np.nan)
        if labels is None or not names or isinstance(labels, str):
            return labels, asked
        if isinstance(labels, Mapping):
            labels = [labels] * count
        if isinstance(labels, Sequence) and any(isinstance(one, (str, Mapping)) for one in labels):
            return self._parted_by_name(labels, asked)
        if np.ndim(labels) == 2 and np.shape(labels)[1] == len(self.names) and len(labels) == count:
            array = np.asarray(labels, np.float64)
            return array[:, : len(self.classes)], array[:, len(self.classes) :]
        return labels, asked

    def _parted_by_name(self, labels: Sequence[Any], asked: np.ndarray) -> tuple[Any, np.ndarray]:
        names = self.attributes.names
        if len(labels) != len(asked):
            raise BadInput(f"there are {len(labels)} labels for {len(asked)} sound(s); give one for each.")
        weights = []
        for sound, one in enumerate(labels):
            given = {one: 1.0} if isinstance(one, str) else dict(one)
            for column, name in enumerate(names):
                if name in given:
                    asked[sound, column] = _number(name, given.pop(name))
            weights.append(given)
        if not any(weights):
            return None, asked
        if not all(weights):
            raise BadInput("some sounds are given a class and some are not; give one to each, or to none.")
        return weights, asked


def _number(name: str, value: Any) -> float:
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and 0.0 <= value <= 1.0:
        return float(value)
    raise BadInput(f"the attribute {name} is {shown(value)}; give a number from 0 to 1, its rank among the recordings.")
