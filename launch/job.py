"""A job: one verb to be run elsewhere, and what it needs there. Backends make of it what their scheduler takes."""

import dataclasses
import math
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from drumgan_jax.core import host_log
from drumgan_jax.core.errors import BadInput, listed, shown
from drumgan_jax.core.places import is_remote, scheme_of

if TYPE_CHECKING:
    from drumgan_jax.planning.topologies import Topology

# Verbs that run for long, whose flags `command` knows.
VERBS = ("train", "fit", "evaluate")
# EX_TEMPFAIL of sysexits.h: run it again.
AGAIN = 75
# As Kubernetes, Slurm and Google name their objects; what backends append must fit in 63 characters.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OVERRIDE = re.compile(r"--(no)?config\.[\w.]+(=.*)?", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Job:
    """One verb on some hosts.

    Attributes:
        name: of the job, for its scheduler; of small letters, digits and hyphens.
        verb: train, fit or evaluate.
        config: its name and variant, or path on the hosts; empty for evaluate.
        workdir: the run directory, in a bucket or on a disk that all hosts share.
        data: the data set; empty for that of the config or the run.
        overrides: as on the command line, --config.section.field=value; for evaluate, its other flags.
        chips: a topology such as v5e:4x8 or h100:2x8, from which the hosts follow; empty for what each host has.
        hosts: how many, if `chips` is empty.
        environment: variables of the processes.
        hours: after which the scheduler ends it, to be run again; 0 for no limit.
        image: of a container with this package; only some backends need one.

    Raises:
        BadInput: a field is unfit.
    """

    name: str
    config: str
    workdir: str
    verb: str = "train"
    data: str = ""
    overrides: tuple[str, ...] = ()
    chips: str = ""
    hosts: int = 1
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hours: float = 0.0
    image: str = ""

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.verb not in VERBS:
            raise BadInput(f"the verb {shown(self.verb)} is not launched; {listed(VERBS)} are.")
        if not self.workdir or (not self.config and self.verb != "evaluate"):
            raise BadInput("a job needs a config and a workdir.")
        if self.chips:
            object.__setattr__(self, "hosts", self.topology.hosts)
        if self.hosts < 1 or not math.isfinite(self.hours) or self.hours < 0.0:
            raise BadInput(
                f"hosts={self.hosts} and hours={self.hours}; there is at least one host, and no less than 0 h."
            )
        if odd := [name for name in self.environment if not _VARIABLE.fullmatch(name)]:
            raise BadInput(f"{shown(odd[0])} is no name of a variable.")
        if odd := [one for one in self.overrides if self.verb != "evaluate" and not _OVERRIDE.fullmatch(one)]:
            raise BadInput(f"{shown(odd[0])} is no override; write --config.section.field=value.")
        if self.hosts > 1 and self.verb != "train":
            raise BadInput(f"{self.verb} runs on one host, and {self.hosts} were asked for.")

    @property
    def topology(self) -> "Topology":
        """The chips; BadInput if there are none of that kind or shape."""
        # It imports JAX, which the command line does without until it is read.
        from drumgan_jax.planning.topologies import Topology

        return Topology.parse(self.chips)

    @property
    def command(self) -> list[str]:
        """What each host runs; how a process finds the others is the backend's."""
        place = "--run" if self.verb == "evaluate" else "--workdir"
        data = ("--data" if self.verb == "evaluate" else "--config.data.dir") if self.data else ""
        return [
            "drumgan",
            self.verb,
            *([f"--config={self.config}"] if self.config else []),
            f"{place}={self.workdir}",
            *([f"{data}={self.data}"] if data else []),
            *self.overrides,
        ]

    @property
    def variables(self) -> dict[str, str]:
        """The variables of each host's process: with the job's own, where its output is kept."""
        # A measurement leaves the run as it is.
        kept = {} if self.verb == "evaluate" else {host_log.VARIABLE: f"{self.workdir}/{host_log.FOLDER}"}
        return {**kept, **self.environment}

    def check_shared(self, backend: str) -> None:
        """Raise BadInput unless the run directory is in a bucket: the hosts of a backend share no disk."""
        for flag, path in (("--workdir", self.workdir), ("--data", self.data)):
            if path and not is_remote(path):
                raise BadInput(f"{flag}={path} is on no disk that hosts of {backend} share; give one in gs://.")
            if path and flag == "--workdir" and scheme_of(path) != "gs":
                raise BadInput(f"{flag}={path} cannot be a run directory; give one in gs://.")


def check_name(name: str) -> None:
    """Raise BadInput if schedulers cannot take a job's name."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"the job's name is {shown(name)}; it has up to 40 small letters, digits and hyphens, and begins with a"
            " letter."
        )


@dataclasses.dataclass(frozen=True)
class Rendered:
    """What a backend makes of a job: nothing has been written or asked yet.

    Attributes:
        name: of the job.
        files: their text by name, to be written to one folder; commands find it as {folder}.
        checks: commands that must succeed before anything is started, each with what its failure means.
        commands: that start the job, in order.
        state: a command that prints words, or nothing if there is no job of this name.
        ended: what the first of these words that is printed says: the exit status that the job ended with.
        cancel: a command that stops the job, and removes what is left of one that has ended.
    """

    name: str
    files: Mapping[str, str]
    checks: tuple[tuple[tuple[str, ...], str], ...]
    commands: tuple[tuple[str, ...], ...]
    state: tuple[str, ...]
    ended: Mapping[str, int]
    cancel: tuple[str, ...]

    def text(self) -> str:
        """All of it, to be read."""
        parts = [f"--- {name}\n{text}" for name, text in self.files.items()]
        return "\n".join([*parts, *(f"$ {shlex.join(one)}" for one in self.commands)])
