"""What a file of audio is made of, walked through once."""

from typing import BinaryIO, NamedTuple

from drumgan_jax.audio import mpeg, riff

_OTHERS = (b"OggS", b"fLaC", b".snd", b"dns.")


class Contents(NamedTuple):
    """What a file is made of.

    Attributes:
        layout: of its chunks; None if it has none.
        chunks: in order.
        stream: of MPEG frames, if it is made of them.
    """

    layout: riff.Layout | None = None
    chunks: tuple[riff.Chunk, ...] = ()
    stream: mpeg.Stream | None = None


def contents_of(file: BinaryIO) -> Contents:
    """What a seekable file opened for reading bytes is made of."""
    if layout := riff.layout_of(file):
        return Contents(layout, tuple(riff.walk(file)))
    file.seek(0)
    return Contents() if file.read(4) in _OTHERS else Contents(stream=mpeg.stream_of(file))
