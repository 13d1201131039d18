"""drumgan launch --backend=BACKEND --name=NAME --config=NAME:VARIANT --workdir=RUN --data=DATA [--dry_run] ...

Starts a training elsewhere: as processes on this machine (local), on a cluster (slurm), on Kubernetes
(kubernetes), or on TPU VMs (tpu_vm).
--dry_run prints everything that would be written and run, and does none of it. Before anything is started, the config
and its overrides are read, and tools and rights that are missing are named.

The command goes on where the run was: after status 75 (it was told to stop, or a host was lost) the backend starts it
again by itself; after status 2 something is to be mended first. launch/README.md has a command for each backend.
"""

import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from drumgan_jax.commands.config_flag import define_config
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.core.errors import BadInput, shown

CONFIG = define_config()
BACKEND = flags.DEFINE_enum(
    "backend", None, ["local", "slurm", "kubernetes", "tpu_vm"], "where it runs.", required=True
)
NAME = flags.DEFINE_string("name", None, "of the job.", required=True)
WORKDIR = define_path("workdir", None, "the run directory to create or resume.", required=True, bucket=True)
DATA = define_path("data", "", "the data set.", bucket=True)
CHIPS = flags.DEFINE_string("chips", "", "the chips, such as v5e:4x8 or h100:2x8; whatever hosts have if not given.")
HOSTS = flags.DEFINE_integer("hosts", 1, "how many, without --chips.", lower_bound=1)
HOURS = flags.DEFINE_float("hours", 0.0, "after which it is stopped, to go on later; 0 for no limit.", lower_bound=0.0)
IMAGE = flags.DEFINE_string("image", "", "of a container with this package (kubernetes).")
ENV = flags.DEFINE_multi_string("env", [], "a variable of the processes, NAME=VALUE.")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "print what would be written and run, and do none of it.")
OUT = define_path("out", "", "folder for the files of the job; launch/NAME if not given.")
RESTARTS = flags.DEFINE_integer("restarts", 100, "how often it is started again; slurm has no limit.", lower_bound=0)
PARTITION = flags.DEFINE_string("partition", "", "of the cluster (slurm).")
ACCOUNT = flags.DEFINE_string("account", "", "of the cluster (slurm), or service account of the pods (kubernetes).")
SETUP = flags.DEFINE_multi_string(
    "setup", [], "a line before the command, such as 'source venv/bin/activate' (slurm, tpu_vm)."
)
OPTION = flags.DEFINE_multi_string("option", [], "an option of sbatch (slurm).")
NAMESPACE = flags.DEFINE_string("namespace", "default", "of the cluster (kubernetes).")
QUEUE = flags.DEFINE_string("queue", "", "of Kueue (kubernetes).")
SPOT = flags.DEFINE_bool("spot", False, "on machines that may be taken away (kubernetes, tpu_vm).")
ZONE = flags.DEFINE_string("zone", "", "of the TPUs (tpu_vm).")
PROJECT = flags.DEFINE_string("project", "", "of Google Cloud; gcloud's own if not given (tpu_vm).")
flags.mark_flag_as_required("config")

_OVERRIDE = re.compile(r"--(no)?config\.")


def main(argv: Sequence[str]) -> None:
    """Launch; see the module's docstring."""
    del argv
    # Where libtpu is installed, JAX else takes the TPUs of this machine; what is started is to have its own.
    platforms = os.environ.get("JAX_PLATFORMS")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from ml_collections import config_flags

    from drumgan_jax.core.settings import read_section
    from drumgan_jax.launch import kubernetes, local, slurm, tpu_vm
    from drumgan_jax.launch.job import Job
    from drumgan_jax.launch.submit import submit
    from drumgan_jax.planning.planner import Site
    from drumgan_jax.planning.programs import completed
    from drumgan_jax.planning.topologies import Topology
    from drumgan_jax.runs.settings import TrainSettings
    from drumgan_jax.training.run import checked

    # What the hosts would refuse is refused here.
    read_section(checked(CONFIG.value), "train", TrainSettings)
    if CHIPS.value:
        Site.of(completed(CONFIG.value), Topology.parse(CHIPS.value))
    job = Job(
        name=NAME.value,
        config=config_flags.get_config_filename(flags.FLAGS["config"]),
        workdir=WORKDIR.value,
        data=DATA.value,
        overrides=tuple(one for one in sys.argv if _OVERRIDE.match(one)),
        chips=CHIPS.value,
        hosts=HOSTS.value,
        environment=dict(map(_variable, ENV.value)),
        hours=HOURS.value,
        image=IMAGE.value,
    )
    if platforms is None:
        del os.environ["JAX_PLATFORMS"]
    if BACKEND.value == "local":
        if DRY_RUN.value:
            for command, variables in local.render(job, 12345):
                print(" ".join([*(f"{name}={value}" for name, value in variables.items()), *command]))
            return
        sys.exit(local.run(job, RESTARTS.value, lambda line: print(line, file=sys.stderr)))
    if BACKEND.value == "tpu_vm":
        site = tpu_vm.Site(ZONE.value, PROJECT.value, SPOT.value, restarts=RESTARTS.value)
        site = dataclasses.replace(site, setup=" && ".join(SETUP.value)) if SETUP.value else site
        if DRY_RUN.value:
            print("\n".join(f"$ {shlex.join(one)}" for one in tpu_vm.render(job, site).values()))
            return
        tpu_vm.run(job, site)
        return
    if BACKEND.value == "slurm":
        cluster = slurm.Slurm(PARTITION.value, ACCOUNT.value, tuple(SETUP.value), tuple(OPTION.value))
        rendered = slurm.render(job, cluster)
    else:
        pods = kubernetes.Kubernetes(NAMESPACE.value, QUEUE.value, ACCOUNT.value, RESTARTS.value, SPOT.value)
        rendered = kubernetes.render(job, pods)
    if DRY_RUN.value:
        print(rendered.text())
        return
    submit(rendered, Path(OUT.value or f"launch/{job.name}").absolute())


def _variable(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise BadInput(f"--env={shown(text)} has no value; write NAME=VALUE.")
    return name, value
