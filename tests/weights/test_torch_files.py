"""State dicts in both of PyTorch's formats; damaged files and pickles that ask for more are refused."""

import zipfile

import numpy as np
import pytest
import torch_writer as writer

from drumgan_jax.core.errors import BadInput
from drumgan_jax.weights.torch_files import read_state_dict

FORMATS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "stream"])


def state():
    random = np.random.default_rng(0)
    return {
        "conv.weight": random.normal(size=(4, 3, 2, 2)).astype(np.float32),
        "conv.bias": random.normal(size=4),
        "half": random.normal(size=(2, 2)).astype(np.float16),
        "count": np.array(7, np.int64),
        "empty": np.zeros((0, 4), np.float32),
        "mask": np.array([True, False]),
    }


@FORMATS
@pytest.mark.smoke
def test_arrays_come_back_by_name_dtype_and_shape(tmp_path, legacy):
    writer.write(tmp_path / "weights.pth", state(), legacy)
    found = read_state_dict(tmp_path / "weights.pth")
    assert list(found) == list(state())
    for name, array in state().items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@FORMATS
def test_views_and_parameters_are_read_through(tmp_path, legacy):
    numbers = np.arange(12, dtype=np.float32)
    transposed = writer.tensor("0", numbers, legacy, shape=(3, 2), strides=(1, 4), offset=1)
    parameter = writer.reference("torch._utils", "_rebuild_parameter")
    parameter += writer.value((writer.tensor("0", numbers, legacy), True, writer.ordered([]))) + b"R"
    # Modules pickle their version as an attribute of the dict.
    attributes = b"}" + writer.value("_metadata") + writer.ordered([]) + b"sb"
    opcodes = writer.ordered([("view", transposed), ("whole", parameter)]) + attributes
    writer.write_raw(tmp_path / "weights.pth", opcodes, {"0": numbers}, legacy)
    found = read_state_dict(tmp_path / "weights.pth")
    np.testing.assert_array_equal(found["view"], numbers[1:9].reshape(2, 4)[:, :3].T)
    np.testing.assert_array_equal(found["whole"], numbers)


@FORMATS
def test_of_a_trainings_checkpoint_the_weights_are_read(tmp_path, legacy):
    weights, moments = np.arange(6, dtype=np.float32), np.ones(6, np.float32)
    model = writer.ordered([("x", writer.tensor("0", weights, legacy, (2, 3), (3, 1)))])
    optimizer = writer.ordered([(0, writer.ordered([("exp_avg", writer.tensor("1", moments, legacy))]))])
    saved = [("epoch", 7), ("model_state_dict", model), ("optimizer_state_dict", optimizer), ("loss", 0.25)]
    arrays = {"0": weights, "1": moments}
    writer.write_raw(tmp_path / "weights.ckpt", writer.ordered(saved), arrays, legacy)
    found = read_state_dict(tmp_path / "weights.ckpt")
    assert list(found) == ["x"]
    np.testing.assert_array_equal(found["x"], weights.reshape(2, 3))
    writer.write_raw(tmp_path / "weights.ckpt", writer.ordered([("model_state_dict", 1)]), {}, legacy)
    with pytest.raises(BadInput, match="'model_state_dict' is not a tensor"):
        read_state_dict(tmp_path / "weights.ckpt")


@FORMATS
@pytest.mark.smoke
@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("torch.nn", "Linear"), ("numpy", "load"), ("torch", "_utils")],
)
def test_a_pickle_that_asks_for_anything_else_is_refused_and_not_run(tmp_path, legacy, module, name):
    trap = tmp_path / "trap"
    call = writer.reference(module, name) + writer.value((f"touch {trap}",)) + b"R"
    writer.write_raw(tmp_path / "weights.pth", writer.ordered([("x", call)]), {}, legacy)
    with pytest.raises(BadInput, match=f"uses {module}.{name}"):
        read_state_dict(tmp_path / "weights.pth")
    assert not trap.exists()


