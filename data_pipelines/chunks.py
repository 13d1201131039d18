"""The work on one chunk: recordings become parts of shards, with their report and statistics.

A chunk writes its examples directly to its own files, so only lists of paths go through an engine. TFDS's own Beam
writers group serialised examples by key, which the local runner does in memory.
"""

import dataclasses
import functools
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from drumgan_jax.audio import representations
from drumgan_jax.audio.attributes import measure_attributes
from drumgan_jax.audio.loop_chunks import LoopChunk, read_loop_chunk
from drumgan_jax.audio.one_shot import is_shorter
from drumgan_jax.audio.recordings import Recording
from drumgan_jax.audio.signal import in_blocks, resampled
from drumgan_jax.core.errors import BadInput, brief
from drumgan_jax.core.parts import Representation
from drumgan_jax.core.printable import printable
from drumgan_jax.core.regular_files import open_regular
from drumgan_jax.data_pipelines import progress
from drumgan_jax.data_pipelines.conditioning import Preparation, cancellation, condition, pitched, to_mono
from drumgan_jax.data_pipelines.moments import Moments
from drumgan_jax.data_pipelines.parts import Attempt, summary_path
from drumgan_jax.data_pipelines.slicing import Skip, Slice, Slicing
from drumgan_jax.data_pipelines.sources import Item, is_file, open_item
from drumgan_jax.data_pipelines.tempo import MEASURED, Tempo, tempo_row, told_tempi


@dataclasses.dataclass(frozen=True)
class Job:
    """Settings shared by all chunks; small and picklable.

    Attributes:
        representation: the representation, without statistics.
        slicing: slicing rule.
        preparation: conditioning settings.
        label_names: all classes, in the order of their numbers.
        directory: output folder of the parts, which every worker must see.
        sources: folders and files of recordings, which every worker must see.
    """

    representation: Representation
    slicing: Slicing
    preparation: Preparation
    label_names: tuple[str, ...]
    directory: str
    sources: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Recordings of one split that one worker processes."""

    index: int
    split: str
    items: tuple[Item, ...]


def features_of(
    representation: Representation, label_names: tuple[str, ...], preparation: Preparation
) -> tfds.features.FeaturesDict:
    """TFDS features of a stored example.

    x: features before normalisation [freq, time, channels]. audio: the sliced waveform [samples], 16 bits. label (or
    tags), path, source: those of the recording. start: start of the slice in the recording, in seconds. attributes: as
    they are measured [attributes], if there are any.
    """
    bytes_encoding = tfds.features.Encoding.BYTES
    label = tfds.features.ClassLabel(names=list(label_names))
    attributes = preparation.attributes
    measured = tfds.features.Tensor(shape=(len(attributes),), dtype=np.float32)
    return tfds.features.FeaturesDict(
        {
            "x": tfds.features.Tensor(shape=representation.shape, dtype=np.float32, encoding=bytes_encoding),
            "audio": tfds.features.Tensor(shape=(representation.num_samples,), dtype=np.int16, encoding=bytes_encoding),
            **({"tags": tfds.features.Sequence(label)} if preparation.tags else {"label": label}),
            "path": tfds.features.Text(),
            "source": tfds.features.Text(),
            "start": np.float32,
            **({"attributes": measured} if attributes else {}),
        }
    )


def process_chunk(job: Job, chunk: Chunk) -> None:
    """Write a chunk's examples to parts, and a summary of its files that names them; nothing if there is one already.

    A file that cannot be used is listed in the summary and does not stop the others.

    Raises:
        BadInput: the files cannot be written, or this machine does not see a folder of the run.
    """
    directory = Path(job.directory)
    _check_shared(job)
    # An engine that lost a worker also starts again what that worker had finished.
    if summary_path(directory, chunk.index).exists():
        return
    total = Moments.none(job.representation.normalization_shape)
    rows, measured = [], []
    try:
        with Attempt(directory, chunk.index) as attempt:
            for item in chunk.items:
                row, moments, attributes = _process_item(job, chunk.split, item, attempt)
                rows.append(row)
                measured += [[job.label_names.index(item.label), *one.tolist()] for one in attributes]
                total = total.merge(moments)
                progress.tell(directory, chunk.index, len(rows))
            summary = {"split": chunk.split, "moments": total.to_json(), "files": rows}
            if job.preparation.attributes:
                summary["attributes"] = measured
            attempt.finish(summary)
    except OSError as error:
        raise BadInput(
            f"the data set cannot be written ({error.strerror}); free some space or give another --data_dir."
        ) from error


def _check_shared(job: Job) -> None:
    """Check that this machine sees the run's folders: it would make another data set, or skip all recordings."""
    for path in (os.path.join(job.directory, progress.PROGRESS_NAME), *job.sources):
        if not os.path.exists(path):
            unseen = job.directory if path not in job.sources else path
            raise BadInput(
                f"a worker on {socket.gethostname()} does not see {brief(unseen)}; put --data_dir and the recordings"
                " where all workers see them, under the same path."
            )


