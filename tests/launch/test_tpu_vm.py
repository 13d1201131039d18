"""Jobs on TPU VMs: the commands of gcloud, and what is made of a gcloud that fails."""

import dataclasses
import subprocess
from typing import Any

import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.launch import tpu_vm
from drumgan_jax.launch.job import Job
from drumgan_jax.launch.tpu_vm import Site, render, run

JOB = Job("loops", "splice_loops:full", "gs://b/run", data="gs://b/data", chips="v5e:4x4", environment={"A": "b c"})
SITE = Site("us-west4-a", project="p", spot=True, setup="pip install it")
STOP = tpu_vm._STOP.format(verb="train")
ENDED = "\n".join(["drumgan-status=0"] * 4)
LOST = "ERROR: (gcloud.compute.tpus.queued-resources.describe) NOT_FOUND: no such resource"


def test_the_commands() -> None:
    commands = {name: " ".join(command) for name, command in render(JOB, SITE).items()}
    queued, where = "gcloud compute tpus queued-resources", "--zone=us-west4-a --project=p --quiet"
    assert commands == {
        "create": f"{queued} create loops --node-id=loops --accelerator-type=v5litepod-16"
        f" --runtime-version=v2-alpha-tpuv5-lite --spot {where}",
        "describe": f"{queued} describe loops --format=value(state.state) {where}",
        "setup": f"gcloud compute tpus tpu-vm ssh loops --worker=all --command=pip install it {where}",
        "stop": f"gcloud compute tpus tpu-vm ssh loops --worker=all --command={STOP} {where}",
        "run": "gcloud compute tpus tpu-vm ssh loops --worker=all --command=export PATH=$HOME/venv/bin:$PATH;"
        " export DRUMGAN_LOGS=gs://b/run/logs; export A='b c'; drumgan train"
        " --config=splice_loops:full --workdir=gs://b/run --config.data.dir=gs://b/data --distributed;"
        f" echo drumgan-status=$? {where}",
        "delete": f"{queued} delete loops --force {where}",
    }
    of = dataclasses.replace(JOB, chips="v5p:2x2x4")
    assert "--accelerator-type=v5p-32" in render(of, SITE)["create"]
    # Eight of the smaller chips are one machine.
    assert "--distributed" not in render(dataclasses.replace(JOB, chips="v6e:2x4"), SITE)["run"][7]