@FORMATS
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((13,), (1,), 0), ((4,), (1,), 9), ((3, 5), (5, 1), 0), ((2,), (-1,), 3), ((2**40,), (0,), 0), ((2,), (1,), -1)],
)
def test_tensors_beyond_their_storage_are_refused(tmp_path, legacy, shape, strides, offset):
    numbers = np.arange(12, dtype=np.float32)
    opcodes = writer.ordered([("x", writer.tensor("0", numbers, legacy, shape, strides, offset))])
    writer.write_raw(tmp_path / "weights.pth", opcodes, {"0": numbers}, legacy)
    with pytest.raises(BadInput, match="x reaches beyond"):
        read_state_dict(tmp_path / "weights.pth")


@FORMATS
def test_what_is_no_tensor_by_name_is_refused(tmp_path, legacy):
    path = tmp_path / "weights.pth"
    for opcodes, message in (
        (writer.ordered([("epoch", 3)]), "'epoch' is not a tensor"),
        (writer.value((1, 2)), "holds a tuple"),
        (writer.ordered([(5, writer.tensor("0", np.zeros(1), legacy))]), "5 is not a tensor"),
    ):
        writer.write_raw(path, opcodes, {"0": np.zeros(1)} if b"Storage" in opcodes else {}, legacy)
        with pytest.raises(BadInput, match=message):
            read_state_dict(path)


@FORMATS
def test_no_prefix_of_a_file_and_no_other_file_is_taken_for_one(tmp_path, legacy):
    writer.write(tmp_path / "whole.pth", {"x": np.arange(64, dtype=np.float32), "y": np.arange(3)}, legacy)
    content = (tmp_path / "whole.pth").read_bytes()
    path = tmp_path / "part.pth"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(BadInput, match=r"part\.pth is not a readable PyTorch state dict"):
            read_state_dict(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadInput, match="not a readable PyTorch state dict"):
        read_state_dict(path)
    with pytest.raises(BadInput, match="cannot be opened"):
        read_state_dict(tmp_path / "absent.pth")


@FORMATS
@pytest.mark.parametrize("name", ["_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"])
@pytest.mark.parametrize("slots", [False, True])
def test_a_pickle_sets_no_attributes_of_what_it_is_given(tmp_path, legacy, name, slots):
    attributes = {"__doc__": "changed", "left": 1}
    build = writer.reference("torch._utils", name) + writer.value((None, attributes) if slots else attributes) + b"b"
    writer.write_raw(tmp_path / "weights.pth", writer.ordered([("x", build)]), {}, legacy)
    with pytest.raises(BadInput, match=r"no attribute|read-only"):
        read_state_dict(tmp_path / "weights.pth")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_in_a_compressed_archive_is_told(tmp_path, method):
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", bytes(range(256)) * 8)
    content = bytearray(path.read_bytes())
    start = 30 + len("archive/data.pkl")
    content[start + 4 : start + 40] = b"\xff" * 36
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not a readable PyTorch state dict"):
        read_state_dict(path)


def test_an_encrypted_archive_is_told(tmp_path):
    path = tmp_path / "weights.pth"
    writer.write(path, {"x": np.arange(3.0)})
    content = bytearray(path.read_bytes())
    # The flag is in the header before each content, and again in the directory at the end.
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(BadInput, match="encrypted"):
        read_state_dict(path)


@FORMATS
def test_a_deeply_nested_name_is_told(tmp_path, legacy):
    name = b")" + b"\x85" * 5000
    writer.write_raw(tmp_path / "weights.pth", writer.ordered([(name, 3)]), {}, legacy)
    with pytest.raises(BadInput, match="recursion"):
        read_state_dict(tmp_path / "weights.pth")


def test_an_error_while_reading_is_not_told_as_one_of_opening(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(22, "Invalid argument")

    writer.write(tmp_path / "weights.pth", state())
    monkeypatch.setattr(zipfile, "is_zipfile", fail)
    with pytest.raises(BadInput, match=r"not a readable PyTorch state dict .*Invalid argument"):
        read_state_dict(tmp_path / "weights.pth")
