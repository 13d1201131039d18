"""Processing of chunks of recordings with Apache Beam, in several local processes or by a named runner."""

import contextlib
import logging
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.chunks import Chunk, Job, process_chunk

# On import, Beam warns about an optional Google package.
_root_level = logging.getLogger().level
logging.getLogger().setLevel(logging.ERROR)
try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment
finally:
    logging.getLogger().setLevel(_root_level)


def run(job: Job, chunks: Sequence[Chunk], runner: str, options: Sequence[str], workers: int) -> None:
    """Process all chunks.

    Args:
        job: settings shared by all chunks.
        chunks: the chunks to process.
        runner: name of a Beam runner; empty for local processes.
        options: options of that runner.
        workers: number of local processes.

    Raises:
        BadInput: a worker could not write, or the run failed as a whole.
    """
    where, how = (runner, PipelineOptions(list(options))) if runner else _local(workers)
    with _quiet_beam(), _watched_workers():
        try:
            with beam.Pipeline(runner=where, options=how) as pipeline:
                _ = (
                    pipeline
                    | "Chunks" >> beam.Create(chunks)
                    | "Spread" >> beam.Reshuffle()
                    | "Process" >> beam.Map(partial(process_chunk, job))
                )
        except Exception as error:
            raise _as_bad_input(error) from error


def _local(workers: int) -> tuple[Any, PipelineOptions]:
    """Beam's Python runner; the default runner would download another one, written in Go."""
    # `exec` makes the worker itself a child of this process, without a shell in between.
    command = f"exec {shlex.quote(sys.executable)} -m drumgan_jax.data_pipelines.worker"
    runner = fn_runner.FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(command))
    return runner, PipelineOptions([f"--direct_num_workers={workers}"])


@contextlib.contextmanager
def _quiet_beam() -> Iterator[None]:
    """Limit Beam's loggers to errors."""
    logger = logging.getLogger("apache_beam")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _watched_workers() -> Iterator[None]:
    """End the run if a worker process dies; Beam itself would wait forever."""
    died: list[str] = []
    previous = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        name = arguments.thread.name if arguments.thread else ""
        if name == "run_worker":  # Beam's name for the thread that waits for the process.
            died.append(str(arguments.exc_value))
            # Only a real signal wakes the main thread, which waits for a lock.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        elif name != "beam_control_read":  # The thread that reads from the worker, and fails with it.
            previous(arguments)

    threading.excepthook = hook
    try:
        yield
    except KeyboardInterrupt:
        if not died:
            raise
        raise BadInput(
            f"a worker process was killed ({died[0]}), most likely for lack of memory; "
            "use fewer workers with --workers."
        ) from None
    finally:
        threading.excepthook = previous


def _as_bad_input(error: Exception) -> Exception:
    """The BadInput of a worker, which Beam passes on as text in its own exception; otherwise the error itself."""
    text = str(error)
    _, found, sentence = text.rpartition("drumgan_jax.core.errors.BadInput: ")
    if not found and not isinstance(error, BadInput):
        return error
    sentence = (sentence or text).splitlines()[0]
    return BadInput(sentence.partition(" [while running")[0])
