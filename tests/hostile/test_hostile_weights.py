"""Damaged and harmful files of weights: the arrays that were written, or one sentence; nothing in them is executed."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch_writer as writer
from hostile_cases import SHARES, assert_none, faults, mutated_bytes, mutated_values

from drumgan_jax.core.weight_file import FileFormat, read_weights, write_weights
from drumgan_jax.weights.tensorflow_files import read_checkpoint
from drumgan_jax.weights.torch_files import read_state_dict

STATE = {"a.weight": np.arange(600, dtype=np.float32).reshape(20, 30), "a.bias": np.ones(20, np.float64)}
FORMAT = FileFormat("drumgan toy", 2)
EACH = 240
# Unpacked, of a file of some kB.
BOMB = 2**26


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(np.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "stream"])
def test_damaged_state_dicts(tmp_path: Path, share: int, legacy: bool) -> None:
    path = tmp_path / "weights.pth"
    writer.write(path, STATE, legacy)
    content = path.read_bytes()

    def read(damaged: bytes) -> dict[str, np.ndarray]:
        path.write_bytes(damaged)
        return read_state_dict(path)

    def wrong(_: bytes, found: dict[str, np.ndarray]) -> str:
        if same(found, STATE):
            return ""
        # A stream has no sums: its numbers may be others, but not more than there were.
        fits = legacy and sum(array.nbytes for array in found.values()) <= 2 * len(content)
        return "" if fits else f"other arrays: { ({name: array.shape for name, array in found.items()}) }"

    found, count = faults(mutated_bytes(content, EACH, int(legacy)), share, 3, read, wrong)
    assert count > EACH // (2 * share)
    assert_none(found)


def zipped(path: Path, opcodes: bytes, storages: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + opcodes + b".")
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)


def storage_of(count: int) -> np.ndarray:
    """An array that tells a size without taking it."""
    return np.broadcast_to(np.float32(0), count)


def test_a_storage_that_nothing_refers_to_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.pth"
    array = np.arange(6, dtype=np.float32)
    zipped(path, writer.ordered([("x", writer.tensor("0", array, False))]), {"0": array.tobytes(), "1": bytes(BOMB)})
    assert path.stat().st_size < BOMB // 500
    read, unpacked = zipfile.ZipFile.read, []

    def noted(archive: zipfile.ZipFile, name: Any) -> bytes:
        unpacked.append(name)
        return read(archive, name)

    monkeypatch.setattr(zipfile.ZipFile, "read", noted)
    np.testing.assert_array_equal(read_state_dict(path)["x"], array)
    assert [getattr(one, "filename", one).rpartition("/")[2] for one in unpacked] == ["data.pkl", "0"]


def harmful(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that unpack to far more than their tensors, tell other sizes, or are programs."""
    array = np.arange(6, dtype=np.float32)
    whole = writer.tensor("0", array, False)

    def made(name: str, opcodes: bytes, storages: dict[str, bytes]) -> tuple[str, Path]:
        path = folder / f"{name.replace(' ', '_')}.pth"
        zipped(path, opcodes, storages)
        return name, path

    few = writer.tensor("0", storage_of(BOMB // 4), False, shape=(6,), strides=(1,))
    yield made("few of many", writer.ordered([("x", few)]), {"0": bytes(BOMB)})
    yield made("longer than told", writer.ordered([("x", whole)]), {"0": bytes(BOMB)})
    yield made("shorter than told", writer.ordered([("x", whole)]), {"0": bytes(20)})
    yield made("no storage", writer.ordered([("x", whole)]), {})
    many = [(f"x{number}", writer.tensor("0", storage_of(2**20), False)) for number in range(64)]
    yield made("many of one", writer.ordered(many), {"0": bytes(2**22)})
    stretched = writer.tensor("0", array, False, shape=(2**20, 2**10), strides=(0, 0))
    yield made("stretched", writer.ordered([("x", stretched)]), {"0": array.tobytes()})
    for shape, strides in (((-1,), (1,)), ((6,), (-1,)), ((2**62, 8), (1, 1)), ((1,) * 70, (1,) * 70), ((2, 3), (3,))):
        odd = writer.tensor("0", array, False, shape=shape, strides=strides)
        yield made(f"shape {len(shape)} {shape[0]} {strides[0]}", writer.ordered([("x", odd)]), {"0": array.tobytes()})
    for module, name in (("os", "system"), ("builtins", "eval"), ("numpy", "load"), ("drumgan_jax.core.errors", "x")):
        call = writer.reference(module, name) + writer.value(("true",)) + b"R"
        yield made(f"calls {module} {name}", writer.ordered([("x", call)]), {})
    for name, value in (("a number", b"K\x01"), ("a list", b"]"), ("a text", b"X\x01\x00\x00\x00a"), ("nothing", b"N")):
        yield made(f"holds {name}", value, {})
    recursive = b"(lp0\n" + b"h\x00a" * 3
    yield made("a list in itself", recursive, {})
    deep = folder / "deep.pth"
    zipped(deep, b"(" * 100_000 + b"t" * 100_000, {})
    yield "nested tuples", deep


def test_harmful_state_dicts_are_refused(tmp_path: Path) -> None:
    def wrong(_: Path, found: Any) -> str:
        return f"accepted: {list(found)}"

    found, count = faults(harmful(tmp_path), 1, 0, read_state_dict, wrong)
    assert count > 20
    assert_none(found)


def varint(number: int) -> bytes:
    content = b""
    while number > 127:
        content, number = content + bytes([number & 127 | 128]), number >> 7
    return content + bytes([number])


def tensorflow(arrays: dict[str, np.ndarray]) -> tuple[bytes, bytes]:
    """Index and data of a checkpoint, in one block without shared keys."""
    data, block = b"", b""
    for name, array in arrays.items():
        dims = b"".join(b"\x12" + varint(len(dim)) + dim for dim in (b"\x08" + varint(size) for size in array.shape))
        entry = b"\x08\x01\x12" + varint(len(dims)) + dims
        entry += b"\x20" + varint(len(data)) + b"\x28" + varint(array.nbytes)
        block += varint(0) + varint(len(name)) + varint(len(entry)) + name.encode() + entry
        data += array.astype("<f4").tobytes()
    block += struct.pack("<II", 0, 1)
    handle = varint(0) + varint(len(block))
    outer = varint(0) + varint(1) + varint(len(handle)) + b"z" + handle + struct.pack("<II", 0, 1)
    place = len(block) + 5
    footer = (varint(0) + varint(0) + varint(place) + varint(len(outer))).ljust(40, b"\0")
    return block + bytes(5) + outer + bytes(5) + footer + struct.pack("<Q", 0xDB4775248B80FB57), data


@pytest.mark.parametrize("share", SHARES)
def test_damaged_tensorflow_checkpoints(share: int) -> None:
    arrays = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.ones(300, np.float32)}
    index, data = tensorflow(arrays)
    assert same(read_checkpoint(index, data), arrays)

    def wrong(_: bytes, found: dict[str, np.ndarray]) -> str:
        return "" if sum(array.nbytes for array in found.values()) <= 4 * len(data) else "more than its data"

    found, count = faults(mutated_bytes(index, EACH, 5), share, 4, lambda given: read_checkpoint(given, data), wrong)
    assert count > EACH // (2 * share)
    assert_none(found)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "toy.npz"
    arrays = {"params/a": np.arange(6.0).reshape(2, 3), "params/b": np.zeros(1000, np.float16)}
    write_weights(path, FORMAT, {"card": {"name": "x", "step": 3}, "labels": ["a", "b"]}, arrays)
    return path


@pytest.mark.parametrize("share", SHARES)
def test_damaged_packed_files(packed: Path, share: int) -> None:
    content, expected = packed.read_bytes(), read_weights(packed, FORMAT, "a toy")

    def read(damaged: bytes) -> Any:
        packed.write_bytes(damaged)
        return read_weights(packed, FORMAT, "a toy")

    def wrong(_: bytes, found: Any) -> str:
        is_same = found.header == expected.header and same(found.arrays, expected.arrays)
        return "" if is_same else "other contents"

    found, count = faults(mutated_bytes(content, EACH, 6), share, 5, read, wrong)
    assert count > EACH // (2 * share)
    assert_none(found)


@pytest.mark.parametrize("share", SHARES)
def test_other_headers_of_packed_files(packed: Path, share: int) -> None:
    with np.load(packed) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays["header"].tobytes())

    def read(text: str) -> Any:
        np.savez(packed, **{**arrays, "header": np.frombuffer(text.encode(), np.uint8)})
        return read_weights(packed, FORMAT, "a toy")

    # Without its digest, a header is that of an earlier version, and what it says is another's to check.
    inputs = [(name, text) for name, path, text, _ in mutated_values(header) if path != ("digest",)]
    found, count = faults(inputs, share, 6, read, lambda *_: "accepted with another header")
    assert count > len(inputs) // (2 * share)
    assert_none(found)


