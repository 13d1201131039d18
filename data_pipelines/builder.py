"""The TFDS builder, which processes chunks of recordings and joins their parts to the shards of a data set."""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_builder
from tqdm import tqdm

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import SPLITS
from drumgan_jax.data_pipelines import missing, report
from drumgan_jax.data_pipelines.chunks import PROGRESS_NAME, Chunk, Job, features_of, process_chunk

# Neighbouring parts are joined up to this size; most parts of a large set already reach it and are only renamed.
_SHARD_BYTES = 2**26
# Worker processes take about 4 seconds to start; below this estimated time, this process works alone. Threads bring no
# speed-up, because decoding takes Python's lock too often.
_SECONDS_FOR_WORKERS = 10
_SECONDS_A_FILE = 0.002
_SECONDS_A_MEGABYTE = 0.02
_SECONDS_A_STRETCHED_MEGABYTE = 0.4


class AudioBuilder(dataset_builder.FileReaderBuilder):
    """Writes a data set of sliced recordings; `build` makes one with a given name.

    TFDS's own BeamBasedBuilder groups all serialised examples by shard before writing, which Beam's local runner does
    in memory. Here, workers receive lists of paths and write their own parts of shards; features, shard names and
    metadata are TFDS's.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, job: Job, chunks: Sequence[Chunk], pipeline: "Pipeline", **kwargs: Any):
        self._job = job
        self._chunks = chunks
        self._pipeline = pipeline
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Recordings sliced and written as the features of one representation, by drumgan_jax.",
            features=features_of(self._job.representation, self._job.label_names, self._job.preparation),
        )

    def write(self) -> Path:
        """Write the data set, which must not exist yet; return its version directory.

        Raises:
            BadInput: nothing was kept, or the disk cannot be written.
        """
        # Not through download_and_prepare: there is nothing to download, and the caller does the staging.
        self.data_path.mkdir(parents=True)
        self._download_and_prepare()
        self.info.write_to_directory(self.data_dir)
        return Path(self.data_dir)

    def _download_and_prepare(self) -> None:
        self._pipeline.run(self._job, self._chunks)
        parts = report.parts_by_split(Path(self._job.directory))
        if not parts.get("train"):
            raise BadInput(report.nothing_kept(Path(self._job.directory)))
        infos = [self._make_shards(split, parts[split]) for split in SPLITS if parts.get(split)]
        self.info.set_splits(tfds.core.SplitDict(infos))

    def _make_shards(self, split: str, parts: list[dict[str, Any]]) -> tfds.core.SplitInfo:
        groups = _grouped(parts)
        template = self._get_filename_template(split_name=split)
        for number, group in enumerate(groups):
            shard = Path(template.sharded_filepath(shard_index=number, num_shards=len(groups)))
            _join([Path(self._job.directory) / part["name"] for part in group], shard)
        return tfds.core.SplitInfo(
            name=split,
            shard_lengths=[sum(part["records"] for part in group) for group in groups],
            num_bytes=sum(part["bytes"] for part in parts),
            filename_template=template,
        )


class Pipeline:
    """Processes the chunks of a run in this process, in several local processes, or by a Beam runner.

    Args:
        runner: name of a Beam runner; empty for this machine.
        options: `name=value` options of that runner.
        workers: number of local processes; 0 for one per core, or only this process if there is little work or no Beam.
        show_progress: whether to draw a bar on stderr.

    Raises:
        BadInput: Beam is needed but not installed.
    """

    def __init__(self, runner: str = "", options: Sequence[str] = (), workers: int = 0, show_progress: bool = True):
        if runner or workers > 1:
            missing.require("apache_beam", "a named runner" if runner else "more than one worker")
        self._runner = runner
        self._options = [f"--{option.removeprefix('--')}" for option in options]
        self._workers = workers
        self._show_progress = show_progress

    def run(self, job: Job, chunks: Sequence[Chunk]) -> None:
        """Process all chunks.

        Raises:
            BadInput: a worker could not write, or the run failed as a whole.
        """
        files = sum(len(chunk.items) for chunk in chunks)
        workers = 0 if self._runner else self._local_workers(job, chunks)
        with _progress(Path(job.directory) / PROGRESS_NAME, files, self._show_progress):
            if workers == 1:
                for chunk in chunks:
                    process_chunk(job, chunk)
            else:
                from drumgan_jax.data_pipelines import beam_run

                beam_run.run(job, chunks, self._runner, self._options, workers)

    def _local_workers(self, job: Job, chunks: Sequence[Chunk]) -> int:
        workers = self._workers
        if not workers:
            enough = _estimated_seconds(job, chunks, _SECONDS_FOR_WORKERS) >= _SECONDS_FOR_WORKERS
            workers = _cores() if enough and missing.is_installed("apache_beam") else 1
        return min(workers, len(chunks))


def _estimated_seconds(job: Job, chunks: Sequence[Chunk], enough: float) -> float:
    """Estimated seconds of work on one core; stops counting at `enough`."""
    stretched = job.slicing.stretches or any(job.preparation.pitch_shifts)
    a_megabyte = _SECONDS_A_STRETCHED_MEGABYTE if stretched else _SECONDS_A_MEGABYTE
    seconds = 0.0
    for chunk in chunks:
        for item in chunk.items:
            size = os.path.getsize(item.uri) / 2**20 if os.path.isfile(item.uri) else 0.1
            seconds += _SECONDS_A_FILE + a_megabyte * size
            if seconds >= enough:
                return seconds
    return seconds


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def build(job: Job, chunks: Sequence[Chunk], pipeline: Pipeline, name: str, data_dir: Path) -> Path:
    """Write the data set `name` under `data_dir`; return its version directory."""
    with tfds.core.registered.skip_registration():
        builder_class = type("NamedAudioBuilder", (AudioBuilder,), {"name": name, "__module__": __name__})
    return builder_class(job=job, chunks=chunks, pipeline=pipeline, data_dir=os.fspath(data_dir)).write()


def _grouped(parts: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: list[list[dict[str, Any]]] = []
    size = _SHARD_BYTES
    for part in parts:
        if size + part["bytes"] > _SHARD_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += part["bytes"]
    return groups


def _join(parts: list[Path], shard: Path) -> None:
    """Join TFRecord files: the others are appended to the first, which is renamed."""
    with open(parts[0], "ab") as joined:
        for part in parts[1:]:
            with open(part, "rb") as file:
                shutil.copyfileobj(file, joined, 2**20)
            part.unlink()
    parts[0].replace(shard)


@contextlib.contextmanager
def _progress(path: Path, total: int, show: bool) -> Iterator[None]:
    """Show a bar on stderr that follows the size of the progress file, to which all processes and machines write."""
    done = threading.Event()
    path.touch()

    def follow(bar: tqdm) -> None:
        while not done.wait(0.5):
            bar.update(min(path.stat().st_size, total) - bar.n)
        bar.update(min(path.stat().st_size, total) - bar.n)

    with tqdm(total=total, unit="file", desc="prepare", disable=not show) as bar:
        thread = threading.Thread(target=follow, args=(bar,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
