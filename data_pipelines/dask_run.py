"""A pipeline on a Dask cluster, by Beam's runner, which itself waits for ever where all workers are lost."""

from collections.abc import Callable
from typing import Any

import distributed
from apache_beam.runners.dask.dask_runner import DaskRunner
from distributed.scheduler import KilledWorker

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.engines import Engine

_SECONDS_BETWEEN_LOOKS = 5
_SECONDS_WITHOUT_WORKERS = 60


def run(pipeline: Callable[[Any, list[str]], Any], engine: Engine) -> None:
    """Run a pipeline and wait for its end; what has not begun is cancelled if that is interrupted.

    Args:
        pipeline: function from a runner and Beam's options to the pipeline.
        engine: the address of the cluster, and other options; without an address, a cluster on this machine.

    Raises:
        BadInput: a worker was killed at one chunk again and again, or all workers were lost for good.
    """
    result = pipeline(DaskRunner(), [*_partitions(engine), *engine.options]).run()
    try:
        _wait(result)
    except KilledWorker as error:
        raise BadInput(
            "workers of the Dask cluster were killed again and again at one chunk, most likely for lack of memory; give"
            " them more, or fewer threads each."
        ) from error
    finally:
        if any(not future.done() for future in result.futures):
            result.cancel()
        result.client.close()


def _partitions(engine: Engine) -> list[str]:
    """Dask takes 128 elements at a time, which are all chunks of many a run: one worker would do all."""
    own = any(engine.option(f"--dask_{name}") is not None for name in ("npartitions", "partition_size"))
    return [] if own else ["--dask_partition_size=1"]


def _wait(result: Any) -> None:
    """Wait for the end, and look now and then whether there are workers."""
    without = 0
    while True:
        try:
            distributed.wait(result.futures, timeout=_SECONDS_BETWEEN_LOOKS)
            break
        except TimeoutError:
            workers = result.client.scheduler_info(n_workers=-1)["workers"]
            without = 0 if workers else without + _SECONDS_BETWEEN_LOOKS
            if without >= _SECONDS_WITHOUT_WORKERS:
                raise BadInput(
                    "the Dask cluster has lost all its workers, and none came back within a minute; start some, and run"
                    " the same command again."
                ) from None
    # Raises what a worker raised.
    result.wait_until_finish()