def odd_archives() -> Iterator[tuple[str, bytes]]:
    """Files of arrays whose headers lie, that hold objects, or that unpack to far more than they are."""

    def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", method) as file:
            for name, part in members.items():
                file.writestr(name, part)
        return content.getvalue()

    def array(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
        text = header.encode()
        size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
        return b"\x93NUMPY" + version + size + text + content

    plain = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }\n"
    for shape in ("(10**12,)", "(1000000000000,)", "(-1,)", "(4,)", "(2, 3", "(99999, 99999, 99999)", "[3]", "None"):
        yield f"shape {shape}", archive({"header.npy": array(plain % shape, bytes(12))})
    for descr in ("'|O'", "'<f999'", "[('a', '<f4')]", "'<M8[s]'", "None", "'<U4'", "'|V12'"):
        text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (3,), }}\n"
        yield f"dtype {descr}", archive({"header.npy": array(text, bytes(12))})
    yield "a program", archive({"header.npy": array("__import__('os').system('true')\n")})
    yield "deep", archive({"header.npy": array("(" * 5000 + ")" * 5000 + "\n")})
    yield "a long number", archive({"header.npy": array(plain % "(3L,)", bytes(12))})
    yield "version 3", archive({"header.npy": array(plain % "(3,)", bytes(12), b"\x03\x00")})
    yield "version 9", archive({"header.npy": array(plain % "(3,)", bytes(12), b"\x09\x00")})
    yield "no array", archive({"header.npy": b"text"})
    yield "another file", archive({"header.txt": b"text"})
    yield "a pickle", archive({"header.npy": pickle.dumps(print)})
    yield "no file", archive({})
    yield "compressed otherwise", archive({"header.npy": array(plain % "(3,)", bytes(12))}, zipfile.ZIP_LZMA)
    yield "a pickle alone", pickle.dumps({"header": 1})
    yield "an array alone", array(plain % "(3,)", bytes(12))


def test_odd_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.npz"

    def read(content: bytes) -> Any:
        path.write_bytes(content)
        return read_weights(path, FORMAT, "a toy")

    found, count = faults(odd_archives(), 1, 0, read, lambda *_: "accepted")
    assert count > 20
    assert_none(found)
