"""The file of soft labels (class probabilities) that `drumgan label` writes into a data set."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from drumgan_jax.core.array_files import DAMAGES, read_arrays
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, first_line, listed, shown
from drumgan_jax.core.places import place
from drumgan_jax.core.weight_file import content_digest

FILE_NAME = "soft_labels.npz"
_FINGERPRINT = "fingerprint_"
# Of all other arrays, in the same file, so that labels are never replaced without it; earlier versions wrote none.
_DIGEST = "digest"


@dataclasses.dataclass(frozen=True)
class SoftLabels:
    """Class probabilities of every example in a data set, from a classifier.

    Attributes:
        names: names of the classes, in the data set's order.
        classifier: the classifier's name with the start of its weights' hash.
        splits: probabilities of each split [records, classes] float32, in the order of its records.
        fingerprints: fingerprint of each split's records at the time of labelling, see Dataset.fingerprint.
    """

    names: tuple[str, ...]
    classifier: str
    splits: Mapping[str, np.ndarray]
    fingerprints: Mapping[str, str]


def write_soft_labels(directory: str | os.PathLike[str], labels: SoftLabels) -> Path:
    """Write soft labels atomically into a data set's version directory; return the path.

    Raises:
        BadInput: the file cannot be written.
    """
    path = place(directory) / FILE_NAME
    arrays = {
        "names": np.asarray(labels.names),
        "classifier": np.asarray(labels.classifier),
        **labels.splits,
        **{_FINGERPRINT + split: np.asarray(value) for split, value in labels.fingerprints.items()},
    }
    arrays[_DIGEST] = np.asarray(content_digest({}, arrays))
    try:
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); check the folder and its free space.") from error
    return path


def has_soft_labels(directory: str | os.PathLike[str]) -> bool:
    """Whether a data set's version directory has soft labels."""
    return (place(directory) / FILE_NAME).is_file()


def read_soft_labels(directory: str | os.PathLike[str]) -> SoftLabels:
    """Read the soft labels in a data set's version directory.

    Raises:
        BadInput: the file is missing or damaged.
    """
    path = place(directory) / FILE_NAME
    if not path.is_file():
        raise BadInput(f"{directory} has no soft labels; run drumgan label first.")
    try:
        arrays = read_arrays(path, "delete it and run drumgan label again")
        if (digest := arrays.pop(_DIGEST, None)) is not None and str(digest) != content_digest({}, arrays):
            raise ValueError("it is not what was written")
        names = tuple(str(name) for name in arrays.pop("names"))
        classifier = str(arrays.pop("classifier"))
        keys = [name for name in arrays if name.startswith(_FINGERPRINT)]
        fingerprints = {key.removeprefix(_FINGERPRINT): str(arrays.pop(key)) for key in keys}
        _check(arrays, names, set(fingerprints))
    except BadInput:
        raise
    except DAMAGES as error:
        raise BadInput(f"{path} is damaged ({first_line(error)}); delete it and run drumgan label again.") from error
    return SoftLabels(names, classifier, arrays, fingerprints)


def probabilities(
    directory: str | os.PathLike[str], split: str, label_names: tuple[str, ...], fingerprint: str, count: int
) -> np.ndarray:
    """The soft labels of a split [records, classes] float32.

    Args:
        directory: the data set's version directory.
        split: name of the split.
        label_names: the data set's classes.
        fingerprint: fingerprint of the split's current records.
        count: how many these are.

    Raises:
        BadInput: the file is missing or damaged, or belongs to other classes or records.
    """
    labels = read_soft_labels(directory)
    if labels.names != label_names:
        raise BadInput(
            f"the soft labels of {directory} are for {listed(labels.names)}, but its classes are "
            f"{listed(label_names)}; run drumgan label --overwrite."
        )
    rows = labels.splits.get(split)
    if rows is None or labels.fingerprints[split] != fingerprint or len(rows) != count:
        raise BadInput(
            f"the soft labels of {directory} do not match the current records of its split {shown(split)}; run drumgan "
            "label --overwrite."
        )
    return rows


def _check(splits: Mapping[str, np.ndarray], names: tuple[str, ...], fingerprinted: set[str]) -> None:
    """Raise a ValueError unless `write_soft_labels` can have written these arrays."""
    if not splits or set(splits) != fingerprinted:
        raise ValueError("splits and fingerprints differ")
    for split, rows in splits.items():
        if rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != len(names):
            raise ValueError(f"{split} is {rows.dtype}{list(rows.shape)}")
        if not np.all(rows >= 0.0) or not np.allclose(rows.sum(axis=1), 1.0, atol=1e-4):
            raise ValueError(f"{split} has rows that are not probabilities")
