"""Chunks of RIFF files and their relatives: WAV, RIFX, RF64, BW64, W64, AIFF, AIFF-C and CAF.

Layouts: Microsoft and IBM, Multimedia Programming Interface 1.0 (RIFF); EBU Tech 3306 (RF64) and ITU-R BS.2088 (BW64);
Sony, Wave64; Apple, Audio Interchange File Format 1.3 and Core Audio Format 1.0.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

# Programs that stream to a pipe cannot know the length; they write zero, all ones, or a number near 2^31 or 2^32.
_NEAR = 2**12
_UNKNOWN_LONG = 2**62

# Names by which a header is told from one read a byte too early or too late.
_COMMON = frozenset(
    b"fmt |data|fact|LIST|acid|smpl|inst|cue |bext|junk|JUNK|PAD |id3 |ID3 |iXML|COMM|SSND|FVER|MARK|APPL".split(b"|")
)
_W64_ID = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"


class Chunk(NamedTuple):
    """One chunk of a file.

    Attributes:
        name: four bytes, such as b"data"; of W64, the first four of its GUID.
        offset: where its content begins, in bytes from the start of the file.
        size: bytes of its content that are in the file.
        missing: bytes that its header promises beyond the end of the file.
        streamed: whether its length is unknown, as of data written to a pipe; it then reaches to the end of the file.
    """

    name: bytes
    offset: int
    size: int
    missing: int = 0
    streamed: bool = False


class Layout(NamedTuple):
    """How a kind of file writes its chunks.

    Attributes:
        kind: RIFF, RIFX, RF64, W64, AIFF or CAF.
        first: where the first chunk begins.
        header: of a chunk: its name and the size of its content, for struct.
        counted: bytes of the header that the size includes.
        alignment: chunks begin at multiples of this many bytes.
        data: name of the chunk that holds the samples.
    """

    kind: str
    first: int
    header: str
    counted: int
    alignment: int
    data: bytes


_RIFF = Layout("RIFF", 12, "<4sI", 0, 2, b"data")
_LAYOUTS = {
    (b"RIFF", b"WAVE"): _RIFF,
    (b"RIFX", b"WAVE"): _RIFF._replace(kind="RIFX", header=">4sI"),
    (b"RF64", b"WAVE"): _RIFF._replace(kind="RF64"),
    (b"BW64", b"WAVE"): _RIFF._replace(kind="RF64"),
    (b"FORM", b"AIFF"): _RIFF._replace(kind="AIFF", header=">4sI", data=b"SSND"),
    (b"FORM", b"AIFC"): _RIFF._replace(kind="AIFF", header=">4sI", data=b"SSND"),
}
_W64 = Layout("W64", 40, "<4s12xQ", 24, 8, b"data")
_CAF = Layout("CAF", 8, ">4sQ", 0, 1, b"data")


def layout_of(file: BinaryIO) -> Layout | None:
    """The layout of a file, by its first bytes; None if it is not made of such chunks."""
    file.seek(0)
    start = file.read(16)
    if start == _W64_ID:
        return _W64
    return _CAF if start[:4] == b"caff" else _LAYOUTS.get((start[:4], start[8:12]))


def walk(file: BinaryIO) -> Iterator[Chunk]:
    """Yield the chunks of a file in order, up to its end or to where no chunk begins.

    A chunk of odd length whose pad byte was forgotten is found as well. LIST chunks are not entered.

    Args:
        file: seekable file opened for reading bytes; the caller may move it between chunks.
    """
    layout = layout_of(file)
    if layout is None:
        return
    end = file.seek(0, os.SEEK_END)
    long_sizes: dict[bytes, int] = {}
    at = layout.first
    while head := _head(file, layout, at):
        name, size = head
        start = at + struct.calcsize(layout.header)
        size = long_sizes.get(name, size) if size == 2**32 - 1 else size
        chunk = _chunk(file, layout, name, start, size, end)
        yield chunk
        if name == b"ds64":
            long_sizes = _long_sizes(file, chunk)
        if chunk.missing or chunk.streamed:
            return
        at = _next(file, layout, start + size, end)


def _chunk(file: BinaryIO, layout: Layout, name: bytes, start: int, size: int, end: int) -> Chunk:
    present = end - start
    if name == layout.data and present:
        # Without samples a file is whole, too: then another chunk follows.
        empty = size == 0 and _is_chunk(file, layout, start, end)
        # Beyond 4 GiB, 32 bits tell what is left of the size.
        wrapped = layout.header.endswith("I") and present - size >= 2**32
        if (size == 0 and not empty) or wrapped or _is_unknown(size, present):
            return Chunk(name, start, present, streamed=True)
    return Chunk(name, start, min(size, present), max(0, size - present))


def _is_unknown(size: int, present: int) -> bool:
    near = abs(size - 2**31) <= _NEAR or abs(size - 2**32) <= _NEAR or size >= _UNKNOWN_LONG
    return near and size > present


def _head(file: BinaryIO, layout: Layout, at: int) -> tuple[bytes, int] | None:
    """Name and size of the content of the chunk that begins at a byte; None if none does."""
    file.seek(at)
    header = file.read(struct.calcsize(layout.header))
    if len(header) < struct.calcsize(layout.header):
        return None
    name, size = struct.unpack(layout.header, header)
    if not all(0x20 <= byte < 0x7F for byte in name) or size < layout.counted:
        return None
    return name, size - layout.counted


def _is_chunk(file: BinaryIO, layout: Layout, at: int, end: int) -> bool:
    """Whether a whole chunk begins at a byte."""
    head = _head(file, layout, at)
    return head is not None and at + struct.calcsize(layout.header) + head[1] <= end


def _next(file: BinaryIO, layout: Layout, after: int, end: int) -> int:
    """Where the chunk after one that ends at byte `after` begins."""
    padded = after + -after % layout.alignment
    if padded != after + 1:
        return padded
    file.seek(after)
    if file.read(1) in (b"\0", b""):
        return padded
    # A pad byte that is not zero, or the next chunk's first one: the name tells.
    head = _head(file, layout, padded)
    if head and head[0] in _COMMON:
        return padded
    unpadded = _head(file, layout, after)
    found = unpadded and (unpadded[0] == layout.data or _is_chunk(file, layout, after, end))
    return after if found else padded


def _long_sizes(file: BinaryIO, ds64: Chunk) -> dict[bytes, int]:
    """Sizes by name from the chunk ds64, of chunks that have more bytes than 32 bits can tell."""
    file.seek(ds64.offset)
    content = file.read(min(ds64.size, 2**16))
    if len(content) < 28:
        return {}
    (data_size,) = struct.unpack_from("<Q", content, 8)
    (count,) = struct.unpack_from("<I", content, 24)
    sizes = {}
    for at in range(28, min(28 + 12 * count, len(content) - 11), 12):
        name, size = struct.unpack_from("<4sQ", content, at)
        sizes[name] = size
    # Zero and all ones: written to a pipe.
    return {**sizes, b"data": data_size or 2**64 - 1}
