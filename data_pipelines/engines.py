"""The engines that process chunks: which there are, by which names, and with which of Beam's options."""

import dataclasses
import difflib
from collections.abc import Sequence

from drumgan_jax.core.errors import BadInput, brief, shown
from drumgan_jax.data_pipelines import missing

LOCAL, DIRECT, DASK, PORTABLE = "", "DirectRunner", "DaskRunner", "PortableRunner"
RUNNERS = (DASK, PORTABLE, DIRECT, "FlinkRunner", "SparkRunner", "PrismRunner", "DataflowRunner")
# These start a job service of their own if they are given none, and only that service knows all of their options.
WITH_OWN_OPTIONS = ("FlinkRunner", "SparkRunner", "PrismRunner")
_DASK_ADDRESS, _JOB_ENDPOINT = "--dask_client_address", "--job_endpoint"


@dataclasses.dataclass(frozen=True)
class Engine:
    """What processes the chunks of a run.

    Attributes:
        runner: one of RUNNERS; empty for this machine, with Beam only where it is of use.
        options: Beam's options, `--name=value` or `--name`.
        workers: processes of this machine; 0 for as many as useful.
    """

    runner: str = LOCAL
    options: tuple[str, ...] = ()
    workers: int = 0

    @property
    def is_local(self) -> bool:
        """Whether processes of this machine, which the run starts itself, do the work."""
        return self.runner in (LOCAL, DIRECT)

    def option(self, name: str) -> str | None:
        """The value of an option, by its name with dashes; the last counts, as for Beam."""
        values = [option.removeprefix(f"{name}=") for option in self.options if option.startswith(f"{name}=")]
        return values[-1] if values else None


def engine_of(runner: str, options: Sequence[str], workers: int) -> Engine:
    """The engine of a command's words, checked as far as is possible without Beam.

    Args:
        runner: a name of RUNNERS, in any case and also without "Runner"; empty for this machine.
        options: Beam's options, `name=value` or `name`, also with dashes.
        workers: processes of this machine; 0 for as many as useful.

    Raises:
        BadInput: there is no such runner, an option is not for it, or a library is not installed.
    """
    engine = Engine(_named(runner), tuple(map(_dashed, options)), workers)
    _check_options(engine)
    if engine.runner or workers > 1:
        missing.require("apache_beam", f"--runner={engine.runner}" if engine.runner else "more than one worker")
    if engine.runner == DASK:
        for module in ("dask", "distributed"):
            missing.require(module, f"--runner={DASK}", extra="dask")
    return engine


def _named(runner: str) -> str:
    names = {name.lower(): name for name in RUNNERS}
    short = {name.removesuffix("runner"): full for name, full in names.items()}
    asked = runner.strip().lower()
    if not asked:
        return LOCAL
    if found := names.get(asked) or short.get(asked):
        return found
    near = difflib.get_close_matches(asked.removesuffix("runner"), short, n=2, cutoff=0.5)
    hint = f"is {' or '.join(near)} meant? There are" if near else "there are"
    raise BadInput(f"{shown(runner)} is no runner; {hint} {', '.join(short)}.")


def _dashed(option: str) -> str:
    name = option.strip().removeprefix("--")
    if not name or name.startswith(("=", "-")):
        raise BadInput(f"{shown(option)} is no option of Beam; write it as name=value.")
    return f"--{name}"


def _check_options(engine: Engine) -> None:
    if not engine.runner and engine.options:
        raise BadInput(f"{brief(engine.options[0])} is for a Beam runner; name one with --runner.")
    if engine.option(_DASK_ADDRESS) is not None and engine.runner != DASK:
        raise BadInput(f"{_DASK_ADDRESS} is for Dask; add --runner=dask, or leave the address out.")
    takes_endpoint = (PORTABLE, *WITH_OWN_OPTIONS)
    if engine.option(_JOB_ENDPOINT) is not None and engine.runner not in takes_endpoint:
        raise BadInput(f"{_JOB_ENDPOINT} is for {', '.join(takes_endpoint)}; name one with --runner, or leave it out.")
    if engine.runner == PORTABLE and not engine.option(_JOB_ENDPOINT):
        raise BadInput(f"--runner={PORTABLE} needs the address of a Beam job service: {_JOB_ENDPOINT}=HOST:PORT.")
    if engine.workers and not engine.is_local:
        raise BadInput(
            f"--workers is of processes on this machine, and {engine.runner} has workers of its own; leave it out."
        )
