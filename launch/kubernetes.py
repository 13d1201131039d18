"""Jobs on Kubernetes: a JobSet (v1alpha2) of one Job a slice of TPUs, or of nodes with cards, and a ConfigMap.

A host of a slice is a pod, and finds the others as GKE tells pods with TPUs; pods with cards are told by a variable for
each, whose number is that of the pod. If a pod ends with status 75, or its node is lost, all are started again; if it
ends with status 1 or 2, something is to be mended first, and nothing is started again.
"""

import dataclasses
import shlex
from typing import Any

from drumgan_jax.core.errors import BadInput
from drumgan_jax.launch.job import Job, Rendered

# What GKE calls the nodes of a slice.
_ACCELERATORS = {"v5e": "tpu-v5-lite-podslice", "v5p": "tpu-v5p-slice", "v6e": "tpu-v6e-slice"}
_SPOT = "cloud.google.com/gke-spot"
_WORKERS, _CONTAINER, _SCRIPT, _FOLDER, _PORT = "workers", "drumgan", "run.sh", "/launch", 8476
# Status 2, an error, and a command that is not there: the same would come again.
_FINAL = [1, 2, 126, 127]
_NO_PACKAGE = "The image has no command drumgan: it needs Python and this package (launch/README.md has one)."
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


@dataclasses.dataclass(frozen=True)
class Kubernetes:
    """What a cluster needs to know besides.

    Attributes:
        namespace: of the job.
        queue: of Kueue; empty without it.
        account: service account, which may write the bucket; empty for the namespace's own.
        restarts: how often all pods are started again, as on spot machines.
        spot: whether pods go to spot machines.
    """

    namespace: str = "default"
    queue: str = ""
    account: str = ""
    restarts: int = 100
    spot: bool = False


def render(job: Job, cluster: Kubernetes) -> Rendered:
    """The manifest of a job, and what applies it.

    Raises:
        BadInput: the job names no image or no chips, or its run directory is not in a bucket.
    """
    if not job.image:
        raise BadInput("pods need an image with Python and this package; give --image (launch/README.md has one).")
    if not job.chips:
        raise BadInput("pods need to know their chips; give --chips, such as v5e:4x8 or h100:2x8.")
    job.check_shared("Kubernetes")
    kubectl = ("kubectl", f"--namespace={cluster.namespace}")
    may = (*kubectl, "auth", "can-i", "create", "jobsets.jobset.x-k8s.io")
    known = (*kubectl, "api-resources", "--api-group=jobset.x-k8s.io", "--output=name")
    conditions = '{.metadata.name}{range .status.conditions[?(@.status=="True")]} {.type}{end}'
    there = (*kubectl, "get", "jobset", job.name, "--ignore-not-found", f"--output=jsonpath={conditions}")
    return Rendered(
        job.name,
        {"jobset.yaml": _yaml(_config_map(job, cluster), _job_set(job, cluster))},
        (
            (may, f"you may not create JobSets in the namespace {cluster.namespace}"),
            (("sh", "-c", f"{shlex.join(known)} | grep -q jobsets"), "the cluster does not answer, or has no JobSets"),
        ),
        ((*kubectl, "apply", "--filename={folder}/jobset.yaml"),),
        there,
        {"Completed": 0, "Failed": 2},
        (*kubectl, "delete", f"jobset/{job.name}", f"configmap/{job.name}", "--ignore-not-found"),
    )


def _yaml(*objects: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Texts of several lines are written as such."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        # kubectl takes more for numbers and truths than PyYAML quotes: y, 1e3, 0o17.
        style = "|" if "\n" in value else None if len(value) > 1 and value[0].isalpha() else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return "---\n".join(yaml.dump(one, Dumper=Dumper, sort_keys=False, width=10_000) for one in objects)


def _config_map(job: Job, cluster: Kubernetes) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": job.name, "namespace": cluster.namespace},
        "data": {_SCRIPT: _script(job)},
    }


