"""Chunks of RIFF files and their relatives: whole, cut, streamed, unpadded."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from riff_bytes import chunk, encoded, hit, wav

from drumgan_jax.audio.riff import Chunk, layout_of, walk


def chunks(content: bytes) -> list[Chunk]:
    return list(walk(io.BytesIO(content)))


def named(content: bytes, name: bytes) -> Chunk:
    (found,) = [found for found in chunks(content) if found.name == name]
    return found


def content_of(file: bytes, found: Chunk) -> bytes:
    return file[found.offset : found.offset + found.size]


def test_chunks_around_the_samples_are_found_with_their_content() -> None:
    samples = hit(101)
    file = wav(samples, before=[chunk(b"acid", b"twentyfour bytes of loop")], after=[chunk(b"LIST", b"odd")])
    found = chunks(file)
    assert [one.name for one in found] == [b"fmt ", b"acid", b"data", b"LIST"]
    assert content_of(file, found[1]) == b"twentyfour bytes of loop"
    assert content_of(file, found[3]) == b"odd"
    np.testing.assert_array_equal(np.frombuffer(content_of(file, found[2]), "<i2"), np.round(samples[:, 0] * 32767))


@pytest.mark.parametrize(
    ("kind", "layout", "data"),
    [
        ("WAV", "RIFF", b"data"),
        ("RF64", "RF64", b"data"),
        ("W64", "W64", b"data"),
        ("AIFF", "AIFF", b"SSND"),
        ("CAF", "CAF", b"data"),
    ],
)
def test_each_kind_tells_where_its_samples_are_and_how_many_are_missing(kind: str, layout: str, data: bytes) -> None:
    samples = hit(1000, 2)
    file = encoded(samples, kind, "PCM_16")
    assert (kind_of := layout_of(io.BytesIO(file))) is not None
    assert (kind_of.kind, kind_of.data) == (layout, data)
    whole = named(file, data)
    assert (whole.missing, whole.streamed) == (0, False)
    order = ">i2" if layout in ("AIFF", "CAF") else "<i2"
    got = np.frombuffer(content_of(file, whole)[-4000:], order).reshape(-1, 2)
    np.testing.assert_allclose(got / 32768, samples, rtol=0, atol=2**-14)
    for cut in (1, 1500, whole.size):
        part = named(file[: whole.offset + whole.size - cut], data)
        assert (part.offset, part.size, part.missing) == (whole.offset, whole.size - cut, cut)


@pytest.mark.parametrize("size", [0, 2**31 - 2**12, 2**31 - 1, 2**31, 2**32 - 37, 2**32 - 1])
def test_samples_of_unknown_length_reach_to_the_end(size: int) -> None:
    file = wav(hit(500), data_size=size, riff_size=min(size, 2**32 - 1))
    assert named(file, b"data") == Chunk(b"data", 44, 1000, streamed=True)


def test_samples_beyond_the_reach_of_their_size_are_not_left_out(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(wav(hit(500)))
    os.truncate(path, 44 + 1000 + 2**32)
    with open(path, "rb") as file:
        assert list(walk(file))[-1] == Chunk(b"data", 44, 1000 + 2**32, streamed=True)


def test_no_samples_are_none_even_where_another_chunk_follows() -> None:
    none = hit(0)
    assert named(wav(none), b"data") == Chunk(b"data", 44, 0)
    file = wav(none, after=[chunk(b"LIST", b"INFO")])
    assert [(one.name, one.size, one.streamed) for one in chunks(file)[1:]] == [
        (b"data", 0, False),
        (b"LIST", 4, False),
    ]


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("name", [b"note", b"bext"])
def test_a_forgotten_pad_byte_is_noticed(name: bytes, pad: bool) -> None:
    file = wav(hit(300), before=[chunk(name, b"123", pad=pad), chunk(b"acid", b"12345", pad=pad)])
    assert [(one.name, one.size) for one in chunks(file)] == [(b"fmt ", 16), (name, 3), (b"acid", 5), (b"data", 600)]


def test_a_pad_byte_that_is_not_zero_is_still_one() -> None:
    file = bytearray(wav(hit(300), before=[chunk(b"note", b"123")]))
    file[file.index(b"123") + 3] = ord("x")
    assert [one.name for one in chunks(bytes(file))] == [b"fmt ", b"note", b"data"]


def test_long_sizes_come_from_ds64() -> None:
    table = struct.pack("<4sQ", b"note", 6)
    sizes = struct.pack("<QQQI", 0, 8, 2, 1) + table
    note = chunk(b"note", b"sixsix", size=2**32 - 1)
    data = chunk(b"data", b"8 bytes.", size=2**32 - 1)
    body = b"WAVE" + chunk(b"ds64", sizes) + note + data + chunk(b"LIST", b"INFO")
    file = b"RF64" + struct.pack("<I", 2**32 - 1) + body
    assert [(one.name, one.size, one.streamed) for one in chunks(file)[1:]] == [
        (b"note", 6, False),
        (b"data", 8, False),
        (b"LIST", 4, False),
    ]
    unknown = file.replace(sizes[:24], struct.pack("<QQQ", 0, 0, 0))
    assert named(unknown, b"data").streamed


def test_other_bytes_have_no_chunks() -> None:
    assert layout_of(io.BytesIO(b"OggS" + bytes(100))) is None
    for file in (b"", b"RIFF", b"RIFF\0\0\0\0AVI LIST", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVE\0\1\2\3\4\5\6\7"):
        assert chunks(file) == []


def test_every_beginning_of_a_file_is_walked_without_an_error() -> None:
    rng = np.random.default_rng(0)
    for kind in ("WAV", "RF64", "W64", "AIFF", "CAF"):
        file = encoded(hit(20), kind, "PCM_16")[:400]
        for end in range(0, len(file), 7):
            damaged = bytearray(file[:end])
            for at in rng.integers(0, max(end, 1), 3 if end else 0):
                damaged[at] = rng.integers(256)
            for one in chunks(bytes(damaged)):
                assert 0 <= one.offset <= one.offset + one.size <= end
                assert one.missing >= 0
