"""Jobs on TPU VMs by gcloud: a queued resource is asked for, set up, used, and asked for again when it is taken away.

Whoever launches stays until the end: it asks how the resource is, and deletes it when the training has ended.
"""

import collections
import dataclasses
import re
import shlex
import subprocess
import time
from collections.abc import Callable

from drumgan_jax.core.errors import BadInput, brief
from drumgan_jax.launch.job import AGAIN, Job

# By the chip: how Google names a slice, how many of its units a chip is, and the image of its machines.
_TYPES = {"v5e": ("v5litepod", 1), "v5p": ("v5p", 2), "v6e": ("v6e", 1)}
_RUNTIMES = {"v5e": "v2-alpha-tpuv5-lite", "v5p": "v2-alpha-tpuv5", "v6e": "v2-alpha-tpuv6e"}
# Their Python is older than ours.
_SETUP = (
    "python3 -m pip install --quiet --user uv && ~/.local/bin/uv venv --quiet --allow-existing --python=3.12 ~/venv"
    " && ~/.local/bin/uv pip install --quiet --python=$HOME/venv 'drumgan-jax[storage,tensorboard]' 'jax[tpu]'"
)
_STOP = (
    "pkill -TERM -f '[d]rumgan {verb}'; for n in $(seq 60); do pgrep -f '[d]rumgan {verb}' > /dev/null || break;"
    " sleep 2; done; pkill -KILL -f '[d]rumgan {verb}'; true"
)
# What a host prints of the status of its command: gcloud does not hand it on.
_STATUS, _STATUSES = "drumgan-status", re.compile(r"drumgan-status=(\d+)")
_READY, _ENDED = "ACTIVE", ("FAILED", "SUSPENDED", "SUSPENDING", "DELETING", "")
_POLL, _TRIES = 30.0, 4

Say = Callable[[str], None]
# Runs a command, and tells its lines as they come to the second argument.
Ask = Callable[[list[str], Say], "subprocess.CompletedProcess[str]"]


@dataclasses.dataclass(frozen=True)
class Site:
    """What Google needs to know besides.

    Attributes:
        project: empty for gcloud's own.
        zone: such as us-west4-a.
        spot: whether the machines may be taken away.
        setup: what a host runs once, before the command.
        restarts: how often the training is begun again at most.
    """

    zone: str
    project: str = ""
    spot: bool = False
    setup: str = _SETUP
    restarts: int = 100


def render(job: Job, site: Site) -> dict[str, list[str]]:
    """The commands of a job by what they do: create, describe, setup, stop, run, delete.

    Raises:
        BadInput: the job names no slice of TPUs, or several, or no zone; or its run directory is not in a bucket.
    """
    if not site.zone:
        raise BadInput("TPU VMs are in a zone; give --zone, such as us-west4-a.")
    if not job.chips or job.topology.chip.platform != "tpu":
        raise BadInput("TPU VMs need to know their slice; give --chips, such as v5e:4x8.")
    if job.topology.slices > 1:
        raise BadInput(f"--chips={job.chips}: several slices are launched on Kubernetes; give one.")
    job.check_shared("TPU VMs")
    kind, units = _TYPES[job.topology.chip.name]
    where = [f"--zone={site.zone}", *([f"--project={site.project}"] if site.project else []), "--quiet"]
    queued, machine = ["gcloud", "compute", "tpus", "queued-resources"], ["gcloud", "compute", "tpus", "tpu-vm"]
    exported = [
        "export PATH=$HOME/venv/bin:$PATH;",
        *(f"export {name}={shlex.quote(value)};" for name, value in job.variables.items()),
    ]
    command = [*job.command, *(["--distributed"] if job.hosts > 1 else [])]
    run = " ".join([*exported, f"{shlex.join(command)}; echo {_STATUS}=$?"])
    return {
        "create": [
            *queued,
            "create",
            job.name,
            f"--node-id={job.name}",
            f"--accelerator-type={kind}-{units * job.topology.chips}",
            f"--runtime-version={_RUNTIMES[job.topology.chip.name]}",
            *(["--spot"] if site.spot else []),
            *where,
        ],
        "describe": [*queued, "describe", job.name, "--format=value(state.state)", *where],
        "setup": [*machine, "ssh", job.name, "--worker=all", f"--command={site.setup}", *where],
        "stop": [*machine, "ssh", job.name, "--worker=all", f"--command={_STOP.format(verb=job.verb)}", *where],
        "run": [*machine, "ssh", job.name, "--worker=all", f"--command={run}", *where],
        "delete": [*queued, "delete", job.name, "--force", *where],
    }


