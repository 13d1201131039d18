"""Devices in two axes, and the rules by which arrays are laid on them."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import AXES, check_batch, local_rows, make_mesh, platform_of, state_shardings


@pytest.mark.smoke
def test_mesh_takes_what_is_left():
    assert dict(make_mesh().shape) == {"data": 4, "fsdp": 1}
    assert dict(make_mesh(-1, 2).shape) == {"data": 2, "fsdp": 2}
    assert dict(make_mesh(1, -1).shape) == {"data": 1, "fsdp": 4}
    assert all(kind == jax.sharding.AxisType.Auto for kind in make_mesh().axis_types)


def test_mesh_of_given_devices() -> None:
    two = jax.devices()[:2]
    mesh = make_mesh(devices=two)
    assert dict(mesh.shape) == {"data": 2, "fsdp": 1}
    assert list(mesh.devices.flat) == two
    assert platform_of(mesh) == "cpu"


@pytest.mark.parametrize(
    ("data", "fsdp", "match"),
    [
        (3, 1, r"data=3, fsdp=1, which does not fit the 4 device"),
        (-1, 3, r"data=-1, fsdp=3, which does not fit the 4"),
        (-1, -1, r"does not fit the 4"),
        (0, 1, r"config\.mesh\.data is 0"),
        (1, -2, r"config\.mesh\.fsdp is -2"),
    ],
)
def test_mesh_that_does_not_fit(data, fsdp, match):
    with pytest.raises(BadInput, match=match):
        make_mesh(data, fsdp)


def test_batch_that_does_not_divide():
    check_batch(4, 16, 4)
    with pytest.raises(BadInput, match=r"is 10, which 4 device\(s\) x 2 micro-batch\(es\) .* multiple of 8, such as 8"):
        check_batch(4, 10, 2)


def test_big_parameters_are_split_over_fsdp():
    def specs(fsdp, *shapes):
        leaves = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
        return [sharding.spec for sharding in state_shardings(make_mesh(-1, fsdp), leaves)]

    big, wide, small, odd = (3, 3, 256, 512), (512, 256), (64,), (3, 3, 255, 511)
    assert specs(2, big, wide, small, odd) == [P(None, None, None, "fsdp"), P("fsdp", None), P(), P()]
    assert specs(1, big) == [P()]


@pytest.mark.parametrize("fsdp", [1, 2, 4])
def test_one_process_holds_all_rows(fsdp):
    assert AXES == ("data", "fsdp")
    np.testing.assert_array_equal(local_rows(make_mesh(-1, fsdp), 8), np.arange(8))