@pytest.mark.parametrize(
    ("settings", "zone", "match"),
    [
        ({"chips": ""}, "a", r"TPU VMs need to know their slice; give --chips"),
        ({"chips": "h100:8"}, "a", r"TPU VMs need to know their slice"),
        ({"chips": "2xv5e:4x4"}, "a", r"several slices are launched on Kubernetes"),
        ({"workdir": "/run"}, "a", r"--workdir=/run is on no disk that hosts of TPU VMs share"),
        ({}, "", r"TPU VMs are in a zone; give --zone"),
    ],
)
def test_what_is_no_job_for_them(settings: dict[str, Any], zone: str, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        render(dataclasses.replace(JOB, **settings), Site(zone))


class Gcloud:
    """Answers each kind of command by its list, the last for ever: a text, or an error that begins with "!"."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {
            "list": ["me@example.org"],
            "describe": [f"!{LOST}", "ACTIVE"],
            "create": [""],
            "setup": [""],
            "stop": [""],
            "run": [ENDED],
            "delete": [""],
            **answers,
        }
        self.asked: list[str] = []

    def __call__(self, command: list[str], say: tpu_vm.Say) -> "subprocess.CompletedProcess[str]":
        kind = next(name for name in ("list", "create", "describe", "delete", "ssh") if name in command)
        if kind == "ssh":
            text = " ".join(command)
            kind = "run" if "drumgan-status" in text else "stop" if "pkill" in text else "setup"
        self.asked.append(kind)
        answers = self.answers[kind]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        failed = answer.startswith("!")
        return subprocess.CompletedProcess(command, int(failed), "" if failed else answer, answer[1:] if failed else "")


def launched(gcloud: Gcloud, restarts: int = 3) -> list[str]:
    said: list[str] = []
    run(JOB, dataclasses.replace(SITE, restarts=restarts), gcloud, said.append, lambda _: None)
    return said


def test_a_training_that_ends() -> None:
    gcloud = Gcloud(describe=[f"!{LOST}", "WAITING_FOR_RESOURCES", "ACTIVE"])
    said = launched(gcloud)
    assert gcloud.asked == ["list", "describe", "create", "describe", "describe", "setup", "run", "delete"]
    assert said[0] == "the resource is waiting for resources"


@pytest.mark.parametrize(
    ("answers", "attempts", "creations"),
    [
        # Stopped, and lost with its machines: on the same resource, and on another one.
        ({"run": ["drumgan-status=75\ndrumgan-status=75", ENDED]}, 2, 1),
        (
            {
                "run": ["!connection lost", ENDED],
                "describe": [f"!{LOST}", "ACTIVE", "SUSPENDED", "ACTIVE"],
            },
            2,
            2,
        ),
        # One host of two, and one that cannot be set up.
        ({"run": ["drumgan-status=0", ENDED]}, 2, 1),
        ({"setup": ["!no route to host", ""]}, 1, 1),
        # Not to be had at first, taken away while it is waited for, and a service that does not answer.
        ({"describe": [f"!{LOST}", "FAILED", "ACTIVE"]}, 1, 2),
        ({"describe": [f"!{LOST}", "PROVISIONING", f"!{LOST}", "ACTIVE"]}, 1, 2),
        ({"describe": [f"!{LOST}", "!503", "!503", "ACTIVE"]}, 1, 1),
        ({"delete": ["!503", "!503", ""]}, 1, 1),
    ],
)
def test_what_is_tried_again(answers: dict[str, list[str]], attempts: int, creations: int) -> None:
    gcloud = Gcloud(**answers)
    said = launched(gcloud)
    assert sum(line.startswith("loops: attempt") for line in said) == attempts
    assert gcloud.asked.count("create") == creations
    assert gcloud.asked[-1] == "delete"


@pytest.mark.parametrize(
    ("answers", "match", "deleted"),
    [
        ({"list": [""]}, r"gcloud has no account; run gcloud auth login\. Nothing was started", False),
        ({"describe": ["ACTIVE"]}, r"there is a queued resource loops already; give another --name", False),
        ({"describe": ["!PERMISSION_DENIED: tpu.googleapis.com"]}, r"cannot be asked \(PERMISSION_DENIED", False),
        ({"create": ["!RESOURCE_EXHAUSTED: quota"]}, r"was refused \(RESOURCE_EXHAUSTED: quota\)", True),
        ({"run": ["drumgan-status=75\ndrumgan-status=2"]}, r"ended with status 2; mend what it printed first", True),
        ({"run": ["drumgan-status=127"]}, r"ended with status 127; mend", True),
        ({"setup": ["!no such package"]}, r"could not be set up twice \(no such package\); give another --setup", True),
        ({"run": ["drumgan-status=75\ndrumgan-status=75"]}, r"was begun 4 times and has not ended", True),
        ({"describe": [f"!{LOST}", "!503"]}, r"cannot tell how the resource is \(503\); it may still cost", True),
    ],
)
def test_what_ends_a_launch(answers: dict[str, list[str]], match: str, deleted: bool) -> None:
    gcloud = Gcloud(**answers)
    with pytest.raises(BadInput, match=match):
        launched(gcloud)
    assert ("delete" in gcloud.asked) == deleted


def test_a_resource_that_stays_is_told_of() -> None:
    said = launched(Gcloud(delete=["!503"]))
    assert said[-1].startswith(
        "the resource could not be deleted (503) and may still cost: gcloud compute tpus queued-res"
    )


def test_gcloud_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"gcloud is not on this machine; install Google's SDK"):
        run(JOB, SITE)


def test_a_launch_that_is_told_to_stop_lets_the_hosts_save_and_gives_them_back() -> None:
    class Stopped(Gcloud):
        def __call__(self, command: list[str], say: tpu_vm.Say) -> "subprocess.CompletedProcess[str]":
            ended = super().__call__(command, say)
            if self.asked[-1] == "run":
                raise SystemExit(75)
            return ended

    gcloud = Stopped()
    with pytest.raises(SystemExit):
        launched(gcloud)
    assert gcloud.asked[-3:] == ["run", "stop", "delete"]


def test_the_lines_of_a_training_are_told_as_they_come() -> None:
    said: list[str] = []
    ended = tpu_vm._ask(["sh", "-c", "echo one; echo two >&2; exit 3"], said.append)
    assert (said, ended.returncode, ended.stdout) == (["one", "two"], 3, "one\ntwo\n")
