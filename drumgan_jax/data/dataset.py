"""Prepared data sets on disk: records, splits, classes and soft labels."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from drumgan_jax.audio.attributes import NO_ATTRIBUTES, AttributeScale
from drumgan_jax.audio.representations import build_representation, current_settings
from drumgan_jax.core.errors import BadInput, about, brief, first_line, listed, shown
from drumgan_jax.core.json_files import read_json
from drumgan_jax.core.parts import Representation
from drumgan_jax.core.places import is_folder, is_remote, place
from drumgan_jax.core.settings import is_whole
from drumgan_jax.data.cached import copy_of
from drumgan_jax.data.description import (
    AGAIN,
    ATTRIBUTES_NAME,
    FEATURES_NAME,
    REPRESENTATION_NAME,
    read_features,
    read_info,
)
from drumgan_jax.data.digests import check_description
from drumgan_jax.data.records import RecordSource, shards_of
from drumgan_jax.data.soft_labels import has_soft_labels, probabilities, read_soft_labels

__all__ = ["Dataset", "open_dataset"]

Batch = dict[str, np.ndarray]
# Stored features by the name of their part in a batch.
STORED = {"x": "x", "labels": "label", "waveforms": "audio", "attributes": "attributes", "tags": "tags"}
SPLITS = ("train", "validation", "test")
SOFT_LABELS = "soft_labels"
# Written into representation.json as `format`. 1 (without the key) had the decoder's settings there.
DATASET_FORMAT = 2


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A prepared data set on disk.

    Attributes:
        directory: the version directory with the shards.
        representation: representation of the stored examples, with fitted statistics.
        label_names: names of the classes, in the order of their numbers; the soft labels' classes if the examples have
            no classes of their own.
        tag_names: names of the tags, if the examples have tags instead of classes.
        features: TFDS features of an example.
        attributes: the scale of the attributes that were measured of every example.
    """

    directory: Path
    representation: Representation
    label_names: tuple[str, ...]
    features: tfds.features.FeaturesDict
    attributes: AttributeScale = NO_ATTRIBUTES
    tag_names: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the existing splits."""
        return tuple(split for split in SPLITS if any(self.directory.glob(f"*-{split}.tfrecord-*")))

    @property
    def held_out(self) -> str:
        """The split for evaluation: "test", or "train" if there is no test split."""
        return "test" if "test" in self.splits else "train"

    @property
    def has_labels(self) -> bool:
        """Whether each example has a class of its own."""
        return STORED["labels"] in self.features

    def source(self, split: str) -> RecordSource:
        """The serialised records of a split."""
        return _source(self.directory, split)

    def num_examples(self, split: str) -> int:
        """Number of examples in a split."""
        return len(self.source(split))

    def parse(self, record: bytes, keys: Sequence[str]) -> Batch:
        """Parse the requested parts of one serialised example, without TensorFlow.

        Args:
            record: a record from `source`.
            keys: any of x (features before normalisation [freq, time, channels] float32), labels (one-hot [labels]
                float32), tags (ones and zeros [tags] float32), waveforms ([samples] float32 in [-1, 1]) and attributes
                (ranks [attributes] float32).

        Raises:
            BadInput: labels, tags or attributes are requested from a data set whose examples have none.
        """
        if "tags" in keys and not self.tag_names:
            raise BadInput(
                f"the examples of {self.directory} have no tags; prepare it with config.preparation.tags from a"
                " manifest with a column tags."
            )
        if "labels" in keys and not self.has_labels:
            raise BadInput(
                f"the examples of {self.directory} have no classes of their own; prepare it from a folder for each "
                "class, or train with config.task.soft_labels."
            )
        if "attributes" in keys and not self.attributes.names:
            raise BadInput(f"{self.directory} has no attributes; prepare it with config.preparation.attributes.")
        stored = _subset(self.features, tuple(STORED[key] for key in keys)).deserialize_example_np(record)
        return {key: self._convert(key, stored[STORED[key]]) for key in keys}

    def example(self, split: str, item: int, keys: Sequence[str]) -> Batch:
        """Read the requested parts of one example.

        Args:
            split: name of the split.
            item: number of the record.
            keys: as in `parse`, and soft_labels ([labels] float32, from `drumgan label`).

        Raises:
            BadInput: the record is damaged, or soft labels are missing or stale.
        """
        stored = [key for key in keys if key != SOFT_LABELS]
        parts = self._parsed(split, item, stored) if stored else {}
        return parts | ({SOFT_LABELS: self.soft_labels(split)[item]} if SOFT_LABELS in keys else {})

    def _parsed(self, split: str, item: int, keys: Sequence[str]) -> Batch:
        record = self.source(split)[item]
        try:
            return self.parse(record, keys)
        except BadInput:
            raise
        # What is whole as a record may be anything, and TFDS raises as much.
        except Exception as error:
            where = self.source(split).place(item)
            raise BadInput(
                f"{where} is no example of this data set ({first_line(error)}); prepare it again."
            ) from error

    def soft_labels(self, split: str) -> np.ndarray:
        """Class probabilities of all examples in a split [records, labels] float32, in the order of its records.

        Raises:
            BadInput: `drumgan label` has not written them, or the data set has changed since.
        """
        if split not in self._soft_labels:
            count = self.num_examples(split)
            fingerprint = self.fingerprint(split, count)
            self._soft_labels[split] = probabilities(self.directory, split, self.label_names, fingerprint, count)
        return self._soft_labels[split]

    def waveforms(self, split: str, count: int, batch_size: int) -> Iterator[np.ndarray]:
        """Yield batches [batch, samples] of `count` waveforms of a split, always the same ones, or of all if fewer."""
        order = self._drawn(split, count)
        for start in range(0, len(order), batch_size):
            items = order[start : start + batch_size]
            yield np.stack([self.example(split, int(item), ("waveforms",))["waveforms"] for item in items])

    def labels(self, split: str, count: int, key: str = "labels") -> np.ndarray:
        """Classes of the waveforms of `waveforms` [sounds, labels]: one-hot, or probabilities with "soft_labels"."""
        return np.stack([self.example(split, int(item), (key,))[key] for item in self._drawn(split, count)])

    def measured(self, split: str, count: int) -> np.ndarray:
        """Attributes of the waveforms of `waveforms` [sounds, attributes], as they were measured."""
        features, source = _subset(self.features, ("attributes",)), self.source(split)
        stored = (features.deserialize_example_np(source[int(item)]) for item in self._drawn(split, count))
        return np.stack([np.asarray(one["attributes"], np.float32) for one in stored])

    def class_weights(self, split: str, count: int) -> np.ndarray:
        """`labels` of the waveforms of `waveforms`: classes if there are any, else soft labels, else of width 0."""
        if not self.label_names:
            return np.zeros((min(count, self.num_examples(split)), 0), np.float32)
        return self.labels(split, count, "labels" if self.has_labels else SOFT_LABELS)

    def classes_and_sources(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Class numbers (0 without classes) and names of the sources of all examples, in the order of the records."""
        names = tuple(name for name in ("label", "source") if name in self.features)
        features, source = _subset(self.features, names), self.source(split)
        stored = [features.deserialize_example_np(source[item]) for item in range(len(source))]
        labels = np.asarray([int(one.get("label", 0)) for one in stored])
        return labels, np.asarray([bytes(one.get("source", b"")).decode() for one in stored])

    def fingerprint(self, split: str, count: int) -> str:
        """SHA-256 over the checksums of the records that `waveforms` reads."""
        source = self.source(split)
        checksums = np.asarray([source.checksum(int(item)) for item in self._drawn(split, count)], np.uint32)
        return hashlib.sha256(checksums.tobytes()).hexdigest()

    @functools.cached_property
    def _soft_labels(self) -> dict[str, np.ndarray]:
        return {}

    def _drawn(self, split: str, count: int) -> np.ndarray:
        return np.random.default_rng(0).permutation(self.num_examples(split))[:count]

    def _convert(self, key: str, value: Any) -> np.ndarray:
        if key == "labels":
            if not 0 <= int(value) < len(self.label_names):
                raise ValueError(f"its class is number {int(value)}")
            return np.eye(len(self.label_names), dtype=np.float32)[int(value)]
        if key == "tags":
            return np.isin(np.arange(len(self.tag_names)), value).astype(np.float32)
        if key == "waveforms":
            return np.asarray(value, np.float32) / 32767.0
        if key == "attributes":
            return self.attributes.ranks(np.asarray(value))
        return np.asarray(value, np.float32)


