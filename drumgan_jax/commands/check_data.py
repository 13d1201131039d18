"""`drumgan check DATA`: the description, the index and every record of a data set."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.commands.findings import NOTE, SOUND, UNSOUND, Finding, tried
from drumgan_jax.core.digests import DIGESTS_NAME
from drumgan_jax.core.errors import BadInput, brief, first_line, listed, shown
from drumgan_jax.core.json_files import read_json
from drumgan_jax.core.settings import is_whole
from drumgan_jax.data import digests
from drumgan_jax.data.dataset import SOFT_LABELS, Dataset, read_dataset
from drumgan_jax.data.description import AGAIN, INFO_NAME, REPORT_NAME, read_info
from drumgan_jax.data.records import INDEX_NAME, check_index, read_shard, shards_of, size_of
from drumgan_jax.data.soft_labels import FILE_NAME as SOFT_LABELS_NAME
from drumgan_jax.data.soft_labels import has_soft_labels

_SPLIT = "split "


def check_data(path: Path) -> tuple[str, list[Finding]]:
    """Read all of a data set.

    Returns:
        What it is, and a finding for each part.
    """
    try:
        dataset = read_dataset(path)
        shards = shards_of(dataset.directory)
    except BadInput as problem:
        return "a data set", [Finding("description", UNSOUND, str(problem))]
    compared = _digests(dataset.directory)
    found = [tried("description", lambda: _description(dataset)), compared, _index(dataset.directory, compared)]
    counts: dict[str, list[int]] = {}
    for split, paths in shards.items():
        finding = tried(f"{_SPLIT}{split}", functools.partial(_records, dataset, split, paths, counts))
        found.append(finding)
    whole = all(one.state == SOUND for one in found if one.part.startswith(_SPLIT))
    for name, read in ((INFO_NAME, _info), (REPORT_NAME, _report)):
        if not whole:
            found.append(Finding(name, NOTE, "not compared with the records, which were not all read"))
        elif name == INFO_NAME or (dataset.directory / name).exists():
            found.append(tried(name, functools.partial(read, dataset.directory, counts)))
    # Their reading would create an index that is missing.
    if has_soft_labels(dataset.directory) and (dataset.directory / INDEX_NAME).exists():
        found.append(tried(SOFT_LABELS_NAME, lambda: _soft_labels(dataset, list(shards))))
    return f"a data set of {sum(map(sum, counts.values())):,} examples", found


def _index(directory: Path, compared: Finding) -> Finding:
    """Compare the index with the shards, unless these are other ones than were written."""
    if not (directory / INDEX_NAME).exists():
        return Finding(INDEX_NAME, NOTE, "missing: it is made again when the data set is used")
    if compared.state == UNSOUND:
        return Finding(INDEX_NAME, NOTE, f"not compared, as the files are not those of {DIGESTS_NAME}")
    return tried(INDEX_NAME, lambda: f"{check_index(directory):,} records")


def _digests(directory: Path) -> Finding:
    """Compare every file with its digest."""
    try:
        stored = digests.read_digests(directory)
    except BadInput as problem:
        return Finding(DIGESTS_NAME, UNSOUND, str(problem))
    if stored is None:
        return Finding(
            DIGESTS_NAME, NOTE, "none, as of an earlier version, or deleted: changes of valid files are not noticed"
        )
    if bad := stored.altered():
        return Finding(DIGESTS_NAME, UNSOUND, str(digests.altered(directory, bad)))
    try:
        digests.check_listed(directory, stored)
    except BadInput as problem:
        return Finding(DIGESTS_NAME, UNSOUND, str(problem))
    if odd := digests.unlisted(directory, stored):
        return Finding(DIGESTS_NAME, NOTE, f"{len(stored.files)} files, all as written; {brief(odd[0])} is not listed")
    return Finding(DIGESTS_NAME, SOUND, f"{len(stored.files)} files, all as written")


def _description(dataset: Dataset) -> str:
    representation = dataset.representation
    names = dataset.label_names or dataset.tag_names
    return f"{representation.num_samples} samples at {representation.sample_rate} Hz, {len(names)} classes"


def _records(dataset: Dataset, split: str, paths: Sequence[Path], counts: dict[str, list[int]]) -> str:
    """Read every record in order, parse it whole, and count those of each shard."""
    counts[split], size = [], 0
    for path in paths:
        counts[split].append(0)
        for record, payload in enumerate(read_shard(path)):
            try:
                example = dataset.features.deserialize_example_np(payload)
                _check_example(dataset, example)
            # A record that was made by another program may be anything.
            except Exception as error:
                raise BadInput(
                    f"{path}: record {record} is no example of this data set ({first_line(error)}); prepare it again."
                ) from error
            counts[split][-1] += 1
            size += len(payload)
    return f"{sum(counts[split]):,} records in {len(paths)} shards, {size / 2**20:,.1f} MiB"


def _check_example(dataset: Dataset, example: dict[str, Any]) -> None:
    if "x" in example and not np.isfinite(np.asarray(example["x"], np.float32)).all():
        raise ValueError("its features are not finite")
    if "label" in example and not 0 <= int(example["label"]) < len(dataset.label_names):
        raise ValueError(f"its class is number {int(example['label'])}")


def _info(directory: Path, counts: dict[str, list[int]]) -> str:
    """Compare TFDS's own numbers with those of the records that were read."""
    info = read_info(directory)
    if info is None:
        raise BadInput(f"{directory / INFO_NAME} is missing; {AGAIN}.")
    for split, paths in shards_of(directory).items():
        info.check_split(split, counts[split], sum(map(size_of, paths)))
    return f"version {brief(info.version)}, splits {listed(info.splits)}"


def _report(directory: Path, counts: dict[str, list[int]]) -> str:
    path = directory / REPORT_NAME
    report = read_json(path, AGAIN)
    try:
        told = dict(report["counts"]["examples"].items())
        if not all(is_whole(number, 0) for number in told.values()):
            raise ValueError(f"its counts are {shown(told)}")
        files = len(report["files"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is damaged ({first_line(error)}); prepare the data set again.") from error
    found = {split: sum(numbers) for split, numbers in counts.items()}
    if told != found:
        raise BadInput(
            f"{path} counts {shown(told)} examples, and the shards hold {found}; prepare the data set again."
        )
    return f"{files:,} recordings"


def _soft_labels(dataset: Dataset, splits: Sequence[str]) -> str:
    rows = sum(len(dataset.soft_labels(split)) for split in splits)
    return f"{rows:,} {SOFT_LABELS.replace('_', ' ')}, of these records"
