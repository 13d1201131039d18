"""Tempo and beats that loop programs write into a file: the ACID chunk of WAV, Apple Loops in AIFF and CAF.

Neither format is published. Layouts as libsndfile reads them (src/wavlike.c, src/aiff.c), and for CAF as found in the
loops that come with Apple's programs: pairs of strings under a UUID.
"""

import math
import struct
from typing import BinaryIO, NamedTuple

from drumgan_jax.audio.riff import Chunk, layout_of, walk

_APPLE_LOOP = bytes.fromhex("29819273b5bf4aefb78d62d1ef90bb2c")
_MOST_BYTES = 2**16


class LoopChunk(NamedTuple):
    """What a file says of its beat.

    Attributes:
        origin: who says it, "acid chunk" or "apple loop".
        tempo: quarter notes per minute; 0 if it is not given.
        beats: length of the file in quarter notes; 0 if it is not given.
    """

    origin: str
    tempo: float
    beats: float


def read_loop_chunk(file: BinaryIO) -> LoopChunk | None:
    """What a file's chunks say of its beat; None if they say nothing, or that it is a one-shot.

    Args:
        file: seekable file opened for reading bytes.
    """
    layout = layout_of(file)
    if layout is None:
        return None
    for chunk in walk(file):
        if chunk.name == b"acid":
            return _acid(_content(file, chunk), layout.header[0])
        if chunk.name == b"basc" and layout.kind == "AIFF":
            return _basc(_content(file, chunk))
        if chunk.name == b"uuid" and layout.kind == "CAF":
            content = _content(file, chunk)
            if content.startswith(_APPLE_LOOP):
                return _strings(content[len(_APPLE_LOOP) + 4 :])
    return None


def _content(file: BinaryIO, chunk: Chunk) -> bytes:
    file.seek(chunk.offset)
    return file.read(min(chunk.size, _MOST_BYTES))


def _acid(content: bytes, order: str) -> LoopChunk | None:
    if len(content) < 24:
        return None
    flags, beats, _, _, tempo = struct.unpack(f"{order}I8xIHHf", content[:24])
    one_shot = flags & 1
    # Programs that do not know the tempo write zero; damaged chunks have any bits.
    return None if one_shot else LoopChunk("acid chunk", tempo if math.isfinite(tempo) else 0.0, float(beats))


def _basc(content: bytes) -> LoopChunk | None:
    if len(content) < 19:
        return None
    beats, denominator = struct.unpack(">4xI6xH", content[:16])
    # The published readers take the flag of one-shots from different bytes.
    one_shot = content[17] == 1 or content[18] == 2
    return None if one_shot else _apple_loop(beats, denominator)


def _strings(content: bytes) -> LoopChunk | None:
    words = content.decode("utf-8", "replace").split("\0")
    pairs = dict(zip(words[::2], words[1::2], strict=False))
    beats, _, denominator = pairs.get("beat count", ""), *pairs.get("time signature", "4/4").partition("/")[1:]
    # One-shots have no count of beats.
    return _apple_loop(int(beats), int(denominator) if denominator.isdecimal() else 4) if beats.isdecimal() else None


def _apple_loop(beats: int, denominator: int) -> LoopChunk | None:
    return LoopChunk("apple loop", 0.0, beats * 4 / (denominator or 4)) if beats else None