@functools.lru_cache(maxsize=16)
def _source(directory: Path, split: str) -> RecordSource:
    source = RecordSource(directory, split)
    if (info := read_info(directory)) is not None:
        info.check_split(split, source.records, source.num_bytes)
    return source


@functools.lru_cache(maxsize=16)
def _subset(features: tfds.features.FeaturesDict, names: tuple[str, ...]) -> tfds.features.FeaturesDict:
    return tfds.features.FeaturesDict({name: features[name] for name in names})


def open_dataset(path: str | os.PathLike[str], cache: str = "") -> Dataset:
    """Open a data set written by `drumgan prepare`, and see that it is as that wrote it.

    Shards are known by their sizes; `drumgan check` reads them. A data set without digests, of an earlier version, is
    opened with a warning.

    Args:
        path: its version directory, or a folder at most two levels above it that holds only one.
        cache: a folder of this machine; if the data set is in a bucket, a copy there is opened (data.cached).

    Raises:
        BadInput: there is no data set or more than one, or a file of its description is missing, damaged or not as it
            was written; or the copy cannot be made.
    """
    if cache and is_remote(path):
        path = copy_of(_find(place(path)), cache)
    dataset = read_dataset(path)
    check_description(dataset.directory)
    return dataset


def read_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Open a data set as it is now, whether or not that is what was written.

    Args:
        path: its version directory, or a folder at most two levels above it that holds only one.

    Raises:
        BadInput: there is no data set or more than one, or a file of its description is missing or damaged.
    """
    directory = _find(place(path))
    path = directory / REPRESENTATION_NAME
    settings = read_json(path, AGAIN)
    with about(path):
        representation = _representation(settings)
    features = read_features(directory, representation)
    if (info := read_info(directory)) is not None:
        info.check_names(shards_of(directory))
    label_names = tuple(features["label"].names) if "label" in features else None
    tag_names = tuple(features["tags"].feature.names) if "tags" in features else ()
    if label_names is None:
        label_names = read_soft_labels(directory).names if has_soft_labels(directory) else ()
    return Dataset(directory, representation, label_names, features, _attributes(directory, features), tag_names)


def _attributes(directory: Path, features: tfds.features.FeaturesDict) -> AttributeScale:
    """The scale of a data set's attributes, if it has any."""
    if STORED["attributes"] not in features:
        return NO_ATTRIBUTES
    path = directory / ATTRIBUTES_NAME
    saved = read_json(path, AGAIN)
    with about(path):
        scale = AttributeScale.of_json(saved)
        width = features[STORED["attributes"]].shape
        if tuple(width) != (len(scale.names),):
            raise BadInput(f"it has {len(scale.names)} names, and {FEATURES_NAME} says {list(width)}; {AGAIN}.")
    return scale


