"""Reading, resampling and writing audio files."""

import io
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr

from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput

# Endings a walk of folders takes for audio. Reading goes by content, so a wrong ending does no harm.
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".aif", ".aiff", ".aifc"})

# Rates outside are damaged headers: resampling from them would make hours out of a second, or nothing.
_RATES = range(1_000, 768_001)

# libsndfile notes in its log where a chunk of samples is cut off by the end of the file. Lengths from 2 GiB on
# are what programs write that stream to a pipe and cannot know the length.
_SHORT_CHUNK = re.compile(r"^\s*(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_LENGTH = 2**31 - 2**12

_BLOCK = 2**20


class Audio(NamedTuple):
    """Decoded audio.

    Attributes:
        samples: [frames, channels], float32, full scale is 1.
        sample_rate: in Hz.
    """

    samples: np.ndarray
    sample_rate: int


def read_audio(path: str | os.PathLike[str]) -> Audio:
    """Decode a WAV, FLAC, MP3, OGG or AIFF file, recognised by its content; any rate, any number of channels.

    Raises:
        BadInput: the file cannot be read or decoded, is truncated, holds no samples, or NaN or infinite ones.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be opened ({error.strerror}); check path and permissions.") from error
    if not content:
        raise BadInput(f"{path} is empty (0 bytes); copy or export it again.")
    try:
        # From memory, because by path the library goes by some endings before it looks at the content.
        with soundfile.SoundFile(_Memory(content)) as file:
            samples, rate = _read_all(file), file.samplerate
            truncated = _is_truncated(file, content, len(samples))
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        raise BadInput(f"{path} cannot be decoded ({reason}); export it again as WAV or FLAC.") from error
    if truncated:
        raise BadInput(f"{path} is truncated: it ends before its header says; copy or export it again.")
    if not len(samples):
        raise BadInput(f"{path} holds no samples; export it again or leave it out.")
    if rate not in _RATES:
        raise BadInput(f"{path} says its sample rate is {rate} Hz, which cannot be; export it again.")
    if not np.isfinite(samples).all():
        raise BadInput(f"{path} holds NaN or infinite samples; export it again.")
    return Audio(samples, rate)


class _Memory(io.BytesIO):
    """Bytes as a file for libsndfile, which a damaged chunk length can send to before the start."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As in io, but stays where it is when told to go to a negative position."""
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


def _read_all(file: soundfile.SoundFile) -> np.ndarray:
    """All samples [frames, channels]; in blocks, since a damaged header may promise more than fits memory."""
    blocks = []
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        blocks.append(block)
    return np.concatenate(blocks) if blocks else np.zeros((0, file.channels), np.float32)


def _is_truncated(file: soundfile.SoundFile, content: bytes, frames: int) -> bool:
    if file.format == "OGG":
        return not _ends_with_last_page(content)
    if file.format == "MP3":
        # Counts in MP3 headers include the codec's delay, up to two of its frames.
        return frames + 2304 < 0.98 * file.frames
    chunk = _SHORT_CHUNK.search(file.extra_info)
    if chunk is None:
        return False
    promised, present = int(chunk[1]), int(chunk[2])
    # Some programs count a few bytes too many; 2 % is no header's worth of samples.
    return present < 0.98 * promised and promised < _UNKNOWN_LENGTH


def _ends_with_last_page(content: bytes) -> bool:
    """Whether an Ogg stream ends with a whole page that is flagged as its last (RFC 3533, section 6)."""
    page = content[content.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & 4:
        return False
    segments = page[26]
    return len(page) >= 27 + segments + sum(page[27 : 27 + segments])


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Band-limited resampling (soxr, high quality) of [frames] or [frames, channels], float32, to one frame or more."""
    if from_rate == to_rate:
        return samples
    resampled = soxr.resample(samples, from_rate, to_rate)
    return resampled if len(resampled) else samples[:1]


def write_audio(path: str | os.PathLike[str], waveform: Any, sample_rate: int) -> None:
    """Write a waveform as 24-bit WAV or FLAC, by the path's ending; whole or not at all.

    Args:
        path: ends in .wav or .flac; the folder exists.
        waveform: array-like [frames] or [frames, channels]; clipped to [-1, 1].
        sample_rate: in Hz.

    Raises:
        BadInput: the ending is another, the waveform is empty or not finite, or the disk refuses.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".").upper()
    if kind not in ("WAV", "FLAC"):
        raise BadInput(f"{path} must end in .wav or .flac to be written; rename it.")
    samples = np.asarray(waveform, np.float32)
    if not samples.size or not np.isfinite(samples).all():
        raise BadInput(f"{path} cannot be written: the waveform is empty or holds NaN or infinite samples.")
    encoded = io.BytesIO()
    try:
        soundfile.write(encoded, np.clip(samples, -1.0, 1.0), sample_rate, subtype="PCM_24", format=kind)
    except (soundfile.LibsndfileError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path} cannot be written: {kind} takes no array of shape {samples.shape} at {sample_rate} Hz."
        ) from error
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(encoded.getbuffer())
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); check folder and free space.") from error
