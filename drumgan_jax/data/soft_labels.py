"""Class probabilities beside a data set's examples: the file that `drumgan label` writes."""

import dataclasses
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput

FILE_NAME = "soft_labels.npz"
_FINGERPRINT = "fingerprint_"


@dataclasses.dataclass(frozen=True)
class SoftLabels:
    """Probabilities of the classes of every example of a data set, by a classifier.

    Attributes:
        names: of the classes, in the data set's order.
        classifier: its name and the start of its weights' hash.
        splits: probabilities of each split [records, classes] float32, in the order of its records.
        fingerprints: of the records that each split had then, see Dataset.fingerprint.
    """

    names: tuple[str, ...]
    classifier: str
    splits: Mapping[str, np.ndarray]
    fingerprints: Mapping[str, str]


def write_soft_labels(directory: str | os.PathLike[str], labels: SoftLabels) -> Path:
    """Write soft labels into a data set's version directory, whole or not at all; return the path.

    Raises:
        BadInput: the file cannot be written.
    """
    path = Path(directory) / FILE_NAME
    arrays = {
        "names": np.asarray(labels.names),
        "classifier": np.asarray(labels.classifier),
        **labels.splits,
        **{_FINGERPRINT + split: np.asarray(value) for split, value in labels.fingerprints.items()},
    }
    try:
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); check folder and free space.") from error
    return path


def has_soft_labels(directory: str | os.PathLike[str]) -> bool:
    """Whether a data set's version directory holds soft labels."""
    return (Path(directory) / FILE_NAME).is_file()


def read_soft_labels(directory: str | os.PathLike[str]) -> SoftLabels:
    """Read the soft labels of a data set's version directory.

    Raises:
        BadInput: there are none, or the file is damaged.
    """
    path = Path(directory) / FILE_NAME
    if not path.is_file():
        raise BadInput(f"{directory} has no soft labels; run drumgan label first.")
    try:
        # From memory: np.load leaves a file that it cannot read open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        names = tuple(str(name) for name in arrays.pop("names"))
        classifier = str(arrays.pop("classifier"))
        found = {name.removeprefix(_FINGERPRINT): str(arrays.pop(name)) for name in _named(arrays, _FINGERPRINT)}
        _check(arrays, names, set(found))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} is damaged ({error}); delete it and run drumgan label again.") from error
    return SoftLabels(names, classifier, arrays, found)


def probabilities(
    directory: str | os.PathLike[str], split: str, label_names: tuple[str, ...], fingerprint: str
) -> np.ndarray:
    """The soft labels of a split [records, classes] float32.

    Args:
        directory: the data set's version directory.
        split: its name.
        label_names: the data set's classes.
        fingerprint: of the records that the split has now.

    Raises:
        BadInput: there are none, they are of other classes or other records, or the file is damaged.
    """
    labels = read_soft_labels(directory)
    if labels.names != label_names:
        raise BadInput(
            f"the soft labels of {directory} are of {', '.join(labels.names)}, and its classes are "
            f"{', '.join(label_names)}; run drumgan label --overwrite."
        )
    rows = labels.splits.get(split)
    if rows is None or labels.fingerprints[split] != fingerprint:
        raise BadInput(
            f"the soft labels of {directory} are not of the records that its split {split!r} has now; "
            "run drumgan label --overwrite."
        )
    return rows


def _named(arrays: Mapping[str, np.ndarray], prefix: str) -> list[str]:
    return [name for name in arrays if name.startswith(prefix)]


def _check(splits: Mapping[str, np.ndarray], names: tuple[str, ...], fingerprinted: set[str]) -> None:
    """Refuse what `write_soft_labels` would not have written."""
    if not splits or set(splits) != fingerprinted:
        raise ValueError("splits and fingerprints differ")
    for split, rows in splits.items():
        if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != len(names):
            raise ValueError(f"{split} is {rows.dtype}{list(rows.shape)}")
        if not np.all(rows >= 0.0) or not np.allclose(rows.sum(axis=1), 1.0, atol=1e-4):
            raise ValueError(f"{split} holds rows that are no probabilities")
