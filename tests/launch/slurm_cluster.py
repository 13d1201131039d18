"""A cluster of Slurm on this machine: Debian's daemons, two nodes that are two processes."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")
# Processes are led to the first by its name, which must be one that this machine knows.
NODES = (socket.gethostname(), f"{socket.gethostname()}-b")
_CONF = """
ClusterName=test
SlurmctldHost={host}
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=5
OverTimeLimit=0
SlurmdTimeout=20
InactiveLimit=0
MpiDefault=none
JobRequeue=1
NodeName={nodes[0]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=500 State=UNKNOWN
NodeName={nodes[1]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=500 State=UNKNOWN
PartitionName=all Nodes={nodes[0]},{nodes[1]} Default=YES MaxTime=INFINITE State=UP
"""


@contextlib.contextmanager
def slurm_cluster(folder: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The daemons by name; commands of Slurm find them by SLURM_CONF."""
    if missing := [name for name in DAEMONS if shutil.which(name) is None]:
        pytest.skip(f"{missing[0]} is not installed (Debian's slurm-wlm and munge)")
    folder.mkdir()
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir()
    ports = []
    with contextlib.ExitStack() as held:
        for _ in range(3):
            free = held.enter_context(socket.socket())
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    conf = folder / "slurm.conf"
    conf.write_text(_CONF.format(host=NODES[0], nodes=NODES, folder=folder, ports=ports))
    munge = [f"--socket={folder}/munge.socket", f"--key-file={key}", f"--pid-file={folder}/munged.pid"]
    munge += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        running["munged"] = subprocess.Popen(["munged", "--foreground", "--force", *munge])
        _until(lambda: (folder / "munge.socket").exists())
        running["slurmctld"] = subprocess.Popen(["slurmctld", "-D", "-c"])
        for name in NODES:
            running[name] = start_node(name)
        _until(lambda: _output("sinfo", "--noheader", "--format=%t %D").split() == ["idle", "2"])
        yield running
    finally:
        subprocess.run(["scancel", "--me"], capture_output=True)
        for process in reversed(running.values()):
            process.terminate()
        for process in running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
        os.environ.pop("SLURM_CONF") if before is None else os.environ.update(SLURM_CONF=before)


def start_node(name: str) -> "subprocess.Popen[bytes]":
    """The daemon of a node."""
    return subprocess.Popen(["slurmd", "-D", "-N", name])


def state_of(job: str) -> str:
    """The state of a job, such as RUNNING; empty if it is gone."""
    return _output("squeue", "--noheader", f"--name={job}", "--format=%T").strip()


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def _until(reached, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "the cluster did not come up"
        time.sleep(0.2)
