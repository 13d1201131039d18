"""A toy run of `drumgan train` in several processes, each as on a host of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from quick_compilation import quick_flags
from training_cases import tiny_config

COUNT, STEPS = 3, 150
# The toy is made known to the worker only: the parent imports no JAX.
CONFIG_FILE = """
import os, sys
sys.modules["clu"] = None
sys.path.insert(0, {tests!r})
if "DRUMGAN_SUPERVISED" in os.environ:
    import toy_gan
else:
    assert "jax" not in sys.modules
from ml_collections import ConfigDict
def get_config():
    return ConfigDict({config!r})
"""


def write_config(folder: Path, data: Path, batch: int = 6) -> Path:
    sections = {"train": {"batch_size": batch, "total_images": batch * STEPS}, "checkpoint": {"every": 4, "keep": 2}}
    config = tiny_config(data, **sections)
    config.train.host_timeout = 30.0
    config.task = {"kind": "toy", "gain": 0.3}
    path = folder / "toy_config.py"
    path.write_text(CONFIG_FILE.format(tests=os.fspath(Path(__file__).parent), config=config.to_dict()))
    return path


def start(
    config: Path,
    run: Path,
    timeout: float,
    variables: Mapping[str, str] | None = None,
    count: int = COUNT,
    of_one: Mapping[int, Mapping[str, str]] | None = None,
) -> list[subprocess.Popen[str]]:
    """The commands of so many hosts, with more variables of the environment, and some of one host alone."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "drumgan_jax.cli", "train", f"--config={config}", f"--workdir={run}"]
    place = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count), "XLA_FLAGS": quick_flags(1)}
    return [
        subprocess.Popen(
            [*command, f"--config.train.host_timeout={timeout}"],
            env={
                **os.environ,
                **place,
                **(variables or {}),
                **(of_one or {}).get(process, {}),
                "JAX_PROCESS_ID": str(process),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(count)
    ]


def finish_all(config: Path, run: Path) -> None:
    processes = start(config, run, 30.0)
    said = [process.communicate(timeout=1200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * COUNT, said
