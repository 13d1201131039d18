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

# File extensions found when folders are searched. Files are decoded by content, so a wrong extension does no harm.
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".aif", ".aiff", ".aifc"})

# Sample rates outside this range mean a damaged header: resampling would turn a second into hours, or into nothing.
_RATES = range(1_000, 768_001)

# libsndfile's log reports a chunk of samples cut off by the end of the file. Programs that stream to a pipe, and cannot
# know the length, write a length near 2 GiB or above.
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
    """Decode a WAV, FLAC, MP3, OGG or AIFF file, recognised by its content; any sample rate and number of channels.

    Raises:
        BadInput: the file cannot be read or decoded, is truncated, has no samples, or NaN or infinite samples.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be opened ({error.strerror}); check the path and its permissions.") from error
    if not content:
        raise BadInput(f"{path} is empty (0 bytes); copy or export it again.")
    try:
        # From memory, because given a path the library trusts some extensions before it checks the content.
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
        raise BadInput(f"{path} has an impossible sample rate of {rate} Hz in its header; export it again.")
    if not np.isfinite(samples).all():
        raise BadInput(f"{path} holds NaN or infinite samples; export it again.")
    return Audio(samples, rate)


class _Memory(io.BytesIO):
    """Bytes as a file for libsndfile, which may seek to before the start after a damaged chunk length."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Seek as in io, but ignore negative positions."""
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


def _read_all(file: soundfile.SoundFile) -> np.ndarray:
    """All samples [frames, channels], read in blocks because a damaged header may promise more than fits in memory."""
    blocks = []
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        blocks.append(block)
    return np.concatenate(blocks) if blocks else np.zeros((0, file.channels), np.float32)


def _is_truncated(file: soundfile.SoundFile, content: bytes, frames: int) -> bool:
    if file.format == "OGG":
        return not _ends_with_last_page(content)
    if file.format == "MP3":
        # Frame counts in MP3 headers include the codec's delay, up to two codec frames.
        return frames + 2304 < 0.98 * file.frames
    chunk = _SHORT_CHUNK.search(file.extra_info)
    if chunk is None:
        return False
    promised, present = int(chunk[1]), int(chunk[2])
    # Some programs count a few bytes too many, but less than 2 %.
    return present < 0.98 * promised and promised < _UNKNOWN_LENGTH


def _ends_with_last_page(content: bytes) -> bool:
    """Whether an Ogg stream ends with a complete page that is flagged as the last one (RFC 3533, section 6)."""
    page = content[content.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & 4:
        return False
    segments = page[26]
    return len(page) >= 27 + segments + sum(page[27 : 27 + segments])


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resample [frames] or [frames, channels] float32, band-limited (soxr, high quality), to at least one frame."""
    if from_rate == to_rate:
        return samples
    resampled = soxr.resample(samples, from_rate, to_rate)
    return resampled if len(resampled) else samples[:1]


def write_audio(path: str | os.PathLike[str], waveform: Any, sample_rate: int) -> None:
    """Write a waveform atomically as 24-bit WAV or FLAC, by the path's extension.

    Args:
        path: path that ends in .wav or .flac, in an existing folder.
        waveform: array-like [frames] or [frames, channels]; clipped to [-1, 1].
        sample_rate: in Hz.

    Raises:
        BadInput: the extension is another, the waveform is empty or not finite, or the file cannot be written.
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
            f"{path} cannot be written: {kind} does not support an array of shape {samples.shape} at {sample_rate} Hz."
        ) from error
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(encoded.getbuffer())
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); check the folder and its free space.") from error
