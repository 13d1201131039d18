"""Whether a file of audio is whole: what decoders pass over, and a shorter sound would come of.

Layouts: RFC 3533 (Ogg); Sun, .au; drumgan_jax.audio.riff and drumgan_jax.audio.mpeg for the others.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from drumgan_jax.audio.contents import Contents
from drumgan_jax.audio.flac import START, FlacStream
from drumgan_jax.audio.mpeg import Stream
from drumgan_jax.audio.riff import Chunk, Layout

TRUNCATED = "is truncated: it ends before its header says"
SEVERAL = "holds several streams, of which the decoder reads only the first"

# Some programs count a few bytes of the header to the samples.
_SLACK = 128

_PAGE = struct.Struct("<4sBBqIIIB")  # Of Ogg: capture pattern, version, flags, position, stream, number, sum, segments.
_FIRST, _LAST = 2, 4
# Of WAV: kind, channels, rate, bytes a second, bytes a frame, bits; and the kinds whose samples are plain numbers.
_FORMAT = struct.Struct("<HHIIHH")
_PLAIN = (1, 3, 6, 7, 0xFFFE)
_BYTES = (6, 7)
# Of AIFF: channels, frames, bits; and the codings of AIFF-C whose samples are plain numbers.
_COMMON = struct.Struct(">hIh")
_PLAIN_AIFC = (b"NONE", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64", b"raw ")
_BLOCK = 2**16
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def fault(file: BinaryIO, contents: Contents) -> str | None:
    """What is wrong with a file, as the predicate of a sentence; None if nothing that its format can tell.

    Formats that are known: WAV and its relatives, AIFF, CAF, AU, Ogg (Vorbis, Opus, FLAC), FLAC and MPEG audio. The
    sums of FLAC's frames are checked by its decoder.

    Args:
        file: seekable file opened for reading bytes.
        contents: what it is made of.
    """
    if contents.layout:
        chunks = contents.layout, contents.chunks
        return _chunks(*chunks) or _size(file, *chunks) or _format(file, *chunks) or _aiff(file, *chunks)
    if contents.flac:
        return _flac(file, contents.flac)
    file.seek(0)
    start = file.read(4)
    if start == b"OggS":
        return _ogg(file)
    if start in (b".snd", b"dns."):
        return _au(file, ">" if start == b".snd" else "<")
    return _frames(contents.stream) if contents.stream else None


def _chunks(layout: Layout, chunks: Sequence[Chunk]) -> str | None:
    if not chunks or not chunks[-1].missing:
        return None
    last = chunks[-1]
    if last.name == layout.data:
        return TRUNCATED if last.missing > min(_SLACK, 0.02 * (last.size + last.missing)) else None
    # What is behind the samples is no sound.
    return None if any(chunk.name == layout.data for chunk in chunks) else TRUNCATED


def _format(file: BinaryIO, layout: Layout, chunks: Sequence[Chunk]) -> str | None:
    """The numbers in a WAV's format must fit each other, so that a damaged one is noticed."""
    form = next((chunk for chunk in chunks if chunk.name == b"fmt " and chunk.size >= _FORMAT.size), None)
    if form is None:
        return None
    file.seek(form.offset)
    content = file.read(_FORMAT.size)
    kind, channels, rate, bytes_a_second, frame, bits = struct.unpack(layout.header[0] + _FORMAT.format[1:], content)
    if kind not in _PLAIN:
        return None
    whole = channels * (1 if kind in _BYTES else -(-bits // 8))
    # 24 bits may lie in 32.
    frames = (whole, 4 * channels) if (kind, bits) == (1, 24) else (whole,)
    wrong_bits = kind in _BYTES and bits not in (8, 16)
    # Some programs write 0 for the bytes a frame, and for those a second 0, all ones, one channel's or the sample rate.
    rates = (rate * frame, rate * frame // max(channels, 1), rate, 0, 2**32 - 1)
    if wrong_bits or frame not in (*frames, 0) or bytes_a_second not in (*rates, rate * whole):
        return (
            f"contradicts itself in its header: {channels} x {bits} bits at {rate} Hz are not {frame} bytes a"
            f" frame and {bytes_a_second} a second"
        )
    return None


def _size(file: BinaryIO, layout: Layout, chunks: Sequence[Chunk]) -> str | None:
    """Chunks must go on to where a RIFF or AIFF says that it ends: a damaged length hides what is behind it."""
    if layout.kind not in ("RIFF", "RIFX", "AIFF") or not chunks or chunks[-1].streamed or chunks[-1].missing:
        return None
    file.seek(4)
    told = 8 + int.from_bytes(file.read(4), "big" if layout.header[0] == ">" else "little")
    last = chunks[-1]
    is_within = last.offset + last.size + _SLACK < told <= file.seek(0, os.SEEK_END)
    return "is damaged: its chunks end before its header says" if is_within else None


def _aiff(file: BinaryIO, layout: Layout, chunks: Sequence[Chunk]) -> str | None:
    """The number of frames that an AIFF tells must be that of its samples."""
    found = {chunk.name: chunk for chunk in reversed(chunks)}
    common, data = found.get(b"COMM"), found.get(b"SSND")
    if layout.kind != "AIFF" or common is None or data is None or data.streamed or common.size < _COMMON.size:
        return None
    file.seek(common.offset)
    content = file.read(22)
    channels, frames, bits = _COMMON.unpack(content[: _COMMON.size])
    if common.size >= 22 and content[18:22] not in _PLAIN_AIFC:
        return None
    told = frames * channels * -(-bits // 8)
    if frames and abs(told - (data.size + data.missing - 8)) > _SLACK:
        return f"contradicts itself: {channels} x {bits} bits of {frames:,} frames are not its {data.size - 8:,} bytes"
    return None


def _flac(file: BinaryIO, stream: FlacStream) -> str | None:
    """The header must say what the frames say, and no other stream may follow."""
    file.seek(stream.frames_at)
    if _rest_holds(file, b"", START):
        return SEVERAL
    if stream.frame_rate not in (0, stream.rate):
        return f"is damaged: its header says {stream.rate} Hz, and its frames {stream.frame_rate} Hz"
    if not stream.frame_samples or not stream.samples or stream.frame_samples == stream.samples:
        return None
    if stream.frame_samples < stream.samples:
        return TRUNCATED
    return f"is damaged: its header says {stream.samples:,} samples, and its frames {stream.frame_samples:,}"


def _au(file: BinaryIO, order: str) -> str | None:
    offset, size = struct.unpack(f"{order}II", (file.read(8) + bytes(8))[:8])
    end = file.seek(0, os.SEEK_END)
    return TRUNCATED if size != 2**32 - 1 and offset + size > end + _SLACK else None


def _ogg(file: BinaryIO) -> str | None:
    """Every page's sum and number are checked, and that each stream has its last page."""
    file.seek(0)
    due: dict[int, int] = {}
    ended = False
    while header := file.read(_PAGE.size):
        if not header.startswith(b"OggS"):
            if _rest_holds(file, header, b"OggS"):
                return "is damaged: between pages of its Ogg stream are bytes that are none"
            break
        if len(header) < _PAGE.size:
            return TRUNCATED
        _, _, flags, _, stream, number, checksum, segments = _PAGE.unpack(header)
        lacing = file.read(segments)
        body = file.read(sum(lacing))
        if len(lacing) < segments or len(body) < sum(lacing):
            return TRUNCATED
        if _ogg_sum(header[:22] + bytes(4) + header[26:] + lacing + body) != checksum:
            return "is damaged: a page of its Ogg stream has a wrong checksum"
        if flags & _FIRST and (due or ended):
            return SEVERAL
        if not flags & _FIRST and due.get(stream) != number:
            return "is damaged: pages of its Ogg stream are missing"
        due[stream] = number + 1
        if flags & _LAST:
            del due[stream]
            ended = True
    return TRUNCATED if due else None


def _ogg_sum(page: bytes) -> int:
    """Ogg's CRC-32, of the polynomial of zlib's, but of the highest bit first and without inversions."""
    reverse = zlib.crc32(page.translate(_REVERSED), 2**32 - 1) ^ (2**32 - 1)
    return int(f"{reverse:032b}"[::-1], 2)


def _rest_holds(file: BinaryIO, before: bytes, pattern: bytes) -> bool:
    kept = before[1:]
    while block := file.read(_BLOCK):
        if pattern in kept + block:
            return True
        kept = block[1 - len(pattern) :]
    return pattern in kept


def _frames(stream: Stream) -> str | None:
    """Frames follow each other without a gap, and are as many as the first one tells."""
    if stream.gap:
        return "is damaged: between its MPEG frames are bytes that are none"
    # Some programs count the first frame, which tells the number, too.
    missing = stream.promised - (stream.frames - 1 - stream.cut)
    return TRUNCATED if stream.promised and missing > (0 if stream.cut else 1) else None
