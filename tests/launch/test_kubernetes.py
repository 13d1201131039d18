"""Jobs on Kubernetes: the manifest, by a published validator and a schema by hand; and what kubectl is asked."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from drumgan_jax.core.errors import BadInput
from drumgan_jax.launch.job import Job
from drumgan_jax.launch.kubernetes import Kubernetes, render
from drumgan_jax.launch.submit import submit

TPUS = {"chips": "2xv5e:16x16", "image": "example.org/drumgan:1"}
CARDS = {"chips": "h100:4x8", "image": "example.org/drumgan:1"}
# JobSet v1alpha2, as its reference has it: of each object the fields that there are, and those that must be.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "jobset.x-k8s.io/v1alpha2"},
        "kind": {"const": "JobSet"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["replicatedJobs"],
            "additionalProperties": False,
            "properties": {
                "suspend": {"type": "boolean"},
                "network": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "enableDNSHostnames": {"type": "boolean"},
                        "subdomain": {"type": "string", "maxLength": 63},
                        "publishNotReadyAddresses": {"type": "boolean"},
                    },
                },
                "failurePolicy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "maxRestarts": {"type": "integer", "minimum": 0},
                        "rules": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["action"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "action": {
                                        "enum": ["FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"]
                                    },
                                    "targetReplicatedJobs": {"type": "array"},
                                    "onJobFailureReasons": {
                                        "type": "array",
                                        "items": {
                                            "enum": [
                                                "BackoffLimitExceeded",
                                                "DeadlineExceeded",
                                                "FailedIndexes",
                                                "MaxFailedIndexesExceeded",
                                                "PodFailurePolicy",
                                            ]
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
                "replicatedJobs": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["name", "template"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string", "pattern": "^[a-z0-9-]+$"},
                            "replicas": {"type": "integer", "minimum": 0},
                            "template": {"type": "object", "required": ["spec"]},
                        },
                    },
                },
            },
        },
    },
}


def manifest(job: Job, cluster: Kubernetes) -> tuple[dict[str, Any], dict[str, Any]]:
    config_map, job_set = yaml.safe_load_all(render(job, cluster).files["jobset.yaml"])
    return config_map, job_set


def job_of(**settings: Any) -> Job:
    return Job("loops", "splice_loops:full", "gs://b/runs/one", data="gs://b/data", **settings)


@pytest.mark.parametrize("settings", [TPUS, CARDS, {**TPUS, "chips": "v5p:2x2x4", "hours": 24.0}])
def test_the_manifest_is_what_kubernetes_takes(settings: dict[str, Any]) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed (extra dev)")
    jsonschema = pytest.importorskip("jsonschema")
    config_map, job_set = manifest(job_of(**settings), Kubernetes(queue="gpus", account="writer", spot=True))
    jsonschema.validate(job_set, SCHEMA)
    inner = job_set["spec"]["replicatedJobs"][0]["template"]["spec"]
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "loops"}, "spec": inner}
    for version in ("1.30", "1.33"):
        validator.validate(config_map, version, strict=True)
        validator.validate(job, version, strict=True)
    # What Kubernetes itself asks of a policy for failures.
    assert inner["template"]["spec"]["restartPolicy"] == "Never"


def test_a_slice_is_a_job_and_a_host_a_pod() -> None:
    config_map, job_set = manifest(
        job_of(**TPUS, environment={"A": "b"}, overrides=("--config.train.batch_size=512",)), Kubernetes()
    )
    (workers,) = job_set["spec"]["replicatedJobs"]
    assert (workers["replicas"], workers["template"]["spec"]["completions"]) == (2, 64)
    pod = workers["template"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "16x16",
    }
    assert pod["containers"][0]["resources"]["limits"] == {"google.com/tpu": 4}
    assert {"name": "A", "value": "b"} in pod["containers"][0]["env"]
    assert {"name": "DRUMGAN_LOGS", "value": "gs://b/runs/one/logs"} in pod["containers"][0]["env"]
    command = "drumgan train --config=splice_loops:full --workdir=gs://b/runs/one --config.data.dir=gs://b/data"
    assert f"exec {command} --config.train.batch_size=512 --distributed\n" in config_map["data"]["run.sh"]
    assert "suspend" not in job_set["spec"]


def test_values_stay_texts_and_name_no_other_variable() -> None:
    values = {"A": "y", "B": "1e3", "C": "0o17", "D": "off", "E": "a $(POD_INDEX) $$x", "F": "a: b # c", "G": "-1"}
    rendered = render(job_of(**CARDS, environment=values), Kubernetes(spot=True)).files["jobset.yaml"]
    # As YAML 1.1 of another library reads them: whatever is not quoted begins with a letter, and is no word for truth.
    for name, value in values.items():
        written = re.search(rf"name: \"{name}\"\n +value: (.*)\n", rendered)
        assert written is not None, name
        assert written[1][0] in "\"'" or (len(value) > 1 and written[1][0].isalpha()), (name, written[1])
    _, job_set = yaml.safe_load_all(rendered)
    pod = job_set["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    told = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
    assert {name: told[name].replace("$$", "$") for name in values} == values
    assert told["E"] == "a $$(POD_INDEX) $$$$x"
    assert told["JAX_PLATFORMS"] == "cuda,cpu"
    assert pod["tolerations"] == [{"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true"}]


def test_eight_chips_are_one_host() -> None:
    for chips, hosts, each in (("v5e:1x1", 1, 1), ("v5e:2x4", 1, 8), ("v5e:4x4", 4, 4)):
        config_map, job_set = manifest(job_of(chips=chips, image="i"), Kubernetes())
        job = job_set["spec"]["replicatedJobs"][0]["template"]["spec"]
        assert job["completions"] == hosts
        limits = job["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits == {"google.com/tpu": each}
        assert ("--distributed" in config_map["data"]["run.sh"]) == (hosts > 1)


def test_an_image_without_the_package_says_so(tmp_path: Path) -> None:
    script = manifest(job_of(**TPUS), Kubernetes())[0]["data"]["run.sh"]
    ended = subprocess.run(["/bin/sh", "-c", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith("The image has no command drumgan: it needs Python and this package")
    # Which is not run again.
    policy = manifest(job_of(**TPUS), Kubernetes())[1]["spec"]["replicatedJobs"][0]["template"]["spec"][
        "podFailurePolicy"
    ]
    assert 2 in policy["rules"][0]["onExitCodes"]["values"]


def test_pods_with_cards_are_told_of_the_first() -> None:
    config_map, job_set = manifest(job_of(**CARDS), Kubernetes(queue="gpus"))
    script = config_map["data"]["run.sh"]
    assert "export JAX_COORDINATOR_ADDRESS=loops-workers-0-0.loops:8476 JAX_NUM_PROCESSES=4\n" in script
    assert 'JAX_PROCESS_ID="$POD_INDEX"' in script
    assert "--distributed" not in script
    assert job_set["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "gpus"}
    assert job_set["spec"]["network"]["subdomain"] == "loops"


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"chips": "v5e:4x8"}, r"pods need an image with Python and this package; give --image"),
        ({"image": "i"}, r"pods need to know their chips; give --chips"),
        ({**TPUS, "workdir": "/runs/one"}, r"--workdir=/runs/one is on no disk that hosts of Kubernetes share"),
        ({**TPUS, "data": "data"}, r"--data=data is on no disk"),
        ({**TPUS, "workdir": "s3://b/one"}, r"--workdir=s3://b/one cannot be a run directory; give one in gs://"),
    ],
)
def test_what_kubernetes_cannot_take(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        render(Job(**{"name": "loops", "config": "a:b", "workdir": "gs://b/one", **settings}), Kubernetes())


def fake_kubectl(folder: Path, said: str) -> None:
    """A kubectl that notes what it is asked, and refuses what `said` names."""
    path = folder / "kubectl"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\ncase "$*" in\n{said}\nesac\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (
            "*can-i*) echo no; exit 1;;\n*api-resources*) echo jobsets;;",
            r"nothing was started: you may not create JobSets .* \(no\)",
        ),
        (
            "*get\\ jobset*) echo loops;;\n*api-resources*) echo jobsets;;",
            r"nothing was started: a job named loops is queued or runs; give another --name, or cancel it \(kubectl",
        ),
        (
            "*api-resources*) echo unreachable >&2; exit 1;;",
            r"nothing was started: the cluster does not answer, or has no JobSets",
        ),
        (
            "*get\\ jobset*) echo unreachable >&2; exit 1;;\n*api-resources*) echo jobsets;;",
            r"nothing was started: it cannot be asked for jobs named loops \(unreachable\)",
        ),
        ("*api-resources*) echo jobsets;;\n*apply*) echo refused >&2; exit 1;;", r"kubectl failed \(refused\)"),
    ],
)
def test_what_kubectl_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, match: str) -> None:
    fake_kubectl(tmp_path, said)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(BadInput, match=match):
        submit(render(job_of(**TPUS), Kubernetes()), tmp_path / "out")
    assert ("apply" in (tmp_path / "asked").read_text()) == ("apply" in said)


def test_the_manifest_is_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_kubectl(tmp_path, "*api-resources*) echo jobsets;;\n*apply*) echo created;;")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    said: list[str] = []
    submit(render(job_of(**TPUS), Kubernetes()), tmp_path / "out", said.append)
    assert said == ["created"]
    asked = (tmp_path / "asked").read_text().splitlines()[-1]
    assert asked == f"--namespace=default apply --filename={tmp_path}/out/jobset.yaml"
    assert (tmp_path / "out" / "jobset.yaml").is_file()


def test_a_tool_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        BadInput, match=r"kubectl is not on this machine; install it, and fetch the cluster's credentials, or"
    ):
        submit(render(job_of(**TPUS), Kubernetes()), tmp_path / "out")
