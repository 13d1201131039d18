"""WAV files and their relatives as bytes, with the odd headers that programs write."""

import io
import struct
from collections.abc import Sequence

import numpy as np
import soundfile


def hit(frames: int = 6000, channels: int = 1, seed: int = 0) -> np.ndarray:
    """A decaying noise [frames, channels] float32, below full scale."""
    noise = np.random.default_rng(seed).uniform(-0.9, 0.9, (frames, channels))
    return (noise * np.exp(-np.arange(frames) / (frames / 5))[:, None]).astype(np.float32)


def chunk(name: bytes, content: bytes, *, size: int | None = None, pad: bool = True) -> bytes:
    """A RIFF chunk, whose header may tell another size, and which may lack its pad byte."""
    length = struct.pack("<I", len(content) if size is None else size)
    return name + length + content + b"\0" * (len(content) % 2 if pad else 0)


def wav(
    samples: np.ndarray,
    *,
    rate: int = 44100,
    before: Sequence[bytes] = (),
    after: Sequence[bytes] = (),
    data_size: int | None = None,
    riff_size: int | None = None,
) -> bytes:
    """A 16-bit WAV of samples [frames, channels] within [-1, 1].

    Args:
        samples: [frames, channels].
        rate: in Hz.
        before: chunks between the format and the samples.
        after: chunks behind the samples.
        data_size: the size in the header of the samples, where it is not their own.
        riff_size: likewise of the whole file.
    """
    channels = samples.shape[1]
    content = np.round(samples * 32767).astype("<i2").tobytes()
    layout = struct.pack("<HHIIHH", 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    data = chunk(b"data", content, size=data_size)
    body = b"".join([b"WAVE", chunk(b"fmt ", layout), *before, data, *after])
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def encoded(samples: np.ndarray, kind: str, subtype: str | None = None, rate: int = 44100) -> bytes:
    """Samples [frames, channels] as a file of a kind that libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()
