"""Weights as bytes: near what they were, in half the room, and small or whole-numbered ones as they were."""

import io
import json

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.weight_file import (
    FileFormat,
    in_bytes,
    out_of_bytes,
    read_weights,
    variables_digest,
    write_weights,
)

FORM = FileFormat("drumgan test", 1)
ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32(2.0), "names": np.array(["kick"])}
HEADER = {"step": 3, "card": {"rate": 0.1, "labels": ("x", "y"), "by": {10: 1, 2: 2}}}


@pytest.mark.parametrize(("bits", "most"), [(8, 127), (6, 31)])
def test_large_arrays_come_back_within_half_a_step_of_each_last_index(bits: int, most: int) -> None:
    random = np.random.default_rng(0)
    sizes = np.exp(random.uniform(-12, 3, 700))
    arrays = {
        "params/kernel": (random.normal(size=(3, 64, 700)) * sizes).astype(np.float32),
        "statistics/directions": (random.normal(size=(64, 700)) * sizes).astype(np.float16),
        "params/zeros": np.zeros((200, 300), np.float32),
        "params/small": random.normal(size=(3, 3)).astype(np.float32),
        "params/vector": random.normal(size=100_000).astype(np.float16),
        "counts": np.arange(40_000).reshape(200, 200),
    }
    packed = in_bytes(arrays, bits)
    assert packed["params/kernel"].dtype == np.int8
    assert packed["params/kernel#scale"].shape == (700,)
    whole = out_of_bytes(packed)
    assert whole.keys() == arrays.keys()
    for name in ("params/kernel", "statistics/directions", "params/zeros"):
        array = arrays[name].astype(np.float32)
        largest = np.abs(array).max(axis=tuple(range(array.ndim - 1)))
        error = np.abs(whole[name] - array).max(axis=tuple(range(array.ndim - 1)))
        assert np.all(error <= largest / (2 * most) * 1.01 + 1e-7)
        assert whole[name].dtype == np.float32
    for name in ("params/small", "params/vector", "counts"):
        np.testing.assert_array_equal(whole[name], arrays[name])
        assert whole[name].dtype == arrays[name].dtype


def test_components_are_part_of_what_a_model_is_known_by_and_the_average_is_not() -> None:
    params, statistics = {"a": np.ones(2, np.float32)}, {"directions": np.ones(3), "w_average": np.zeros(2)}
    known = variables_digest({"params": params, "statistics": statistics})
    assert known != variables_digest({"params": params})
    assert known != variables_digest({"params": params, "statistics": {**statistics, "directions": np.zeros(3)}})
    assert known == variables_digest({"params": params, "statistics": {**statistics, "w_average": np.ones(2)}})


class TestDigests:
    """What was written is what is read, or the file is refused."""

    @pytest.fixture
    def path(self, tmp_path):
        write_weights(tmp_path / "file.npz", FORM, HEADER, ARRAYS)
        return tmp_path / "file.npz"

    def rewrite(self, path, change):
        with np.load(path) as file:
            content = {name: file[name] for name in file.files}
        header = json.loads(content.pop("header").tobytes())
        change(header, content)
        np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **content)

    def test_what_was_written_is_read(self, path):
        read = read_weights(path, FORM, "a test")
        assert read.header == {"format": "drumgan test 1", **json.loads(json.dumps(HEADER))}
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(read.arrays[name], array)

    @pytest.mark.parametrize(
        "change",
        [
            lambda header, arrays: header.update(step=4),
            lambda header, arrays: header["card"].pop("rate"),
            lambda header, arrays: header.update(digest="0" * 64),
            lambda header, arrays: header.update(digest=None),
            lambda header, arrays: arrays.update(a=arrays["a"] + 1),
            lambda header, arrays: arrays.update(a=arrays["a"].reshape(3, 2)),
            lambda header, arrays: arrays.update(c=arrays.pop("b")),
        ],
    )
    def test_whatever_is_changed_is_noticed(self, path, change):
        self.rewrite(path, change)
        with pytest.raises(
            BadInput, match=r"file\.npz is damaged: .* not those that were written; write it again with"
        ):
            read_weights(path, FORM, "a test")

    def test_a_flipped_bit_of_the_file_is_noticed(self, path):
        whole = path.read_bytes()
        with np.load(io.BytesIO(whole)) as file:
            names = len(file.files)
        assert names == 4
        noticed, tried = 0, range(0, len(whole), 3)
        for position in tried:
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :])
            try:
                read = read_weights(path, FORM, "a test")
            except BadInput:
                noticed += 1
                continue
            # Dates of the archive, and versions of its programs.
            assert read.header == {"format": "drumgan test 1", **json.loads(json.dumps(HEADER))}
            for name, array in ARRAYS.items():
                np.testing.assert_array_equal(read.arrays[name], array)
        assert noticed > len(tried) / 2

    def test_a_file_of_an_earlier_version_has_none_and_is_read(self, path):
        self.rewrite(path, lambda header, arrays: header.pop("digest"))
        assert read_weights(path, FORM, "a test").header["step"] == 3


@pytest.mark.parametrize("written", ["  a.npz", " *a.npz", "  ./a.npz", "  a.npz\r"])
def test_a_file_that_is_listed_has_the_listed_digest(tmp_path, written):
    path = tmp_path / "a.npz"
    write_weights(path, FORM, HEADER, ARRAYS)
    sha256 = read_weights(path, FORM, "a test").sha256
    (tmp_path / "SHA256SUMS").write_bytes(f"{'0' * 64}  b.npz\n{sha256}{written}\n".encode() + b"\xff\n")
    assert read_weights(path, FORM, "a test").header["step"] == 3
    write_weights(path, FORM, {**HEADER, "step": 4}, ARRAYS)
    with pytest.raises(BadInput, match=r"a\.npz is damaged: its SHA-256 is [0-9a-f]{64}, not that in .*SHA256SUMS; "):
        read_weights(path, FORM, "a test")


def test_all_packaged_files_are_listed(repository):
    lists = sorted((repository / "drumgan_jax").rglob("SHA256SUMS"))
    listed = {str(one.parent / line.split("  ")[1]) for one in lists for line in one.read_text().splitlines()}
    assert listed == {str(path) for path in (repository / "drumgan_jax").rglob("*.npz")}
