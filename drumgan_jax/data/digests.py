"""Digests of a data set's files: that it is what `drumgan prepare` wrote.

They are written once, and nothing that comes later changes them: the index is made of the shards again where it is
missing, and compared with them, and soft labels have a digest in their own file.
"""

import functools
from pathlib import Path

from absl import logging

from drumgan_jax.core.digests import DIGESTS_NAME, SHA256, Digests, has_digests
from drumgan_jax.core.digests import read_digests as read
from drumgan_jax.core.digests import write_digests as write
from drumgan_jax.core.errors import BadInput, brief
from drumgan_jax.data.description import (
    AGAIN,
    ATTRIBUTES_NAME,
    FEATURES_NAME,
    INFO_NAME,
    REPORT_NAME,
    REPRESENTATION_NAME,
)
from drumgan_jax.data.records import INDEX_NAME, is_shard
from drumgan_jax.data.soft_labels import FILE_NAME as SOFT_LABELS_NAME

_WITHOUT = (INDEX_NAME, SOFT_LABELS_NAME)
_DESCRIBING = (INFO_NAME, FEATURES_NAME, REPRESENTATION_NAME, ATTRIBUTES_NAME)
# As TFDS names the classes of a feature.
_NAMES_OF_CLASSES = ".labels.txt"


def write_digests(directory: Path) -> None:
    """Write the digests of a data set that is finished; it is on the disk then.

    Raises:
        OSError: a file cannot be read or written.
    """
    write(directory, SHA256, _WITHOUT)


def read_digests(directory: Path) -> Digests | None:
    """The digests of a data set's files; None if there are none: an earlier version wrote none.

    Raises:
        BadInput: they cannot be used.
    """
    return read(directory, AGAIN) if has_digests(directory) else None


def check_description(directory: Path) -> None:
    """Compare what describes a data set with its digests, and of its shards the sizes.

    Raises:
        BadInput: a file is missing or not as it was written, or the digests cannot be used.
    """
    digests = read_digests(directory)
    if digests is None:
        _tell_of_none(directory)
        return
    # Nothing depends on the report.
    names = [name for name in digests.files if name != REPORT_NAME]
    check_listed(directory, digests)
    shards = [name for name in names if is_shard(name)]
    described = [name for name in names if not is_shard(name)]
    for name in digests.altered(described) or digests.of_other_size(shards):
        raise altered(directory, [name])


def check_listed(directory: Path, digests: Digests) -> None:
    """Raise BadInput if a shard, or a file that describes the data set, has no digest."""

    def counts(name: str) -> bool:
        return is_shard(name) or name in _DESCRIBING or name.endswith(_NAMES_OF_CLASSES)

    if odd := list(filter(counts, unlisted(directory, digests))):
        raise BadInput(f"{directory / DIGESTS_NAME} does not list {brief(odd[0])}; {AGAIN}.")


def unlisted(directory: Path, digests: Digests) -> list[str]:
    """Files in a data set's folder that neither `drumgan prepare` nor another command wrote."""
    return [name for name in digests.unlisted() if name not in _WITHOUT]


def altered(directory: Path, names: list[str]) -> BadInput:
    """The error for files that are not as they were written."""
    more = f" and {len(names) - 1} more of its files are" if len(names) > 1 else " is"
    return BadInput(
        f"{directory / brief(names[0])}{more} missing or not as written; {AGAIN} (or, if that was done on"
        f" purpose, delete {DIGESTS_NAME}: then nothing is compared)."
    )


@functools.cache
def _tell_of_none(directory: Path) -> None:
    logging.warning(
        "%s has no %s (an earlier version wrote none, or it was deleted), so changes in its files are not noticed.",
        directory,
        DIGESTS_NAME,
    )
