"""drumgan train --config=NAME:VARIANT --workdir=RUN [--config.section.field=value ...]

Trains a config on the data set in config.data.dir and writes the run directory RUN. The same command resumes a run that
was stopped or killed. The exit status is 0 if the run is complete, 75 if it was stopped before the end or one of its
processes was lost (the same command goes on), and 2 if something is to be mended first. With --profile=A..B it says
which operations of the steps A to B take the most time.

Of several processes each runs as a worker of a small parent. If one dies, hangs or fails, all end within
--config.train.host_timeout seconds, and all say which it was.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import flags, logging

from drumgan_jax.commands.config_flag import define_config, with_paths
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.core.places import place
from drumgan_jax.core.processes import HOST_TIMEOUT, place_given
from drumgan_jax.training.supervised import Pulse, pulse_of_worker

CONFIG = define_config()
WORKDIR = define_path("workdir", None, "the run directory to create or resume.", required=True, bucket=True)
DISTRIBUTED = flags.DEFINE_bool("distributed", False, "find the run's other processes, as TPU pods and Slurm allow.")
PROFILE = flags.DEFINE_string(
    "profile", None, "steps A..B: write their trace to RUN/profile and print the ten dearest operations."
)
flags.mark_flag_as_required("config")


def main(argv: Sequence[str]) -> None:
    """Train; see the module's docstring."""
    del argv
    pulse = pulse_of_worker()
    if pulse is not None:
        # Made before stderr was the parent's again.
        logging.get_absl_handler().python_handler.setStream(sys.stderr)
    if pulse is None and _is_one_of_several():
        from drumgan_jax.training.supervisor import supervise

        timeout = CONFIG.value.get("train", {}).get("host_timeout", HOST_TIMEOUT)
        # One that is invalid is refused by the worker.
        timeout = timeout if timeout >= 1.0 else HOST_TIMEOUT
        # As `cli.command` starts it: with the interpreter's own options.
        sys.exit(supervise([sys.executable, *sys.orig_argv[1:]], place(WORKDIR.value), timeout))
    try:
        stopped = _train(pulse)
    except Exception as error:
        if pulse is None:
            raise
        sys.exit(pulse.failed(error))
    if stopped == "preempted":
        # EX_TEMPFAIL of sysexits.h tells launchers to run the same command again.
        sys.exit(75)


def _is_one_of_several() -> bool:
    place = place_given()
    return DISTRIBUTED.value or (place is not None and place.count > 1)


def _train(pulse: Pulse | None) -> str:
    """Train in this process; the reason for stopping."""
    from drumgan_jax.core import distributed
    from drumgan_jax.core.errors import BadInput
    from drumgan_jax.training.fitting import FITS
    from drumgan_jax.training.loop import train
    from drumgan_jax.training.profiling import ProfiledSteps
    from drumgan_jax.training.window import TrainingDiverged

    if CONFIG.value.get("task", {}).get("kind") in FITS:
        raise BadInput("this config is fitted, not trained; use drumgan fit with the same flags.")
    profile = None if PROFILE.value is None else ProfiledSteps.parse(PROFILE.value)
    distributed.join(automatic=DISTRIBUTED.value, watched=pulse is not None)
    if pulse is not None:
        pulse.joined(*distributed.attempt())
    try:
        return train(with_paths(CONFIG.value), WORKDIR.value, profile, pulse.at if pulse is not None else None).stopped
    except TrainingDiverged as problem:
        raise BadInput(f"{problem} At half the learning rate: {slower(sys.argv, CONFIG.value)}") from problem


def slower(command: Sequence[str], config: Mapping[str, Any]) -> str:
    """The command line that goes on with half the learning rates of a config.

    Args:
        command: that was given, with its program and verb.
        config: as it was with that.
    """
    arguments = command[2:] if command[1:2] == ["train"] else command[1:]
    kept = [one for one in arguments if not re.match(r"--?config\.optimizer\.\w+\.learning_rate[.\w]*=", one)]
    rates = [
        f"--config.optimizer.{player}.{path}={value}"
        for player, settings in config["optimizer"].items()
        for path, value in _halved("learning_rate", settings["learning_rate"])
    ]
    return shlex.join(["drumgan", "train", *kept, *rates])


def _halved(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Paths and halves of a learning rate: a number, or the rates of a schedule."""
    if isinstance(value, Mapping) or hasattr(value, "items"):
        for name in ("value", "start", "end", "levels"):
            if name in value:
                yield from _halved(f"{path}.{name}", value[name])
    elif isinstance(value, (tuple, list)):
        yield path, f"({','.join(f'{one / 2:g}' for one in value)},)"
    else:
        yield path, f"{value / 2:g}"