def run(
    job: Job,
    site: Site,
    ask: Ask | None = None,
    say: Say = print,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Run a job to its end; the resource is deleted then, and also if it is given up.

    Raises:
        BadInput: gcloud is missing or refuses, the name is in use, the training asks to be mended, or it was begun
            again too often.
    """
    commands, ask = render(job, site), ask or _ask
    _check(commands, ask, job)
    try:
        for attempt in range(site.restarts + 1):
            if attempt == 0 or _state(commands, ask, wait) != _READY:
                _create(commands, ask, wait, say, again=attempt > 0)
            else:
                # A training outlives the connection by which it was started.
                ask(commands["stop"], _silent)
                wait(_POLL)
            say(f"{job.name}: attempt {attempt + 1}")
            statuses = _attempt(commands, ask, job.hosts, wait, say)
            # One that a signal ended is a lost host.
            if final := [one for one in statuses if one not in (0, AGAIN) and one < 128]:
                raise BadInput(f"the training of {job.name} ended with status {final[0]}; mend what it printed first.")
            if len(statuses) == job.hosts and not any(statuses):
                return
        raise BadInput(f"{job.name} was begun {site.restarts + 1} times and has not ended; give more --restarts.")
    except (KeyboardInterrupt, SystemExit):
        say(f"{job.name} is told to save, and its machines are given back")
        ask(commands["stop"], _silent)
        raise
    finally:
        _delete(commands, ask, wait, say)


def _check(commands: dict[str, list[str]], ask: Ask, job: Job) -> None:
    try:
        account = ask(["gcloud", "auth", "list", "--filter=status:ACTIVE", "--format=value(account)"], _silent)
    except FileNotFoundError:
        raise BadInput("gcloud is not on this machine; install Google's SDK, and log in, or give --dry_run.") from None
    if account.returncode or not account.stdout.strip():
        raise BadInput("gcloud has no account; run gcloud auth login. Nothing was started.")
    there = ask(commands["describe"], _silent)
    if there.returncode == 0:
        raise BadInput(f"there is a queued resource {job.name} already; give another --name, or delete it.")
    if "NOT_FOUND" not in there.stderr:
        raise BadInput(f"gcloud cannot be asked ({_said(there)}); nothing was started.")


def _create(commands: dict[str, list[str]], ask: Ask, wait: Callable[[float], None], say: Say, again: bool) -> None:
    """Ask for the resource until it is there."""
    while True:
        if again:
            _delete(commands, ask, wait, say)
        created = ask(commands["create"], _silent)
        if created.returncode:
            raise BadInput(f"the resource was refused ({_said(created)}); mend that, and give the same command again.")
        while (state := _state(commands, ask, wait)) not in (_READY, *_ENDED):
            say(f"the resource is {state.lower().replace('_', ' ')}")
            wait(_POLL)
        if state == _READY:
            return
        say(f"the resource is {state.lower() or 'gone'}, and is asked for again")
        wait(_POLL)
        again = True


def _attempt(
    commands: dict[str, list[str]], ask: Ask, hosts: int, wait: Callable[[float], None], say: Say
) -> list[int]:
    """Set the hosts up and run the command; the statuses of those that told one."""
    ended = ask(commands["setup"], _silent)
    if ended.returncode:
        say(f"the hosts could not be set up ({_said(ended)})")
        wait(_POLL)
        if _state(commands, ask, wait) != _READY:
            return []
        ended = ask(commands["setup"], _silent)
        if ended.returncode:
            raise BadInput(f"the hosts could not be set up twice ({_said(ended)}); give another --setup.")
    ended = ask(commands["run"], say)
    statuses = [int(one) for one in _STATUSES.findall(ended.stdout)]
    if len(statuses) < hosts:
        say(f"{hosts - len(statuses)} of {hosts} hosts were lost ({_said(ended)})")
    return statuses


def _state(commands: dict[str, list[str]], ask: Ask, wait: Callable[[float], None]) -> str:
    """The state of the resource; empty if there is none, or gcloud cannot tell for long."""
    for _ in range(_TRIES):
        told = ask(commands["describe"], _silent)
        if told.returncode == 0:
            return told.stdout.strip()
        if "NOT_FOUND" in told.stderr:
            return ""
        wait(_POLL)
    raise BadInput(f"gcloud cannot tell how the resource is ({_said(told)}); it may still cost: look, and delete it.")


def _delete(commands: dict[str, list[str]], ask: Ask, wait: Callable[[float], None], say: Say) -> None:
    for _ in range(_TRIES):
        ended = ask(commands["delete"], _silent)
        if ended.returncode == 0 or "NOT_FOUND" in ended.stderr:
            return
        wait(_POLL)
    say(f"the resource could not be deleted ({_said(ended)}) and may still cost: {shlex.join(commands['delete'])}")


def _silent(_: str) -> None:
    """Tell nobody."""


def _ask(command: list[str], say: Say) -> "subprocess.CompletedProcess[str]":
    if say is _silent:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    # A training tells of itself for days: the statuses of hosts are kept, and the last lines.
    statuses: list[str] = []
    last: collections.deque[str] = collections.deque(maxlen=20)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        bufsize=1,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            say(line.rstrip())
            (statuses if _STATUSES.search(line) else last).append(line)
    return subprocess.CompletedProcess(command, process.returncode, "".join([*last, *statuses]), "")


def _said(ended: "subprocess.CompletedProcess[str]") -> str:
    return brief(ended.stderr.strip() or ended.stdout.strip() or f"status {ended.returncode}")
