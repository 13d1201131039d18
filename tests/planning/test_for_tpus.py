"""Programs for TPUs that are not here, compiled by libtpu."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.planning.chips import CHIPS
from drumgan_jax.planning.topologies import Topology

pytest.importorskip("libtpu", reason="libtpu is not installed (pip install 'drumgan-jax[plan]')")


def test_data_span_slices_and_fsdp_stays_within_one() -> None:
    devices = Topology.parse("2xv5e:4x4").devices()
    mesh = make_mesh(fsdp=8, devices=devices)
    assert dict(mesh.shape) == {"data": 4, "fsdp": 8}
    slices = np.vectorize(lambda device: device.slice_index)(mesh.devices)
    np.testing.assert_array_equal(slices, np.repeat([[0], [0], [1], [1]], 8, axis=1))
    with pytest.raises(BadInput, match=r"on 2 slices; `data` must be a multiple of 2"):
        make_mesh(fsdp=32, devices=devices)


@pytest.mark.parametrize("text", ["v5e:4x4", "v5p:2x2x4", "v6e:4x4", "2xv5e:2x2"])
def test_chips_and_hosts_are_those_that_the_compiler_knows(text: str) -> None:
    topology = Topology.parse(text)
    devices = topology.devices()
    assert len(devices) == topology.chips
    assert len({(getattr(one, "slice_index", None), one.process_index) for one in devices}) == topology.hosts
    assert {one.platform for one in devices} == {"tpu"}


def test_a_shape_that_the_compiler_does_not_know() -> None:
    odd = Topology("v5e:3x5", CHIPS["v5e"], 1, (3, 5))
    with pytest.raises(BadInput, match=r"^--topology v5e:3x5 cannot be compiled for \(.*\); take another shape\.$"):
        odd.devices()


def test_a_lock_that_another_process_holds() -> None:
    """The lock is no obstacle, unless the user says that it is one."""
    lock = Path("/tmp/libtpu_lockfile")
    if lock.exists() and not os.access(lock, os.W_OK):
        pytest.skip(f"{lock} is another user's")
    asking = "from drumgan_jax.planning.topologies import Topology; print(len(Topology.parse('v5e:2x2').devices()))"
    with open(lock, "a") as held:
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for shared, returned, said in (("1", 0, ""), ("0", 1, "another process holds the lock of libtpu")):
            ended = subprocess.run(
                [sys.executable, "-c", asking],
                env={**os.environ, "JAX_PLATFORMS": "cpu", "ALLOW_MULTIPLE_LIBTPU_LOAD": shared},
                capture_output=True,
                text=True,
            )
            assert ended.returncode == returned
            assert said in ended.stderr
            assert "could not determine" not in ended.stderr


@pytest.mark.slow
def test_electrogan_is_planned_for_four_chips(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "drumgan_jax.cli", "plan", "--config=electrogan:tiny", "--topology=v5e:2x2"]
    variables = {**os.environ, "DRUMGAN_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    ended = subprocess.run(
        [*command, "--price=1.2", f"--json={tmp_path / 'plan.json'}"],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "which fits" in ended.stdout
    assert "at 1.2 a chip-hour" in ended.stdout
    plan = json.loads((tmp_path / "plan.json").read_text())
    programs = {one["name"]: one for one in plan["programs"]}
    assert set(programs) == {"generator", "discriminator", "r1", "path_length", "sampler"}
    assert plan["dtype"] == "bfloat16"
    assert all(one["measures"]["flops"] > 0 and one["seconds"]["least"] > 0 for one in programs.values())
    assert plan["state"] < plan["peak"] < plan["topology"]["chip"]["memory"]
    # Every chip sums the gradients of its player, of two or four bytes a parameter.
    assert programs["generator"]["measures"]["collectives"]["all-reduce"] > 0