def _representation(settings: dict[str, Any]) -> Representation:
    """The representation of a representation.json of any version."""
    version = settings.pop("format", 1)
    if not is_whole(version, 1):
        raise BadInput(f"format is {shown(version)}; it must be a whole number of at least 1: {AGAIN}.")
    if version > DATASET_FORMAT:
        raise BadInput(
            f"the data set is of format {shown(version)}, and this version reads up to {DATASET_FORMAT}; update"
            " drumgan_jax."
        )
    return build_representation(current_settings(settings))


def _find(path: Path) -> Path:
    if not is_folder(path):
        raise BadInput(
            f"{brief(path)} is not a folder; give a data set written by `drumgan prepare` (config.data.dir)."
        )
    directories = [path] if (path / "features.json").is_file() else []
    # At most NAME/VERSION/features.json, so that a folder of recordings given by mistake is not searched.
    for pattern in ("*/features.json", "*/*/features.json"):
        directories = directories or sorted(file.parent for file in path.glob(pattern))
    if not directories:
        raise BadInput(f"{path} holds no data set; make one with `drumgan prepare`, or correct config.data.dir.")
    if len(directories) > 1:
        names = listed(str(one.relative_to(path)) for one in directories)
        raise BadInput(f"{path} holds {len(directories)} data sets ({names}); give one of them.")
    return directories[0]
