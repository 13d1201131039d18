"""drumgan launch --backend=BACKEND --name=NAME --config=NAME:VARIANT --workdir=RUN --data=DATA [--dry_run] ...
drumgan launch --backend=BACKEND --name=NAME --verb=evaluate --workdir=RUN [--data=DATA] -- --metrics=fid,kid ...

Starts a training elsewhere: as processes on this machine (local), on a cluster (slurm), on Kubernetes
(kubernetes), or on TPU VMs (tpu_vm). --verb=fit and --verb=evaluate start these; what stands after -- is for them.
--dry_run prints everything that would be written and run, and does none of it. Before anything is started, the config
and its overrides are read, and tools and rights that are missing are named.

The command goes on where the run was: after status 75 (it was told to stop, or a host was lost) the backend starts it
again by itself; after status 2 something is to be mended first. launch/README.md has a command for each backend.

--wait stays until the job has ended, and ends with its status. With it a job of that name that is queued or runs is
waited for, SIGTERM cancels the job, and Ctrl-C leaves it to itself, but for local and tpu_vm, where it ends the job.
"""

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from absl import flags

from drumgan_jax.commands.config_flag import define_config, name_of_config, overrides_of_config
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.core.errors import BadInput
from drumgan_jax.launch import flags as launch_flags
from drumgan_jax.launch import kubernetes, local, slurm, tpu_vm
from drumgan_jax.launch.job import AGAIN, VERBS, Job
from drumgan_jax.launch.submit import submit, wait

CONFIG = define_config()
BACKEND = launch_flags.define_backend(None)
NAME = flags.DEFINE_string("name", None, "of the job.", required=True)
VERB = flags.DEFINE_enum("verb", "train", VERBS, "what runs there.")
WORKDIR = define_path("workdir", None, "the run directory to create, resume or measure.", required=True, bucket=True)
DATA = define_path("data", "", "the data set.", bucket=True)
DRY_RUN = flags.DEFINE_bool("dry_run", False, "print what would be written and run, and do none of it.")
WAIT = flags.DEFINE_bool("wait", False, "stay until the job has ended; its status is that of this command.")
OUT = define_path("out", "", "folder for the files of the job; launch/NAME if not given.")
launch_flags.define_flags()

# What stands after -- is for the verb that runs there.
POSITIONAL = True


def main(argv: Sequence[str]) -> None:
    """Launch; see the module's docstring."""
    local.end_with_parent()
    backend = BACKEND.value
    launch_flags.check_used(backend)
    with _without_chips():
        job = _job(argv[1:])
    if backend == "local":
        _run_here(job)
    elif backend == "tpu_vm":
        _run_on_tpu_vms(job)
    else:
        rendered = (
            slurm.render(job, launch_flags.slurm_cluster())
            if backend == "slurm"
            else kubernetes.render(job, launch_flags.kubernetes_cluster())
        )
        if DRY_RUN.value:
            print(rendered.text())
            return
        folder = Path(OUT.value or f"launch/{job.name}").absolute()
        submit(rendered, folder, attach=WAIT.value, check=lambda: _check_places(job))
        if WAIT.value:
            try:
                sys.exit(wait(rendered))
            except KeyboardInterrupt:
                print(f"{job.name} goes on; the same command waits for it again.", file=sys.stderr)
                sys.exit(AGAIN)


@contextmanager
def _without_chips() -> Iterator[None]:
    """Read a config without the chips of this machine: where libtpu is installed, JAX else takes the TPUs."""
    platforms = os.environ.get("JAX_PLATFORMS")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        yield
    finally:
        if platforms is None:
            # What is started is to have its own.
            del os.environ["JAX_PLATFORMS"]


def _job(more: Sequence[str]) -> Job:
    """The job of the flags; what its hosts would refuse of the config is refused here."""
    if VERB.value == "evaluate":
        if CONFIG.value is not None:
            raise BadInput("--verb=evaluate measures the run in --workdir, which has its config; leave --config out.")
        config, overrides = "", tuple(more)
    else:
        if CONFIG.value is None:
            raise BadInput("no config was given; name one with --config=splice_loops:small.")
        if more:
            raise BadInput(f"{more[0]} is no override; write --config.section.field=value.")
        _check_config()
        config = name_of_config()
        overrides = tuple(f"--config.{key}={value}" for key, value in overrides_of_config().items())
    return Job(
        name=NAME.value,
        verb=VERB.value,
        config=config,
        workdir=WORKDIR.value,
        data=DATA.value,
        overrides=overrides,
        chips=flags.FLAGS.chips,
        hosts=flags.FLAGS.hosts,
        environment=launch_flags.environment(),
        hours=flags.FLAGS.hours,
        image=flags.FLAGS.image,
    )


def _check_config() -> None:
    from drumgan_jax.launch.checks import check_chips, checked_training
    from drumgan_jax.training.run import checked

    if VERB.value == "train":
        checked_training(CONFIG.value, flags.FLAGS.chips)
    else:
        checked(CONFIG.value)
        check_chips(CONFIG.value, flags.FLAGS.chips)


def _check_places(job: Job) -> None:
    from drumgan_jax.launch.checks import check_places

    with _without_chips():
        check_places(job)


def _run_here(job: Job) -> None:
    if DRY_RUN.value:
        for command, variables in local.render(job, 12345):
            print(shlex.join([*(f"{name}={value}" for name, value in variables.items()), *command]))
        return
    sys.exit(local.run(job, flags.FLAGS.restarts, lambda line: print(line, file=sys.stderr)))


def _run_on_tpu_vms(job: Job) -> None:
    site = launch_flags.tpu_site()
    if DRY_RUN.value:
        print("\n".join(f"$ {shlex.join(one)}" for one in tpu_vm.render(job, site).values()))
        return
    _check_places(job)
    # So that the machines are given back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(AGAIN))
    tpu_vm.run(job, site)