def _process_item(
    job: Job, split: str, item: Item, attempt: Attempt
) -> tuple[dict[str, Any], Moments, list[np.ndarray]]:
    """Write the examples of one recording; return its row of the report, its features' moments, and its attributes."""
    names, measured, found = job.preparation.attributes, [], []
    row: dict[str, Any] = {"path": item.path, "source": item.source, "label": item.label, "split": split, "kept": 0}
    total = Moments.none(job.representation.normalization_shape)
    tempi, pieces = _cut(job, split, item)
    for piece in pieces:
        if isinstance(piece, Skip):
            _add_skip(row.setdefault("skipped", []), piece)
            continue
        if isinstance(piece, Note):
            row.setdefault("notes", []).append(piece.text)
            continue
        if piece.tempo:
            found.append(piece.tempo)
        x = _features(job.representation, piece.waveform)
        total = total.merge(Moments.of(x, job.representation.normalization_shape))
        example = {
            "x": x,
            "audio": np.round(np.clip(piece.waveform, -1, 1) * 32767).astype(np.int16),
            **({"tags": list(item.tags)} if job.preparation.tags else {"label": item.label}),
            "path": item.path,
            "source": item.source,
            "start": piece.start,
        }
        if names:
            measured.append(measure_attributes(piece.waveform[None], job.representation.sample_rate, names)[0])
            example["attributes"] = measured[-1]
        attempt.write(_serialize(job, example))
        # By which copies of a recording are counted.
        row.setdefault("digest", hashlib.blake2b(example["audio"].tobytes(), digest_size=8).hexdigest())
        row["kept"] += 1
    if found and not tempi:
        tempi = [Tempo(float(np.median(found)), MEASURED)]
    if tempi:
        row["tempo"] = tempo_row(tempi)
    return row, total, measured


@dataclasses.dataclass(frozen=True)
class Note:
    """What is to be known of a recording that is taken."""

    text: str


def _cut(job: Job, split: str, item: Item) -> tuple[list[Tempo], Iterator[Slice | Skip | Note]]:
    """What is told of the recording's tempo, and what it gives; any problem with the file becomes a Skip."""
    try:
        recording = open_item(item)
        tempi = told_tempi(item, recording.seconds, _loop_chunk(item), job.slicing.meter)
    except Exception as problem:
        return [], iter([_skip(problem, item)])
    return tempi, _pieces(job, split, item, recording, tempi[0].bpm if tempi else None)


def _pieces(job: Job, split: str, item: Item, recording: Recording, bpm: float | None) -> Iterator[Slice | Skip | Note]:
    """Yield slices at their normalised level, Skips and Notes."""
    rate, length = job.representation.sample_rate, job.representation.num_samples
    shifts = job.preparation.pitch_shifts if split == "train" else (0.0,)
    try:
        own = to_mono(recording, job.preparation.channel, recording.sample_rate)
        cancelled = cancellation(recording, own, job.preparation.channel)
        if not any(np.any(block) for block in in_blocks(own)):
            yield Skip(f"silent: {cancelled}" if cancelled else "silent")
            return
        if (shortest := job.slicing.min_seconds) and is_shorter(own, recording.sample_rate, shortest):
            yield Skip(f"the sound is shorter than {1000 * shortest:g} ms (config.slicing.min_seconds)")
            return
        if cancelled:
            yield Note(cancelled)
        samples = resampled(own, recording.sample_rate, rate)
        for shift in shifts:
            for piece in job.slicing.slices(pitched(samples, rate, shift), rate, length, bpm):
                if isinstance(piece, Slice):
                    level = condition(piece.waveform, rate, job.preparation)
                    if isinstance(level, str):
                        piece = Skip(level, piece.start)
                    else:
                        piece = dataclasses.replace(piece, waveform=level)
                yield piece
    except Exception as problem:
        yield _skip(problem, item)


def _skip(problem: Exception, item: Item) -> Skip:
    """Why a file gave nothing: one that breaks a library must not stop a run over thousands of others."""
    if isinstance(problem, BadInput):
        # Without the path, files with the same problem are counted together.
        return Skip(f"unusable: {str(problem).replace(f'{item.uri} ', '')}")
    return Skip(f"failed: {type(problem).__name__}: {problem}")


def _add_skip(skipped: list[dict[str, Any]], skip: Skip) -> None:
    """Add a skip to those of a file; one with the reason of the last one is counted with it, as a day has many."""
    reason = printable(skip.reason)
    if skipped and skipped[-1]["reason"] == reason:
        skipped[-1]["times"] = skipped[-1].get("times", 1) + 1
        return
    skipped.append({"start": round(skip.start, 3), "reason": reason})


def _loop_chunk(item: Item) -> LoopChunk | None:
    if not is_file(item):
        return None
    with open_regular(item.uri) as file:
        return read_loop_chunk(file)


def _features(representation: Representation, waveform: np.ndarray) -> np.ndarray:
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return np.asarray(representations.transform(representation, waveform[None].astype(np.float32)))[0]


@functools.lru_cache(maxsize=2)
def _serializer(
    representation: Representation, label_names: tuple[str, ...], preparation: Preparation
) -> tuple[tfds.features.FeaturesDict, example_serializer.ExampleSerializer]:
    features = features_of(representation, label_names, preparation)
    return features, example_serializer.ExampleSerializer(features.get_serialized_info())


def _serialize(job: Job, example: dict[str, Any]) -> bytes:
    representation: Any = job.representation  # hashable, as its dataclass is frozen
    features, serializer = _serializer(representation, job.label_names, job.preparation)
    # Without `deterministic` the order of the features differs between processes.
    return serializer.get_tf_example(features.encode_example(example)).SerializeToString(deterministic=True)
