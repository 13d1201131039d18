"""Checkpoints that TensorFlow writes come back without it; what is none is one sentence."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.weights.tensorflow_files import read_checkpoint

ARRAYS = {
    **{f"block/conv2d_{i}/kernel": np.random.default_rng(i).normal(size=(7, 3, 1, 5)).astype("f4") for i in range(40)},
    "block/scale": np.float64([1.5, -2.5]),
    "counter": np.int64(300),
    "empty": np.zeros((0, 3), np.float32),
    "steps": np.int32([[1, 2], [3, 70_000]]),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The index and the data of a checkpoint of ARRAYS."""
    tensorflow = pytest.importorskip("tensorflow")
    prefix = tmp_path_factory.mktemp("checkpoint") / "model"
    tensorflow.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(ARRAYS),
        shape_and_slices=[""] * len(ARRAYS),
        tensors=list(ARRAYS.values()),
    )
    return tuple(Path(f"{prefix}.{end}").read_bytes() for end in ("index", "data-00000-of-00001"))


def test_arrays_come_back_by_name_dtype_and_shape(checkpoint: tuple[bytes, bytes]) -> None:
    found = read_checkpoint(*checkpoint)
    assert list(found) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("part", [0, 1])
def test_a_checkpoint_cut_short_is_refused_wherever_it_ends(checkpoint: tuple[bytes, bytes], part: int) -> None:
    for share in np.linspace(0.0, 1.0, 30, endpoint=False):
        damaged = list(checkpoint)
        damaged[part] = damaged[part][: int(len(damaged[part]) * share)]
        with pytest.raises(BadInput, match="the TensorFlow checkpoint cannot be read"):
            read_checkpoint(*damaged)


def test_an_index_of_other_bytes_is_refused(checkpoint: tuple[bytes, bytes]) -> None:
    index, data = checkpoint
    with pytest.raises(BadInput, match="its index is no table"):
        read_checkpoint(index[:-1] + b"x", data)
    random = np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(index)
        spoilt[random.integers(len(index))] = random.integers(256)
        with contextlib.suppress(BadInput):
            read_checkpoint(bytes(spoilt), data)
