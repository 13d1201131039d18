"""Files whose header does not tell where the samples are, under a header that does."""

import io
import os
import struct
from collections.abc import Mapping
from typing import BinaryIO

from drumgan_jax.audio.contents import STARTS, Contents
from drumgan_jax.audio.flac import counted
from drumgan_jax.audio.mpeg import Stream, end_of_tags, information_frame
from drumgan_jax.audio.riff import Chunk, Layout

_UNKNOWN = 2**32 - 1


def mended(file: BinaryIO, contents: Contents) -> BinaryIO:
    """The file itself, or one of which a decoder reads all samples and nothing else where it would not of this one.

    That is so of files that were written to a pipe (WAV and its relatives, CAF, AU, FLAC), and of WAVs with a chunk
    that lacks its pad byte; W64 is read too far, and MP3 of varying bit rate not far enough.

    Args:
        file: seekable file opened for reading bytes; must stay open while the result is read.
        contents: what it is made of.
    """
    if contents.layout:
        return _chunked(file, contents.layout, {chunk.name: chunk for chunk in reversed(contents.chunks)})
    if contents.stream:
        return _counted(file, contents.stream)
    if contents.flac:
        head = counted(file, contents.flac)
        return _behind(head, file, len(head)) if head else file
    file.seek(0)
    start = file.read(12)
    streamed = start[:4] in (b".snd", b"dns.") and start[8:] == bytes(4)
    return _behind(start[:8] + struct.pack("<I", _UNKNOWN), file, 12) if streamed else file


def without_tags(file: BinaryIO) -> BinaryIO:
    """The file, or what is behind the tags (ID3v2) that some programs write before other formats than MPEG's."""
    start = end_of_tags(file)
    file.seek(start)
    return _behind(b"", file, start) if start and file.read(4) in STARTS else file


def _chunked(file: BinaryIO, layout: Layout, chunks: Mapping[bytes, Chunk]) -> BinaryIO:
    data, form = chunks.get(layout.data), chunks.get(b"fmt ")
    if data is None:
        return file
    if layout.kind == "CAF":
        head = _head(file, data.offset - 8) + struct.pack(">Q", data.size)
        return _behind(head, file, data.offset) if data.streamed else file
    unpadded = layout.alignment == 2 and any(chunk.offset % 2 for chunk in chunks.values())
    # Of a W64, libsndfile takes what is behind the samples for samples.
    if form is None or not (data.streamed or unpadded or layout.kind == "W64"):
        return file
    return _behind(_wav_header(file, layout, form, data), file, data.offset, data.offset + data.size)


def _counted(file: BinaryIO, stream: Stream) -> BinaryIO:
    """The frames of layer III behind one that tells their number, which decoders else guess from the first bit rate."""
    if stream.promised >= stream.frames - 1 or stream.header[1] & 6 != 2:
        return file
    # One that tells another number, as where files were joined, stays: it is silent.
    return _behind(information_frame(stream.header, stream.frames), file, stream.start)


def _wav_header(file: BinaryIO, layout: Layout, form: Chunk, data: Chunk) -> bytes:
    """A header of a WAV with the chunk of a file's format, up to its samples."""
    order = layout.header[0]
    file.seek(form.offset)
    content = file.read(min(form.size, 2**16))
    described = b"fmt " + struct.pack(f"{order}I", len(content)) + content + bytes(len(content) % 2)
    size = 4 + len(described) + 8 + data.size + data.size % 2
    if size < _UNKNOWN:
        name = b"RIFX" if order == ">" else b"RIFF"
        counts = struct.pack(f"{order}I", size), struct.pack(f"{order}I", data.size)
        return name + counts[0] + b"WAVE" + described + b"data" + counts[1]
    unknown = struct.pack("<I", _UNKNOWN)
    sizes = b"ds64" + struct.pack("<IQQQI", 28, size + 36, data.size, 0, 0)
    return b"RF64" + unknown + b"WAVE" + sizes + described + b"data" + unknown


def _head(file: BinaryIO, end: int) -> bytes:
    file.seek(0)
    return file.read(end)


def _behind(head: bytes, file: BinaryIO, start: int, end: int | None = None) -> BinaryIO:
    return io.BufferedReader(_Joined(head, file, start, file.seek(0, os.SEEK_END) if end is None else end))


class _Joined(io.RawIOBase):
    """Some bytes, and behind them a part of a file."""

    def __init__(self, head: bytes, file: BinaryIO, start: int, end: int):
        self._head, self._file, self._start, self._end = head, file, start, end
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        length = len(self._head) + self._end - self._start
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: length}[whence]
        if at < 0:
            raise ValueError(f"negative seek position {at}")
        self._at = at
        return at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        wanted = len(buffer)
        if self._at < len(self._head):
            found = self._head[self._at : self._at + wanted]
        else:
            at = self._start + self._at - len(self._head)
            self._file.seek(at)
            found = self._file.read(max(0, min(wanted, self._end - at)))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
