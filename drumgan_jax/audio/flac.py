"""The header of a FLAC stream beside its frames, which say the rate and where they are again; decoders ask only it.

Layout: RFC 9639.
"""

import os
import struct
from typing import BinaryIO, NamedTuple

# Bytes at the end in which the last frame is looked for. If it is longer, as one of 65,535 samples may be, nothing is
# known of it.
_TAIL = 2**18
# Frames whose checksum is computed, which takes long in Python, before the last one is given up. Of digital silence,
# a truncated file has thousands in its tail.
_TRIES, _LONGEST = 16, 2**17
_MOST_BLOCKS = 10_000
# How a stream begins: its mark, and the head of the block of its header.
START = b"fLaC\0\0\0\x22"
_HEADER, _ID3V1 = 16, 128
# Of APE, version 2: the footer, the bytes of the tag without its header, and a flag that it has one.
_APE = struct.Struct("<8s4xI4xI8x")
_HAS_HEADER = 2**31
_RATES = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
_BLOCKS = (0, 192, 576, 1_152, 2_304, 4_608, 0, 0, *(2**power for power in range(8, 16)))
# Where the number of samples ends: 36 bits, of which the first four are in a byte with other fields.
_COUNT_END = 26


class FlacStream(NamedTuple):
    """What a FLAC's header says, and its frames.

    Attributes:
        rate: of the header, in Hz.
        frame_rate: of the first frame, in Hz; 0 if it does not say.
        samples: of the header; 0 for unknown.
        frame_samples: from the first frame's start to the last one's end, by the numbers of both; None if the last one
            was not found. If they are not those of the header, that frame's checksum is right.
        frames_at: where the first frame begins, in bytes.
    """

    rate: int
    frame_rate: int
    samples: int
    frame_samples: int | None
    frames_at: int


class _Frame(NamedTuple):
    rate: int  # Hz; 0 if it does not say.
    number: int  # Of the frame; with blocks of varying length, of its first sample.
    varying: bool
    block: int  # Samples.


def stream_of(file: BinaryIO) -> FlacStream | None:
    """The stream of a seekable file opened for reading bytes; None if it is damaged so that a decoder says so."""
    file.seek(4)
    information, at = b"", 4
    is_last, blocks = False, 0
    while not is_last:
        blocks += 1
        if blocks > _MOST_BLOCKS:
            return None
        head = file.read(4)
        if len(head) < 4:
            return None
        is_last, kind, size = bool(head[0] & 0x80), head[0] & 0x7F, int.from_bytes(head[1:], "big")
        if not information:
            if kind or size < 34:
                return None
            information = file.read(34)
        at += 4 + size
        file.seek(at)
    first = _frame(file.read(_HEADER))
    if first is None or len(information) < 34:
        return None
    fields = int.from_bytes(information[10:18], "big")
    rate, samples = fields >> 44, fields & (2**36 - 1)
    begin = first.number if first.varying else first.number * first.block
    last = _end(file, first, at, begin + samples)
    return FlacStream(rate, first.rate, samples, None if last is None else last - begin, at)


def _end(file: BinaryIO, first: _Frame, frames_at: int, told: int) -> int | None:
    """Samples up to the end of the last frame, by its number."""
    end = _before_tags(file)
    begin = min(max(frames_at, end - _TAIL), end)
    file.seek(begin)
    tail = file.read(end - begin)
    sync = bytes((0xFF, 0xF9 if first.varying else 0xF8))
    at, tries = len(tail), 0
    while (at := tail.rfind(sync, 0, at)) >= 0 and tries < _TRIES and len(tail) - at <= _LONGEST:
        frame = _frame(tail[at : at + _HEADER])
        if frame is None or frame.rate != first.rate:
            continue
        samples = (frame.number if frame.varying else frame.number * first.block) + frame.block
        # By chance, what looks like a header is within a frame; the sum over a frame and its own checksum is 0.
        if samples == told or _sum16(tail[at:]) == 0:
            return samples
        tries += 1
    return None


def _before_tags(file: BinaryIO) -> int:
    """Where the tags begin that some programs write behind the last frame (ID3v1, APEv2): bytes from the start."""
    end = file.seek(0, os.SEEK_END)
    if end >= _ID3V1:
        file.seek(end - _ID3V1)
        end -= _ID3V1 * (file.read(3) == b"TAG")
    if end < _APE.size:
        return end
    file.seek(end - _APE.size)
    mark, size, flags = _APE.unpack(file.read(_APE.size))
    size += _APE.size * bool(flags & _HAS_HEADER)
    return end - size if mark == b"APETAGEX" and size <= end else end


def _frame(content: bytes) -> _Frame | None:
    """The frame whose header is at the start of some bytes; None if none is."""
    if len(content) < 6 or content[0] != 0xFF or content[1] & 0xFE != 0xF8:
        return None
    block_code, rate_code = content[2] >> 4, content[2] & 15
    length = _coded_length(content[4])
    at = 4 + length
    extra = {6: 1, 7: 2}.get(block_code, 0), {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    size = at + sum(extra)
    if not length or not block_code or rate_code == 15 or len(content) <= size or _sum8(content[: size + 1]):
        return None
    number = content[4] & (0x7F if length == 1 else 0x7F >> length)
    for byte in content[5:at]:
        number = number << 6 | byte & 0x3F
    told = int.from_bytes(content[at : at + extra[0]], "big") + 1
    rate = int.from_bytes(content[at + extra[0] : size], "big") * {12: 1000, 14: 10}.get(rate_code, 1)
    return _Frame(
        rate if extra[1] else _RATES[rate_code],
        number,
        bool(content[1] & 1),
        told if extra[0] else _BLOCKS[block_code],
    )


def _coded_length(first: int) -> int:
    """Bytes of a number that is coded as UTF-8 is, by the first of them; 0 if none begins so."""
    ones = 8 - (first ^ 0xFF).bit_length()
    return 1 if ones == 0 else ones if 2 <= ones <= 7 else 0


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    found = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (bits - 1) & 1 else 0)
        found.append(value & (2**bits - 1))
    return tuple(found)


_TABLE_8, _TABLE_16 = _table(0x107, 8), _table(0x18005, 16)


def _sum8(content: bytes) -> int:
    found = 0
    for byte in content:
        found = _TABLE_8[found ^ byte]
    return found


def _sum16(content: bytes) -> int:
    found = 0
    for byte in content:
        found = (found << 8 & 0xFF00) ^ _TABLE_16[found >> 8 ^ byte]
    return found


def counted(file: BinaryIO, stream: FlacStream) -> bytes | None:
    """The first bytes of a file, with the number of samples that they lack; None if they have it or no frame tells."""
    if stream.samples or not stream.frame_samples:
        return None
    file.seek(0)
    head = file.read(_COUNT_END)
    fields = struct.unpack(">Q", head[-8:])[0] | stream.frame_samples
    return head[:-8] + struct.pack(">Q", fields)
