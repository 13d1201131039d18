"""Processing of chunks of recordings with Apache Beam, in several local processes or on a named engine."""

import contextlib
import logging
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from drumgan_jax.core.errors import BadInput, brief
from drumgan_jax.data_pipelines.chunks import Chunk, Job, process_chunk
from drumgan_jax.data_pipelines.engines import DASK, Engine

# On import, Beam warns about an optional Google package.
_root_level = logging.getLogger().level
logging.getLogger().setLevel(logging.ERROR)
try:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.runners.runner import PipelineState
    from apache_beam.transforms.environments import SubprocessSDKEnvironment
finally:
    logging.getLogger().setLevel(_root_level)

# The last line of a traceback, which Beam passes on as text.
_RAISED = re.compile(r"[A-Za-z_][\w.]*(Error|Exception): .*")


def run(job: Job, chunks: Sequence[Chunk], engine: Engine, workers: int) -> None:
    """Process all chunks.

    Args:
        job: settings shared by all chunks.
        chunks: the chunks to process.
        engine: what processes them.
        workers: number of local processes, where those do.

    Raises:
        BadInput: a worker could not write, or the engine failed as a whole.
    """
    with quiet(engine), _watched_workers():
        try:
            if engine.runner == DASK:
                from drumgan_jax.data_pipelines import dask_run

                dask_run.run(partial(_pipeline, job, chunks), engine)
                return
            where, options = _local(workers) if engine.is_local else (engine.runner, [])
            _wait(_pipeline(job, chunks, where, [*options, *engine.options]).run())
        except Exception as error:
            if (told := _told(error)) is not None:
                raise BadInput(told) from error
            if engine.is_local:
                raise
            raise BadInput(
                f"{engine.runner} did not finish the run ({_reason(error)}); the engine's own log has more."
            ) from error


def _pipeline(job: Job, chunks: Sequence[Chunk], runner: Any, options: Sequence[str]) -> beam.Pipeline:
    """The pipeline: an element is the paths of one chunk, and gives nothing."""
    pipeline = beam.Pipeline(runner=runner, options=PipelineOptions(list(options)))
    _ = (
        pipeline
        | "Chunks" >> beam.Create(chunks)
        | "Spread" >> beam.Reshuffle()
        | "Process" >> beam.Map(partial(process_chunk, job))
    )
    return pipeline


def _wait(result: Any) -> None:
    """Wait for the end; an engine would go on with a run that was interrupted here."""
    try:
        state = result.wait_until_finish()
    except KeyboardInterrupt:
        with contextlib.suppress(Exception):
            result.cancel()
        raise
    if state != PipelineState.DONE:
        raise RuntimeError(f"its state is {state}")


def _local(workers: int) -> tuple[Any, list[str]]:
    """Beam's Python runner; the default runner would download another one, written in Go."""
    # `exec` makes the worker itself a child of this process, without a shell in between.
    command = f"exec {shlex.quote(sys.executable)} -m drumgan_jax.data_pipelines.worker"
    runner = fn_runner.FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(command))
    return runner, [f"--direct_num_workers={workers}"]


@contextlib.contextmanager
def quiet(engine: Engine) -> Iterator[None]:
    """Limit Beam's loggers to errors; an engine logs all tracebacks of one, and its exception says enough."""
    names, limit = ["apache_beam"], logging.ERROR
    if not engine.is_local:
        # Beam logs what a job service sends by the root logger.
        names, limit = ["apache_beam", "distributed", "distributed.client", ""], logging.CRITICAL + 1
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(limit)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
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


def _told(error: Exception) -> str | None:
    """The sentence of a worker's BadInput, which Beam passes on as text in its own exception; None of another error."""
    text = str(error)
    _, found, sentence = text.rpartition("drumgan_jax.core.errors.BadInput: ")
    if not found and not isinstance(error, BadInput):
        return None
    sentence = (sentence or text).splitlines()[0]
    return sentence.partition(" [while running")[0]


def _reason(error: Exception) -> str:
    """What an engine's error says, on one line: of a traceback within it, what was raised last."""
    details = getattr(error, "details", None)  # gRPC's errors
    text = str(details() if callable(details) else error) or type(error).__name__
    raised = [line for line in map(str.strip, text.splitlines()) if _RAISED.fullmatch(line)]
    return brief((raised[-1] if raised else text).partition(" [while running")[0].strip().rstrip("."))
