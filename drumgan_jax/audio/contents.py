"""What a file of audio is made of, walked through once."""

import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from drumgan_jax.audio import mpeg, riff
from drumgan_jax.audio.flac import FlacStream
from drumgan_jax.audio.flac import stream_of as flac_stream_of

# Of CAF: packets, frames in all of them, and those that fill the first and the last packet.
_TABLE = struct.Struct(">Qqii")
# First bytes of files that are not of MPEG frames.
STARTS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff", b"FORM", b"caff", b"fLaC", b"OggS", b".snd", b"dns.")
_OTHERS = (b"OggS", b".snd", b"dns.")


class Contents(NamedTuple):
    """What a file is made of.

    Attributes:
        layout: of its chunks; None if it has none.
        chunks: in order.
        stream: of MPEG frames, if it is made of them.
        flac: what its header and its frames tell, if it is a FLAC.
        frames: least and greatest number of frames (samples of a channel) by its table of packets; None without one.
    """

    layout: riff.Layout | None = None
    chunks: tuple[riff.Chunk, ...] = ()
    stream: mpeg.Stream | None = None
    flac: FlacStream | None = None
    frames: tuple[int, int] | None = None


def contents_of(file: BinaryIO) -> Contents:
    """What a seekable file opened for reading bytes is made of."""
    if layout := riff.layout_of(file):
        chunks = tuple(riff.walk(file))
        return Contents(layout, chunks, frames=_packed_frames(file, chunks))
    file.seek(0)
    match file.read(4):
        case b"fLaC":
            return Contents(flac=flac_stream_of(file))
        case first if first in _OTHERS:
            return Contents()
    return Contents(stream=mpeg.stream_of(file))


def _packed_frames(file: BinaryIO, chunks: Sequence[riff.Chunk]) -> tuple[int, int] | None:
    """Of a CAF of packets, such as ALAC's: with and without those that fill the first and the last one."""
    table = next((chunk for chunk in chunks if chunk.name == b"pakt" and chunk.size >= _TABLE.size), None)
    if table is None:
        return None
    file.seek(table.offset)
    _, frames, priming, remainder = _TABLE.unpack(file.read(_TABLE.size))
    return (frames, frames + max(priming, 0) + max(remainder, 0)) if frames > 0 else None
