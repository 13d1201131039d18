"""Digests of a checkpoint's files, which also say that it is complete."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from drumgan_jax.core import places
from drumgan_jax.core.digests import CRC32C, DIGESTS_NAME, Digests, has_digests
from drumgan_jax.core.digests import read_digests as read
from drumgan_jax.core.digests import write_digests as write
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.regular_files import read_regular

# In a run directory.
CHECKPOINTS, CONFIG_NAME = "checkpoints", "config.json"
# Written by Orbax last of all.
METADATA_NAME = "_CHECKPOINT_METADATA"
# Given to Orbax for that file: tells a checkpoint whose digests are still to be written from one of an earlier version.
EXPECTED = {"digests": DIGESTS_NAME}
_ANOTHER = "give another step, or delete this one"


def is_complete(checkpoint: Path) -> bool:
    """Whether a folder is a checkpoint that has its digests, or is of a version that wrote none."""
    if has_digests(checkpoint):
        return True
    if not (checkpoint / METADATA_NAME).exists():
        return False
    # If it is damaged, that is told when it is read.
    return not told_at_save(checkpoint).get("digests")


def told_at_save(checkpoint: Path) -> Mapping[str, Any]:
    """What was given to Orbax to keep with a checkpoint; empty if that is damaged, or of an earlier version."""
    try:
        # A figure may be NaN.
        told = json.loads(read_regular(checkpoint / METADATA_NAME))["custom_metadata"]
    except (BadInput, OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    return told if isinstance(told, Mapping) else {}


def complete_steps(directory: Path) -> list[int]:
    """Steps of the complete checkpoints in a folder, ascending; those without all they should have are left out."""
    if not places.is_folder(directory):
        return []
    return sorted(int(one.name) for one in directory.iterdir() if is_step(one.name) and is_complete(one))


def is_step(name: str) -> bool:
    """Whether a folder's name is a step as it is written: 20, not 020."""
    return name.isascii() and name.isdecimal() and str(int(name)) == name


def write_digests(checkpoint: Path) -> None:
    """Write the digests of all files of a checkpoint; see `core.digests`."""
    write(checkpoint, CRC32C)


def read_digests(checkpoint: Path) -> Digests:
    """The digests of a checkpoint's files; raise BadInput if they cannot be used."""
    return read(checkpoint, _ANOTHER)


def first_altered(checkpoint: Path, items: Collection[str] | None = None) -> str | None:
    """The first file of a checkpoint that is not what was saved; None if all are, or if it has no digests.

    Args:
        checkpoint: its folder.
        items: the items that are looked at, besides what belongs to all; None for all.
    """
    if not has_digests(checkpoint):
        return None
    try:
        digests = read_digests(checkpoint)
    except BadInput:
        return DIGESTS_NAME

    def is_looked_at(name: str) -> bool:
        return items is None or "/" not in name or name.split("/")[0] in items

    altered = digests.altered(list(filter(is_looked_at, digests.files)))
    return next(iter([*altered, *filter(is_looked_at, unlisted(digests))]), None)


def unlisted(digests: Digests) -> list[str]:
    """Files of a checkpoint that have no digest, but for hidden ones, as file managers leave them."""
    return [name for name in digests.unlisted() if not name.rpartition("/")[2].startswith(".")]
