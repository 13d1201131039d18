"""What is asked of an engine before a run: whether it answers, and whether it knows the options."""

import contextlib
import difflib
import io
from collections.abc import Iterator
from typing import Any

from drumgan_jax.core.errors import BadInput, brief, first_line
from drumgan_jax.data_pipelines.beam_run import PipelineOptions, quiet
from drumgan_jax.data_pipelines.engines import DASK, WITH_OWN_OPTIONS, Engine

_SECONDS = 10


def check_engine(engine: Engine) -> None:
    """Check that a named engine can be reached and knows its options; starts no work.

    Raises:
        BadInput: there is nothing at its address, it has no workers, or an option is unknown or has a bad value.
    """
    with quiet(engine):
        if engine.runner == DASK:
            # On import, Dask's options become known to Beam.
            from apache_beam.runners.dask import dask_runner

            _check_options(engine, set())
            options = PipelineOptions(list(engine.options)).view_as(dask_runner.DaskOptions)
            if options.address:
                _ask_dask(options.address)
            return
        endpoint = engine.option("--job_endpoint")
        described = _ask_job_service(endpoint) if endpoint and endpoint != "embed" else set()
        _check_options(engine, described)


def _check_options(engine: Engine, described: set[str]) -> None:
    """Check names and values; `described` are the names that a job service knows beside Beam's own."""
    parsers: list[Any] = []
    options = PipelineOptions(list(engine.options))
    written = io.StringIO()
    try:
        # Beam ends the process, with a page of usage, where a value is wrong.
        with contextlib.redirect_stderr(written):
            options.get_all_options(add_extra_args_fn=parsers.append)
    except SystemExit:
        last = (written.getvalue().strip().splitlines() or ["an option is wrong"])[-1]
        raise BadInput(f"Beam does not take an option ({brief(last.partition('error: ')[2] or last)}).") from None
    if engine.runner in WITH_OWN_OPTIONS:
        return
    known = {*parsers[0]._option_string_actions, *described}
    for option in engine.options:
        name = option.partition("=")[0]
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=2)
            hint = f"is {' or '.join(near)} meant?" if near else "correct it, or leave it out."
            raise BadInput(f"{brief(name)} is no option of Beam's {engine.runner}; {hint}")


def _ask_dask(address: str) -> None:
    import distributed

    try:
        # With one that is none, a client fails again when the process ends.
        distributed.comm.resolve_address(address)
        with distributed.Client(address, timeout=_SECONDS, set_as_default=False) as client:
            workers = client.scheduler_info(n_workers=-1)["workers"]
    except (OSError, ValueError) as error:
        raise BadInput(
            f"no Dask scheduler answers at {brief(address)} ({first_line(error)}); start one with `dask scheduler`, or"
            " correct --dask_client_address."
        ) from error
    if not workers:
        raise BadInput(f"the Dask scheduler at {brief(address)} has no workers; start some: dask worker {address}")


def _ask_job_service(endpoint: str) -> set[str]:
    """The names of the options that a job service has of its own."""
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    with _channel(endpoint) as channel:
        service = beam_job_api_pb2_grpc.JobServiceStub(channel)
        try:
            told = service.DescribePipelineOptions(beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=_SECONDS)
        except grpc.RpcError as error:
            raise BadInput(
                f"no Beam job service answers at {brief(endpoint)} ({_said(error)}); start one there, or correct"
                " --job_endpoint=HOST:PORT."
            ) from error
    return {f"--{option.name}" for option in told.options}


@contextlib.contextmanager
def _channel(endpoint: str) -> Iterator[Any]:
    import grpc

    channel = grpc.insecure_channel(endpoint)
    try:
        yield channel
    finally:
        channel.close()


def _said(error: Any) -> str:
    return f"{error.code().name}: {brief(error.details() or 'no details')}"
