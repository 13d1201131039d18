"""Records of prepared TFDS data sets of audio, as recordings: `tfds:NAME` or `tfds:DIRECTORY`."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.audio.files import Audio
from drumgan_jax.core.errors import BadInput, listed
from drumgan_jax.core.paths import expand


def list_records(source: str) -> Iterator[tuple[str, str, str, str]]:
    """List the records of all splits of a prepared data set with the feature `audio`, and optionally `label`.

    Yields:
        Address, name, data set and label of each record.

    Raises:
        BadInput: there is no such data set, or it has no audio, or audio without a sample rate.
    """
    directory, info = _open(source.removeprefix("tfds:"))
    names = getattr(info.features["label"], "names", None) if "label" in info.features else None
    for split in sorted(info.splits):
        records = _records(str(directory), split)
        for index in range(len(records)):
            label = info.name
            if names:
                label = names[int(info.features.deserialize_example_np(records[index])["label"])]
            yield f"tfds:{directory}#{split}/{index}", f"{split}/{index:08d}", info.name, label


def read_record(uri: str) -> Audio:
    """Read the record at an address of `list_records`.

    Raises:
        BadInput: it is empty or holds NaN or infinite samples.
    """
    directory, _, record = uri.removeprefix("tfds:").rpartition("#")
    split, index = record.split("/")
    _, info = _open(directory)
    example = info.features.deserialize_example_np(_records(directory, split)[int(index)])
    samples, rate = np.asarray(example["audio"]), info.features["audio"].sample_rate
    if samples.ndim == 1:
        samples = samples[:, None]
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / np.float32(2**15)  # TFDS decodes to 16-bit integers.
    samples = samples.astype(np.float32)
    if not samples.size or not np.isfinite(samples).all():
        raise BadInput(f"{uri} is empty or holds NaN or infinite samples.")
    return Audio(samples, int(rate))


@functools.lru_cache(maxsize=8)
def _open(name: str) -> tuple[Path, Any]:
    """Version directory and DatasetInfo of a prepared TFDS data set, given by name or directory."""
    import tensorflow_datasets as tfds

    try:
        path = Path(expand(name))
        builder = tfds.builder_from_directory(path) if path.is_dir() else tfds.builder(name)
        ready = bool(builder.info.splits)
    except Exception as error:  # TFDS raises many types of exceptions here, all for the same problem.
        raise BadInput(
            f"tfds:{name} cannot be opened ({type(error).__name__}); give a name or a directory that TFDS has prepared."
        ) from error
    if not ready:
        raise BadInput(f"tfds:{name} is not prepared; run `tfds build {name}` first.")
    if "audio" not in builder.info.features:
        raise BadInput(f"tfds:{name} has no feature 'audio'; it has {listed(builder.info.features)}.")
    if not getattr(builder.info.features["audio"], "sample_rate", None):
        raise BadInput(f"tfds:{name} has audio without a sample rate; export it to files.")
    return Path(builder.data_path).absolute(), builder.info


@functools.lru_cache(maxsize=8)
def _records(directory: str, split: str) -> Any:
    from drumgan_jax.data.records import RecordSource

    return RecordSource(directory, split)
