"""The files that describe a data set, as TFDS writes them: what shards there are, and what an example is of."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import tensorflow_datasets as tfds

from drumgan_jax.core.errors import BadInput, brief, first_line, listed, shown
from drumgan_jax.core.json_files import read_json
from drumgan_jax.core.parts import Representation
from drumgan_jax.core.regular_files import read_regular
from drumgan_jax.data.records import OVERHEAD

INFO_NAME = "dataset_info.json"
FEATURES_NAME = "features.json"
REPRESENTATION_NAME = "representation.json"
# The scale of attributes, beside it; only where they were measured.
ATTRIBUTES_NAME = "attributes.json"
# What became of each recording; for people.
REPORT_NAME = "report.json"
AGAIN = "restore it, or prepare the data set again"
# By which TFDS builds the names of shards, and data.records finds them.
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
# Classes of features are imported by their names, and only TFDS's own are known to do nothing else.
_FEATURES = "tensorflow_datasets.core.features."
_CLASS = "pythonClassName"
_NAMES = ".labels.txt"


@dataclasses.dataclass(frozen=True)
class Shards:
    """What dataset_info.json says of a split.

    Attributes:
        records: of each shard, in order.
        num_bytes: of all its shards' files.
    """

    records: tuple[int, ...]
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class Info:
    """dataset_info.json.

    Attributes:
        path: of the file.
        name: of the data set, with which its shards' names begin.
        version: of the data set.
        splits: by name.
    """

    path: Path
    name: str
    version: str
    splits: Mapping[str, Shards]

    def check_names(self, shards: Mapping[str, Sequence[Path]]) -> None:
        """Compare with the shards that there are.

        Raises:
            BadInput: a split or a shard is missing or another one, or of another data set.
        """
        if odd := sorted(self.splits.keys() ^ shards.keys()):
            where = "has no shards" if odd[0] in self.splits else "is in the folder only"
            raise BadInput(f"{self.path} names the splits {listed(self.splits)}, and {shown(odd[0])} {where}; {AGAIN}.")
        for split, paths in shards.items():
            if len(paths) != len(self.splits[split].records):
                raise BadInput(
                    f"{self.path} has shardLengths of {len(self.splits[split].records)} shards of split"
                    f" {shown(split)}, and the folder has {len(paths)}; {AGAIN}."
                )
            if odd_names := [one.name for one in paths if not one.name.startswith(f"{self.name}-{split}.")]:
                raise BadInput(
                    f"{self.path} is of the data set {shown(self.name)}, and {brief(odd_names[0])} is not; {AGAIN}."
                )

    def check_split(self, split: str, records: Sequence[int], num_bytes: int) -> None:
        """Compare with what a split's shards hold.

        Args:
            split: its name.
            records: of each shard.
            num_bytes: of all its files.

        Raises:
            BadInput: they differ.
        """
        told = self.splits.get(split)
        if told is None or list(told.records) != list(records):
            raise BadInput(
                f"{self.path} says that the shards of split {shown(split)} have"
                f" [{listed(told.records if told else ())}] records, and"
                f" they have [{listed(records)}]; prepare the data set again."
            )
        # TFDS itself counts what records hold, and `drumgan prepare` their files.
        if told.num_bytes not in (num_bytes, num_bytes - OVERHEAD * sum(records)):
            raise BadInput(
                f"{self.path} says that split {shown(split)} has numBytes {told.num_bytes:,}, and its shards have"
                f" {num_bytes:,}; {AGAIN}."
            )


def read_info(directory: Path) -> Info | None:
    """Read dataset_info.json; None if there is none.

    Raises:
        BadInput: it cannot be read or is damaged; names the file and the key.
    """
    path = directory / INFO_NAME
    if not path.exists():
        return None
    content = read_json(path, AGAIN)
    texts: dict[str, str] = {}
    for name in ("name", "version"):
        text = content.get(name)
        if not isinstance(text, str) or not text:
            raise _damaged(path, name, text, "a text")
        texts[name] = text
    if content.get("fileFormat", "tfrecord") != "tfrecord":
        raise _damaged(path, "fileFormat", content["fileFormat"], "tfrecord")
    splits = content.get("splits")
    if not isinstance(splits, list) or not splits or not all(isinstance(one, dict) for one in splits):
        raise _damaged(path, "splits", splits, "a list of splits")
    found: dict[str, Shards] = {}
    for number, split in enumerate(splits):
        name = split.get("name")
        if not isinstance(name, str) or not name or name in found:
            raise _damaged(path, f"splits.{number}.name", name, "a name of its own")
        found[name] = _shards(path, f"splits.{number}", split)
    return Info(path, texts["name"], texts["version"], found)


def _shards(path: Path, key: str, split: Mapping[str, Any]) -> Shards:
    lengths, size = split.get("shardLengths"), split.get("numBytes")
    if not isinstance(lengths, list) or not lengths or not all(map(_is_count, lengths)):
        raise _damaged(path, f"{key}.shardLengths", lengths, "a list of whole numbers")
    if not _is_count(size):
        raise _damaged(path, f"{key}.numBytes", size, "a whole number")
    if (template := split.get("filepathTemplate", _TEMPLATE)) != _TEMPLATE:
        raise _damaged(path, f"{key}.filepathTemplate", template, _TEMPLATE)
    return Shards(tuple(map(int, lengths)), int(size))


def _is_count(value: Any) -> TypeGuard[str]:
    # Protocol buffers of 64 bits are texts in JSON.
    return isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20


def _damaged(path: Path, key: str, value: Any, wanted: str) -> BadInput:
    return BadInput(f"{path}: {brief(key)} is {shown(value)}; it must be {wanted}: {AGAIN}.")


def read_features(directory: Path, representation: Representation) -> tfds.features.FeaturesDict:
    """Read features.json, and the names of classes beside it.

    Args:
        directory: of the data set.
        representation: of its examples.

    Raises:
        BadInput: it cannot be read or is damaged, or its examples are of another shape than the representation's.
    """
    path = directory / FEATURES_NAME
    _check_classes(path, read_json(path, AGAIN))
    # TFDS would wait for a pipe, and number the classes where it finds no names.
    files = sorted(directory.glob(f"*{_NAMES}"))
    for file in files:
        read_regular(file, AGAIN)
    try:
        features = tfds.features.FeaturesDict.from_config(str(directory))
        shapes = {name: tuple(features[name].shape) for name in ("x", "audio") if name in features}
        names = [tuple(part.names or ()) for part in _classes(features)]
    # TFDS raises many types for what it did not write.
    except Exception as error:
        raise BadInput(f"{path} is damaged ({first_line(error)}); {AGAIN}.") from error
    if names and not files:
        raise BadInput(f"{directory} has no file *{_NAMES} with the names of its classes; {AGAIN}.")
    expected = {"x": tuple(representation.shape), "audio": (representation.num_samples,)}
    for name, shape in shapes.items():
        if shape != expected[name]:
            raise BadInput(
                f"{path}: {name} is of shape {list(shape)}, and representation.json says {list(expected[name])};"
                f" {AGAIN}."
            )
    if any(len(set(one)) < len(one) or not all(one) for one in names):
        raise BadInput(f"{path}: the names of its classes are not different ones; {AGAIN}.")
    return features


def _classes(features: tfds.features.FeaturesDict) -> list[Any]:
    """Features that have names of classes."""
    found = [features["label"]] if "label" in features else []
    return found + ([features["tags"].feature] if "tags" in features else [])


def _check_classes(path: Path, value: Any, key: str = "") -> None:
    """Refuse a class of a feature that is not TFDS's own."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return
    for name, part in value.items():
        if name == _CLASS and not (isinstance(part, str) and part.startswith(_FEATURES)):
            raise _damaged(path, f"{key}{name}", part, "a feature of TFDS")
        _check_classes(path, part, f"{key}{name}.")
