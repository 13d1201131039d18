"""The TFDS builder: a Beam pipeline over chunks of recordings, whose parts become the shards of a data set."""

import contextlib
import logging
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_builder
from tqdm import tqdm

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines import report
from drumgan_jax.data_pipelines.chunks import PROGRESS_NAME, Chunk, Job, features_of, process_chunk

# Neighbouring parts are joined up to this size; most parts of a large set reach it by themselves and are just renamed.
_SHARD_BYTES = 2**26
# Worker processes take about 4 seconds to start; below this estimate of the work, this process does it alone. Threads
# do no more than one: decoding asks for Python's lock too often.
_SECONDS_FOR_WORKERS = 10
_SECONDS_A_FILE = 0.002
_SECONDS_A_MEGABYTE = 0.02
_SECONDS_A_STRETCHED_MEGABYTE = 0.4

# Beam warns of an optional Google package when it is imported.
_root_level = logging.getLogger().level
logging.getLogger().setLevel(logging.ERROR)
try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment
finally:
    logging.getLogger().setLevel(_root_level)


class AudioBuilder(dataset_builder.FileReaderBuilder):
    """Writes a data set of sliced recordings; `build` makes one of a given name.

    TFDS's own BeamBasedBuilder groups all serialised examples by shard before it writes them, which Beam's local runner
    does in memory. Here the pipeline's elements are lists of paths, and each writes its own part of a shard; features,
    names of shards and metadata are TFDS's.
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
            features=features_of(self._job.representation, self._job.label_names),
        )

    def write(self) -> Path:
        """Write the data set, which must not exist yet; return its version directory.

        Raises:
            BadInput: nothing was kept, or the disk refuses.
        """
        # Not through download_and_prepare: there is nothing to download, and staging is the caller's.
        self.data_path.mkdir(parents=True)
        self._download_and_prepare()
        self.info.write_to_directory(self.data_dir)
        return Path(self.data_dir)

    def _download_and_prepare(self) -> None:
        self._pipeline.run(self._job, self._chunks)
        parts = report.parts_by_split(Path(self._job.directory))
        if not parts.get("train"):
            raise BadInput(report.nothing_kept(Path(self._job.directory)))
        infos = [self._make_shards(split, parts[split]) for split in ("train", "test") if parts.get(split)]
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
    """How a Beam run is made: where, with how many processes, and how its progress is shown.

    Args:
        runner: name of a Beam runner; empty for local processes.
        options: `name=value` options of that runner.
        workers: local processes; 0 for one a core, or this process alone where there is little to do.
        show_progress: whether to draw a bar on stderr.
    """

    def __init__(self, runner: str = "", options: Sequence[str] = (), workers: int = 0, show_progress: bool = True):
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
        runner, options = self._named() if self._runner else self._local(job, chunks)
        progress = _progress(Path(job.directory) / PROGRESS_NAME, files, self._show_progress)
        with _quiet_beam(), progress, _watched_workers():
            try:
                with beam.Pipeline(runner=runner, options=options) as pipeline:
                    _ = (
                        pipeline
                        | "Chunks" >> beam.Create(chunks)
                        | "Spread" >> beam.Reshuffle()
                        | "Process" >> beam.Map(partial(process_chunk, job))
                    )
            except Exception as error:
                raise _as_bad_input(error) from error

    def _local(self, job: Job, chunks: Sequence[Chunk]) -> tuple[Any, PipelineOptions]:
        """Beam's Python runner: the default one would download another, written in Go."""
        workers = self._workers
        if not workers:
            workers = _cores() if _estimated_seconds(job, chunks, _SECONDS_FOR_WORKERS) >= _SECONDS_FOR_WORKERS else 1
        workers = min(workers, len(chunks))
        if workers == 1:
            return fn_runner.FnApiRunner(), PipelineOptions([])
        # `exec`, so that the worker itself is this process's child, not a shell between them.
        command = f"exec {shlex.quote(sys.executable)} -m drumgan_jax.data_pipelines.worker"
        runner = fn_runner.FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(command))
        return runner, PipelineOptions([f"--direct_num_workers={workers}"])

    def _named(self) -> tuple[str, PipelineOptions]:
        return self._runner, PipelineOptions(self._options)


def _estimated_seconds(job: Job, chunks: Sequence[Chunk], enough: float) -> float:
    """Of work on one core, counted until there is `enough`."""
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
    """TFRecord files joined are a TFRecord file: the first is renamed, the others are appended to it."""
    with open(parts[0], "ab") as whole:
        for part in parts[1:]:
            with open(part, "rb") as file:
                shutil.copyfileobj(file, whole, 2**20)
            part.unlink()
    parts[0].replace(shard)


@contextlib.contextmanager
def _quiet_beam() -> Iterator[None]:
    """Beam's loggers kept to errors."""
    logger = logging.getLogger("apache_beam")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _watched_workers() -> Iterator[None]:
    """Ends the run when a worker process has died, for which Beam would wait for ever."""
    died: list[str] = []
    previous = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        name = arguments.thread.name if arguments.thread else ""
        if name == "run_worker":  # Beam's name for the thread that waits for the process.
            died.append(str(arguments.exc_value))
            # A true signal: nothing less wakes the main thread, which waits for a lock.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        elif name != "beam_control_read":  # The thread that hears from the worker, and fails with it.
            previous(arguments)

    threading.excepthook = hook
    try:
        yield
    except KeyboardInterrupt:
        if not died:
            raise
        raise BadInput(
            f"a worker process was ended from outside ({died[0]}), most likely for want of memory; "
            "use fewer of them with --workers."
        ) from None
    finally:
        threading.excepthook = previous


@contextlib.contextmanager
def _progress(path: Path, total: int, show: bool) -> Iterator[None]:
    """A bar on stderr that follows the size of the progress file, whichever processes or machines write it."""
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


def _as_bad_input(error: Exception) -> Exception:
    """The BadInput of a worker, which Beam hands on as text in an exception of its own; else the error itself."""
    text = str(error)
    _, found, sentence = text.rpartition("drumgan_jax.core.errors.BadInput: ")
    if not found and not isinstance(error, BadInput):
        return error
    sentence = (sentence or text).splitlines()[0]
    return BadInput(sentence.partition(" [while running")[0])
