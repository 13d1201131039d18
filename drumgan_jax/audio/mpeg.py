"""Frames of MPEG audio, layers I to III (ISO 11172-3 and 13818-3), and the one that tells their number (Xing, LAME)."""

import functools
import os
import struct
from typing import BinaryIO, NamedTuple

# By MPEG 1 or 2 (and 2.5) and by layer: bit rates in kbit/s, and samples of a frame.
_BIT_RATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLES = {(1, 1): 384, (1, 2): 1152, (1, 3): 1152, (2, 1): 384, (2, 2): 1152, (2, 3): 576}
_MPEG_1 = 3  # Number of the version in a header.
_RATES = {_MPEG_1: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_SEARCH = 2**16
_LONGEST = 1441  # Bytes of a frame of layer III.


# Version, layer and number of the sample rate, which stay the same over a stream.
_Kind = tuple[int, int, int]


class _Frame(NamedTuple):
    """A frame of MPEG audio, and its length in bytes."""

    kind: _Kind
    length: int


class Stream(NamedTuple):
    """The frames of a file.

    Attributes:
        start: where the first one begins, in bytes.
        header: its first four bytes.
        frames: number of frames that follow each other from there, that one included.
        promised: number of frames behind the first, if that one tells it (Xing, LAME), else 0.
        gap: whether bytes that are no frame come before some more frames, or more of them than a frame has before all.
        cut: whether the file ends within the last frame.
    """

    start: int
    header: bytes
    frames: int
    promised: int
    gap: bool
    cut: bool


def stream_of(file: BinaryIO) -> Stream | None:
    """The frames of a file of MPEG audio; None if it does not begin with some, or tags and then some.

    Args:
        file: seekable file opened for reading bytes.
    """
    tags = end_of_tags(file)
    first = _next_frame(file, tags, None, _SEARCH)
    if first is None:
        return None
    start, kind = first
    file.seek(tags)
    # Recordings of broadcasts begin within a frame.
    lost = len(file.read(start - tags).strip(b"\0")) > _LONGEST
    file.seek(start)
    header, at, count = file.read(4), start, 0
    while frame := _frame_at(file, at, kind):
        at += frame.length
        count += 1
    end = file.seek(0, os.SEEK_END)
    gap = at < end and _next_frame(file, at, kind) is not None
    return Stream(start, header, count, _promised_frames(file, start), lost or gap, at > end)


def information_frame(header: bytes, count: int) -> bytes:
    """A silent frame that tells decoders how many frames of layer III follow it.

    Args:
        header: first four bytes of one of these.
        count: their number.
    """
    # Without a sum of its own, and of the ninth bit rate, which leaves enough room at all sample rates.
    plain = bytes([header[0], header[1] | 1, 9 << 4 | header[2] & 0x0C, header[3]])
    frame = _frame(plain)
    assert frame is not None
    mono, low = header[3] >> 6 == 3, frame.kind[0] != _MPEG_1
    room = 4 + (9 if mono and low else 17 if mono or low else 32)
    return (plain + bytes(room - 4) + b"Info" + struct.pack(">II", 1, count)).ljust(frame.length, b"\0")


@functools.lru_cache(maxsize=4096)
def _frame(header: bytes) -> _Frame | None:
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bit_rate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or rate == 3 or not 1 <= bit_rate <= 14:
        return None
    key = (1 if version == _MPEG_1 else 2, layer)
    hertz = _RATES[version][rate]
    slots = _SAMPLES[key] // 8 * 1000 * _BIT_RATES[key][bit_rate - 1]
    length = (slots // 4 // hertz + padding) * 4 if layer == 1 else slots // hertz + padding
    return _Frame((version, layer, rate), length)


def _frame_at(file: BinaryIO, at: int, kind: _Kind) -> _Frame | None:
    file.seek(at)
    frame = _frame(file.read(4))
    return frame if frame and frame.kind == kind else None


def end_of_tags(file: BinaryIO) -> int:
    """Where the tags (ID3v2) at the beginning of a file end."""
    at = 0
    while True:
        file.seek(at)
        tag = file.read(10)
        if len(tag) < 10 or not tag.startswith(b"ID3"):
            return at
        size = tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]
        at += 10 + size + 10 * bool(tag[5] & 0x10)


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