def _script(job: Job) -> str:
    """What a pod runs."""
    lines = [
        "#!/bin/sh",
        f"command -v drumgan > /dev/null || {{ echo '{_NO_PACKAGE}' >&2; exit 2; }}",
        "# A process that has become drumgan is told to stop as Kubernetes tells it.",
    ]
    command = list(job.command)
    if job.topology.chip.platform == "tpu":
        # A single host of TPUs has others to find only if there is more than one.
        command += ["--distributed"] if job.hosts > 1 else []
    elif job.hosts > 1:
        first = f"{job.name}-{_WORKERS}-0-0.{job.name}:{_PORT}"
        lines += [
            f"export JAX_COORDINATOR_ADDRESS={first} JAX_NUM_PROCESSES={job.hosts}",
            'export JAX_PROCESS_ID="$POD_INDEX"',
        ]
    return "\n".join([*lines, f"exec {shlex.join(command)}", ""])


def _job_set(job: Job, cluster: Kubernetes) -> dict[str, Any]:
    is_tpu = job.topology.chip.platform == "tpu"
    annotations = {"alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"} if is_tpu else {}
    labels = {"kueue.x-k8s.io/queue-name": cluster.queue} if cluster.queue else {}
    pods = job.hosts // job.topology.slices
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {
            "name": job.name,
            "namespace": cluster.namespace,
            **({"labels": labels} if labels else {}),
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {
            # Kueue starts it.
            **({"suspend": True} if cluster.queue else {}),
            "network": {"enableDNSHostnames": True, "subdomain": job.name},
            "failurePolicy": {
                "maxRestarts": cluster.restarts,
                "rules": [{"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}],
            },
            "replicatedJobs": [
                {"name": _WORKERS, "replicas": job.topology.slices, "template": {"spec": _job(job, cluster, pods)}}
            ],
        },
    }


def _job(job: Job, cluster: Kubernetes, pods: int) -> dict[str, Any]:
    mend = {"containerName": _CONTAINER, "operator": "In", "values": _FINAL}
    limit = {"activeDeadlineSeconds": int(3600 * job.hours)} if job.hours else {}
    return {
        "completionMode": "Indexed",
        "completions": pods,
        "parallelism": pods,
        "backoffLimit": 0,
        **limit,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": mend}]},
        "template": {"spec": _pod(job, cluster)},
    }


def _pod(job: Job, cluster: Kubernetes) -> dict[str, Any]:
    topology = job.topology
    chip, per_host = topology.chip, topology.chips // job.hosts
    if chip.platform == "tpu":
        resource, size = "google.com/tpu", "x".join(map(str, topology.shape))
        where = {
            "cloud.google.com/gke-tpu-accelerator": _ACCELERATORS[chip.name],
            "cloud.google.com/gke-tpu-topology": size,
        }
    else:
        resource = "nvidia.com/gpu"
        where = {"cloud.google.com/gke-accelerator": f"nvidia-{chip.name}-80gb"}
    if cluster.spot:
        where[_SPOT] = "true"
    # Of $(NAME) in a value Kubernetes makes that variable's.
    told = {name: value.replace("$", "$$") for name, value in job.variables.items()}
    if chip.platform == "cuda":
        # Else a node whose driver is not found would train on its processor.
        told = {"JAX_PLATFORMS": "cuda,cpu", **told}
    environment: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in told.items()]
    environment.append({"name": "POD_INDEX", "valueFrom": {"fieldRef": {"fieldPath": _INDEX}}})
    return {
        **({"serviceAccountName": cluster.account} if cluster.account else {}),
        "restartPolicy": "Never",
        **({"tolerations": [{"key": _SPOT, "operator": "Equal", "value": "true"}]} if cluster.spot else {}),
        # For a checkpoint, after SIGTERM.
        "terminationGracePeriodSeconds": 120,
        "nodeSelector": where,
        "containers": [
            {
                "name": _CONTAINER,
                "image": job.image,
                "command": ["sh", f"{_FOLDER}/{_SCRIPT}"],
                "env": environment,
                "resources": {"limits": {resource: per_host}, "requests": {resource: per_host}},
                "volumeMounts": [
                    {"name": "launch", "mountPath": _FOLDER, "readOnly": True},
                    {"name": "shared-memory", "mountPath": "/dev/shm"},
                ],
            }
        ],
        "volumes": [
            {"name": "launch", "configMap": {"name": job.name}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
    }
