"""The TFDS builder, which processes chunks of recordings and joins their parts to the shards of a data set."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_builder

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import SPLITS
from drumgan_jax.data_pipelines import missing, progress, report
from drumgan_jax.data_pipelines.chunks import Chunk, Job, features_of, process_chunk
from drumgan_jax.data_pipelines.engines import DIRECT, Engine

# A split up to this size is joined to one shard, by this process. The parts of a larger one are its shards, and are
# only renamed, since they may lie on another machine's disk.
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
        report.check_complete(Path(self._job.directory), len(self._chunks))
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
    """Processes the chunks of a run in this process, in several local processes, or on a Beam engine.

    Args:
        engine: what processes them. Alone in this process if there is little work, or no Beam.
        show_progress: whether to draw a bar on stderr.

    Raises:
        BadInput: the engine cannot be reached, or does not know an option.
    """

    def __init__(self, engine: Engine, show_progress: bool = True):
        if engine.runner:
            from drumgan_jax.data_pipelines import engine_checks

            engine_checks.check_engine(engine)
        self._engine = engine
        self._show_progress = show_progress

    def run(self, job: Job, chunks: Sequence[Chunk]) -> None:
        """Process all chunks.

        Raises:
            BadInput: a worker could not write, or the run failed as a whole.
        """
        files = sum(len(chunk.items) for chunk in chunks)
        workers = self._local_workers(job, chunks) if self._engine.is_local else 0
        with progress.followed(Path(job.directory), files, self._show_progress):
            if workers == 1 and self._engine.runner != DIRECT:
                for chunk in chunks:
                    process_chunk(job, chunk)
            else:
                from drumgan_jax.data_pipelines import beam_run

                beam_run.run(job, chunks, self._engine, workers)

    def _local_workers(self, job: Job, chunks: Sequence[Chunk]) -> int:
        workers = self._engine.workers
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
    """The parts of each shard."""
    return [parts] if sum(part["bytes"] for part in parts) <= _SHARD_BYTES else [[part] for part in parts]


def _join(parts: list[Path], shard: Path) -> None:
    """Join TFRecord files: the others are appended to the first, which is renamed."""
    with open(parts[0], "ab") as joined:
        for part in parts[1:]:
            with open(part, "rb") as file:
                shutil.copyfileobj(file, joined, 2**20)
            part.unlink()
    parts[0].replace(shard)
