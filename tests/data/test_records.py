"""Random access to TFRecord shards: every byte that comes back is the one that was written."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data import records
from drumgan_jax.data.records import INDEX_NAME, RecordSource, frame_record, masked_crc, write_index


@pytest.fixture
def shards(tmp_path):
    rng = np.random.default_rng(0)
    payloads = [rng.bytes(int(size)) for size in [0, 1, 7, 100, 2000, 3, 0, 50, 64, 9]]
    return tmp_path, payloads, write_shards(tmp_path, payloads)


def write_shards(folder, payloads, count=3, split="train"):
    paths = []
    for shard, items in enumerate(np.array_split(np.arange(len(payloads)), count)):
        paths.append(folder / f"set-{split}.tfrecord-{shard:05d}-of-{count:05d}")
        paths[-1].write_bytes(b"".join(frame_record(payloads[i]) for i in items))
    return paths


@pytest.mark.smoke
def test_masked_crc_is_the_formats():
    # The check value of CRC-32C (Castagnoli) is 0xE3069283; TFRecord rotates it right by 15 and adds a constant.
    crc = 0xE3069283
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def test_records_come_back_in_order(shards):
    folder, payloads, _ = shards
    write_index(folder)
    write_shards(folder, [b"other"], count=1, split="test")
    (folder / INDEX_NAME).unlink()
    write_index(folder)
    source = RecordSource(folder, "train")
    assert [source[i] for i in range(len(source))] == payloads
    assert [RecordSource(folder, "test")[0]] == [b"other"]
    with pytest.raises(IndexError):
        source[len(payloads)]
    with pytest.raises(BadInput, match="no split 'valid'; it has test, train"):
        RecordSource(folder, "valid")


def test_missing_index_is_made_anew(shards):
    folder, payloads, _ = shards
    source = RecordSource(folder, "train")
    assert (folder / INDEX_NAME).is_file()
    assert [source[i] for i in range(len(source))] == payloads


def test_data_set_that_cannot_be_written_to(shards, monkeypatch):
    folder, payloads, _ = shards

    def refuse(directory):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(records, "write_index", refuse)
    assert RecordSource(folder, "train")[3] == payloads[3]
    assert not (folder / INDEX_NAME).exists()


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), indexed=st.booleans())
def test_any_flipped_bit_is_found_and_named(tmp_path_factory, place, bit, indexed):
    folder = tmp_path_factory.mktemp("flip")
    payloads = [bytes([i]) * 40 for i in range(6)]
    path = write_shards(folder, payloads, count=2)[1]
    if indexed:
        write_index(folder)
    raw = bytearray(path.read_bytes())
    position = int(place * len(raw))
    raw[position] ^= 1 << bit
    path.write_bytes(raw)
    record = position // len(frame_record(payloads[0]))
    with pytest.raises(BadInput, match=f"{path.name}: record {record} .*prepare the data set again"):
        [source[i] for source in [RecordSource(folder, "train")] for i in range(len(source))]


@pytest.mark.parametrize("indexed", [True, False])
def test_truncated_shard_is_named(shards, indexed):
    folder, payloads, paths = shards
    if indexed:
        write_index(folder)
    raw = paths[1].read_bytes()
    paths[1].write_bytes(raw[: len(frame_record(payloads[4])) + 5])  # within the shard's second record
    with pytest.raises(BadInput, match=f"{paths[1].name}: record 1 is truncated"):
        RecordSource(folder, "train")


def test_other_damage_has_a_sentence_each(shards):
    folder, _, paths = shards
    write_index(folder)
    raw = paths[0].read_bytes()
    paths[0].write_bytes(raw + b"more")
    with pytest.raises(BadInput, match=r"bytes, but record_index\.npz expects .*delete record_index\.npz"):
        RecordSource(folder, "train")
    paths[0].unlink()
    with pytest.raises(BadInput, match=f"{paths[0].name} is missing"):
        RecordSource(folder, "train")
    paths[0].write_bytes(raw)
    (folder / INDEX_NAME).write_bytes(b"PK not a zip")
    with pytest.raises(BadInput, match=r"record_index\.npz is damaged .*; delete it"):
        RecordSource(folder, "train")
    with pytest.raises(BadInput, match="has no TFRecord shards"):
        write_index(folder.parent / "nowhere")


def test_write_index_is_atomic(shards, monkeypatch):
    folder, _, _ = shards
    write_index(folder)
    before = (folder / INDEX_NAME).read_bytes()

    def fail(path, **arrays):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(KeyboardInterrupt):
        write_index(folder)
    assert (folder / INDEX_NAME).read_bytes() == before
    assert not [path for path in folder.iterdir() if "partial" in path.name]
