"""Whether a file of audio is whole: what decoders pass over, and a shorter sound would come of.

Layouts: RFC 3533 (Ogg); ISO 11172-3 and 13818-3 (MPEG audio); Sun, .au; drumgan_jax.audio.riff for the others.
"""

import functools
import os
import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from drumgan_jax.audio.riff import Chunk, Contents, Layout

TRUNCATED = "is truncated: it ends before its header says"

# Some programs count a few bytes of the header to the samples.
_SLACK = 128

_PAGE = struct.Struct("<4sBBqIIIB")  # Of Ogg: capture pattern, version, flags, position, stream, number, sum, segments.
_FIRST, _LAST = 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

# Of MPEG audio, by layer: kbit/s of the bit rates of MPEG 1 and of 2 and 2.5, and samples a frame of both.
_BIT_RATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLES = {(1, 1): 384, (1, 2): 1152, (1, 3): 1152, (2, 1): 384, (2, 2): 1152, (2, 3): 576}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_SEARCH = 2**16


def fault(file: BinaryIO, contents: Contents) -> str | None:
    """What is wrong with a file, as the predicate of a sentence; None if nothing that its format can tell.

    Formats that are known: WAV and its relatives, AIFF, CAF, AU, Ogg (Vorbis, Opus, FLAC) and MPEG audio. FLAC has
    sums that its decoder checks.

    Args:
        file: seekable file opened for reading bytes.
        contents: its chunks.
    """
    if contents.layout:
        return _chunks(contents.layout, contents.chunks)
    file.seek(0)
    start = file.read(4)
    if start == b"OggS":
        return _ogg(file)
    if start in (b".snd", b"dns."):
        return _au(file, ">" if start == b".snd" else "<")
    return None if start == b"fLaC" else _mpeg(file)


def _chunks(layout: Layout, chunks: Sequence[Chunk]) -> str | None:
    if not chunks or not chunks[-1].missing:
        return None
    last = chunks[-1]
    if last.name == layout.data:
        return TRUNCATED if last.missing > min(_SLACK, 0.02 * (last.size + last.missing)) else None
    # What is behind the samples is no sound.
    return None if any(chunk.name == layout.data for chunk in chunks) else TRUNCATED


def _au(file: BinaryIO, order: str) -> str | None:
    offset, size = struct.unpack(f"{order}II", (file.read(8) + bytes(8))[:8])
    end = file.seek(0, os.SEEK_END)
    return TRUNCATED if size != 2**32 - 1 and offset + size > end + _SLACK else None


def _ogg(file: BinaryIO) -> str | None:
    """Every page's sum and number are checked, and that each stream has its last page."""
    file.seek(0)
    due: dict[int, int] = {}
    page = 0
    while header := file.read(_PAGE.size):
        page += 1
        if not header.startswith(b"OggS"):
            if _rest_holds(file, header, b"OggS"):
                return f"is damaged: its Ogg stream has bytes that are no page behind page {page - 1}"
            break
        if len(header) < _PAGE.size:
            return TRUNCATED
        _, _, flags, _, stream, number, checksum, segments = _PAGE.unpack(header)
        lacing = file.read(segments)
        body = file.read(sum(lacing))
        if len(lacing) < segments or len(body) < sum(lacing):
            return TRUNCATED
        if _ogg_sum(header[:22] + bytes(4) + header[26:] + lacing + body) != checksum:
            return f"is damaged: page {page} of its Ogg stream has a wrong checksum"
        if not flags & _FIRST and due.get(stream) != number:
            return f"is damaged: pages are missing before page {page} of its Ogg stream"
        due[stream] = number + 1
        if flags & _LAST:
            del due[stream]
    return TRUNCATED if due else None


def _ogg_sum(page: bytes) -> int:
    """Ogg's CRC-32, of the polynomial of zlib's, but of the highest bit first and without inversions."""
    reverse = zlib.crc32(page.translate(_REVERSED), 2**32 - 1) ^ (2**32 - 1)
    return int(f"{reverse:032b}"[::-1], 2)


def _rest_holds(file: BinaryIO, before: bytes, pattern: bytes) -> bool:
    kept = before[1:]
    while block := file.read(_SEARCH):
        if pattern in kept + block:
            return True
        kept = block[1 - len(pattern) :]
    return pattern in kept


# Version, layer and number of the sample rate, which stay the same over a stream.
_Kind = tuple[int, int, int]


class _Frame(NamedTuple):
    """A frame of MPEG audio, and its length in bytes."""

    kind: _Kind
    length: int


def _mpeg(file: BinaryIO) -> str | None:
    """Frames follow each other without a gap, and are as many as the first one tells."""
    first = _first_frame(file)
    if first is None:
        return None  # The decoder says what it is.
    at, kind = first
    promised, count = _promised_frames(file, at), 0
    while frame := _frame_at(file, at, kind):
        at += frame.length
        count += 1
    end = file.seek(0, os.SEEK_END)
    if at < end and (found := _next_frame(file, at, kind)):
        return f"is damaged: the {found[0] - at} bytes from byte {at} on are no MPEG frame"
    if not promised:
        return None
    cut = at > end
    # Some programs count the first frame, which tells the number, too.
    return TRUNCATED if promised - (count - 1 - cut) > (0 if cut else 1) else None


@functools.lru_cache(maxsize=4096)
def _frame(header: bytes) -> _Frame | None:
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bit_rate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or rate == 3 or not 1 <= bit_rate <= 14:
        return None
    key = (1 if version == 3 else 2, layer)
    hertz = _RATES[version][rate]
    slots = _SAMPLES[key] // 8 * 1000 * _BIT_RATES[key][bit_rate - 1]
    length = (slots // 4 // hertz + padding) * 4 if layer == 1 else slots // hertz + padding
    return _Frame((version, layer, rate), length)


def _frame_at(file: BinaryIO, at: int, kind: _Kind) -> _Frame | None:
    file.seek(at)
    frame = _frame(file.read(4))
    return frame if frame and frame.kind == kind else None


def _first_frame(file: BinaryIO) -> tuple[int, _Kind] | None:
    """Where the first of two successive frames begins, behind tags and other things that decoders skip."""
    at = 0
    while True:
        file.seek(at)
        tag = file.read(10)
        if len(tag) < 10 or not tag.startswith(b"ID3"):
            break
        size = tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]
        at += 10 + size + 10 * bool(tag[5] & 0x10)
    return _next_frame(file, at, None, _SEARCH)


def _next_frame(file: BinaryIO, at: int, kind: _Kind | None, reach: int | None = None) -> tuple[int, _Kind] | None:
    """Where the next frame begins that another one of its kind follows; None if there is none within reach."""
    end = None if reach is None else at + reach
    while end is None or at < end:
        file.seek(at)
        block = file.read(_SEARCH)
        position = block.find(b"\xff")
        while position >= 0:
            frame = _frame(block[position : position + 4])
            start = at + position
            if frame and kind in (None, frame.kind) and _frame_at(file, start + frame.length, frame.kind):
                return start, frame.kind
            position = block.find(b"\xff", position + 1)
        if len(block) < _SEARCH:
            return None
        at += _SEARCH - 3
    return None


def _promised_frames(file: BinaryIO, at: int) -> int:
    """The number of frames behind the first, if that is one of information (Xing, LAME), else 0."""
    file.seek(at)
    content = file.read(64)
    place = max(content.find(b"Xing"), content.find(b"Info"))
    if place < 0 or len(content) < place + 12:
        return 0
    flags, frames = struct.unpack_from(">II", content, place + 4)
    return frames if flags & 1 else 0
