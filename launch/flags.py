"""The flags that say where jobs run, which `drumgan launch` takes, and `drumgan sweep` hands on."""

import dataclasses
from collections.abc import Mapping

from absl import flags

from drumgan_jax.core.errors import BadInput, listed, shown
from drumgan_jax.launch import kubernetes, slurm, tpu_vm

# absl then lists these flags in the help of the calling verb.
flags.disclaim_key_flags()

_BACKENDS = ("local", "slurm", "kubernetes", "tpu_vm")

# The flags that only some backends use, by the backends that do.
_USED: Mapping[str, tuple[str, ...]] = {
    "hosts": ("local", "slurm"),
    "hours": ("slurm", "kubernetes"),
    "image": ("kubernetes",),
    "restarts": ("local", "kubernetes", "tpu_vm"),
    "partition": ("slurm",),
    "account": ("slurm", "kubernetes"),
    "setup": ("slurm", "tpu_vm"),
    "option": ("slurm",),
    "namespace": ("kubernetes",),
    "queue": ("kubernetes",),
    "spot": ("kubernetes", "tpu_vm"),
    "zone": ("tpu_vm",),
    "project": ("tpu_vm",),
    "chips": ("slurm", "kubernetes", "tpu_vm"),
}
_EVERYWHERE = ("env",)


def define_flags() -> None:
    """Define them, for the verb of the calling module."""
    flags.DEFINE_string("chips", "", "the chips, such as v5e:4x8 or h100:2x8; whatever hosts have if not given.")
    flags.DEFINE_integer("hosts", 1, "how many, without --chips.", lower_bound=1)
    flags.DEFINE_float("hours", 0.0, "after which it is stopped, to go on later; 0 for no limit.", lower_bound=0.0)
    flags.DEFINE_string("image", "", "of a container with this package (kubernetes).")
    flags.DEFINE_multi_string("env", [], "a variable of the processes, NAME=VALUE.")
    flags.DEFINE_integer("restarts", 100, "how often it is started again; slurm has no limit.", lower_bound=0)
    flags.DEFINE_string("partition", "", "of the cluster (slurm).")
    flags.DEFINE_string("account", "", "of the cluster (slurm), or service account of the pods (kubernetes).")
    flags.DEFINE_multi_string("setup", [], "a line before the command (slurm), or one that sets a host up (tpu_vm).")
    flags.DEFINE_multi_string("option", [], "an option of sbatch (slurm).")
    flags.DEFINE_string("namespace", "default", "of the cluster (kubernetes).")
    flags.DEFINE_string("queue", "", "of Kueue (kubernetes).")
    flags.DEFINE_bool("spot", False, "on machines that may be taken away (kubernetes, tpu_vm).")
    flags.DEFINE_string("zone", "", "of the TPUs (tpu_vm).")
    flags.DEFINE_string("project", "", "of Google Cloud; gcloud's own if not given (tpu_vm).")


def define_backend(default: str | None) -> flags.FlagHolder[str]:
    """Define --backend, which is required without a default."""
    if default is None:
        return flags.DEFINE_enum("backend", None, _BACKENDS, "where it runs.", required=True)
    return flags.DEFINE_enum("backend", default, _BACKENDS, "where it runs.")


def check_used(backend: str) -> None:
    """Raise BadInput if a flag was given that the backend does not use: whoever gave it expects something of it."""
    for name, backends in _USED.items():
        if flags.FLAGS[name].present and backend not in backends:
            raise BadInput(f"--{name} means nothing to --backend={backend}; it is for {listed(backends)}.")


def given() -> list[str]:
    """The flags of this module that were given, as arguments of another command."""
    arguments = []
    for name in (*_USED, *_EVERYWHERE):
        flag = flags.FLAGS[name]
        values = (flag.value if isinstance(flag.value, list) else [flag.value]) if flag.present else []
        arguments += [f"--{name}={str(value).lower() if flag.boolean else value}" for value in values]
    return arguments


def environment() -> dict[str, str]:
    """The variables of --env."""
    pairs = [(text, *text.partition("=")) for text in flags.FLAGS.env]
    if odd := [text for text, _, found, _ in pairs if not found]:
        raise BadInput(f"--env={shown(odd[0])} has no value; write NAME=VALUE.")
    return {name: value for _, name, _, value in pairs}


def slurm_cluster() -> slurm.Slurm:
    """What the flags say of a cluster of Slurm."""
    return slurm.Slurm(flags.FLAGS.partition, flags.FLAGS.account, tuple(flags.FLAGS.setup), tuple(flags.FLAGS.option))


def kubernetes_cluster() -> kubernetes.Kubernetes:
    """What the flags say of a cluster of Kubernetes."""
    return kubernetes.Kubernetes(
        flags.FLAGS.namespace, flags.FLAGS.queue, flags.FLAGS.account, flags.FLAGS.restarts, flags.FLAGS.spot
    )


def tpu_site() -> tpu_vm.Site:
    """What the flags say of Google's zone."""
    site = tpu_vm.Site(flags.FLAGS.zone, flags.FLAGS.project, flags.FLAGS.spot, restarts=flags.FLAGS.restarts)
    return dataclasses.replace(site, setup=" && ".join(flags.FLAGS.setup)) if flags.FLAGS.setup else site
