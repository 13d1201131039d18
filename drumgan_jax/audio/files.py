"""Reading, resampling and writing audio files."""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import soundfile
import soxr

from drumgan_jax.audio.contents import STARTS, contents_of
from drumgan_jax.audio.decoder_messages import kept_quiet
from drumgan_jax.audio.integrity import SEVERAL, TRUNCATED, fault
from drumgan_jax.audio.mended import mended, without_tags
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.places import place
from drumgan_jax.core.regular_files import open_regular

# Sample rates outside this range mean a damaged header: resampling would turn a second into hours, or into nothing.
_RATES = range(1_000, 768_001)

# Some programs write 32-bit whole numbers as floating-point samples; what is beyond their range is no sound, and would
# leave nothing of the rest when a peak is normalised.
_LOUDEST = 2.0**31

_BLOCK = 2**20
_SMALL = 2**22
# As libsndfile names those that `audio.integrity` knows.
_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "MP3", "OGG", "AIFF", "CAF", "AU")
# First bytes of the files whose decoders print nothing.
_QUIET = tuple(start for start in STARTS if start != b"caff")


class Audio(NamedTuple):
    """Decoded audio.

    Attributes:
        samples: [frames, channels], float32, full scale is 1.
        sample_rate: in Hz.
    """

    samples: np.ndarray
    sample_rate: int


def read_audio(path: str | os.PathLike[str]) -> Audio:
    """Decode an audio file, recognised by its content; any sample rate and number of channels.

    WAV, RF64, W64, FLAC, MP3, Ogg (Vorbis, Opus), AIFF, CAF and AU; also those that were written to a pipe and do not
    tell their length, and WAVs with a chunk whose pad byte was forgotten.

    Raises:
        BadInput: the file is no regular file, cannot be read or decoded, is truncated or damaged, has no samples, or
            samples that are NaN, infinite or beyond all scales.
    """
    blocks = list(decode(path))
    samples = [block.samples for block in blocks]
    return Audio(samples[0] if len(samples) == 1 else np.concatenate(samples), blocks[0].sample_rate)


def decode(path: str | os.PathLike[str]) -> Iterator[Audio]:
    """Yield a file's audio in blocks of up to 4 MB; a file, or its damaged header, may promise more than memory holds.

    Raises:
        BadInput: as `read_audio` does, but where the fault is reached.
    """
    with open_regular(path) as file:
        try:
            # Of a small file, many small reads cost more than one.
            small = os.fstat(file.fileno()).st_size <= _SMALL
            yield from _decoded(path, io.BytesIO(file.read()) if small else file)
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({error.strerror}); copy it again.") from error
        except soundfile.LibsndfileError as error:
            reason = error.error_string.rstrip(".")
            if reason.startswith("Internal"):
                # Its own words, of no use to a user: it was to go where the file has nothing.
                raise BadInput(f"{path} is truncated or damaged; copy or export it again.") from error
            raise BadInput(f"{path} cannot be decoded ({reason}); export it again as WAV or FLAC.") from error


def _decoded(path: str | os.PathLike[str], file: BinaryIO) -> Iterator[Audio]:
    if not file.read(1):
        raise BadInput(f"{path} is empty (0 bytes); copy or export it again.")
    file = without_tags(file)
    file.seek(0)
    start = file.read(4)
    contents = contents_of(file)
    if wrong := fault(file, contents):
        remedy = "make a file of each" if wrong == SEVERAL else "copy or export it again"
        raise BadInput(f"{path} {wrong}; {remedy}.")
    source = _Source(mended(file, contents))
    frames = 0
    try:
        for block in _blocks(path, source, prints=start not in _QUIET):
            frames += len(block.samples)
            yield block
    except soundfile.LibsndfileError:
        if source.error:
            raise source.error from None
        raise
    if source.error:
        raise source.error
    if not frames:
        raise BadInput(f"{path} holds no samples; export it again or leave it out.")
    if contents.frames and not contents.frames[0] <= frames <= contents.frames[1]:
        raise BadInput(f"{path} is damaged: it tells {contents.frames[0]:,} frames, and has {frames:,}; copy it again.")


def _blocks(path: str | os.PathLike[str], source: "_Source", prints: bool) -> Iterator[Audio]:
    """Yield checked blocks, of a decoder that may print messages."""
    # Not around the whole loop: who takes the blocks may print as well.
    quiet = kept_quiet if prints else _as_it_is
    frames = 0
    with quiet() as errors:
        sound = soundfile.SoundFile(source)
    with sound:
        if sound.format not in _FORMATS:
            raise BadInput(
                f"{path} is of format {sound.format}, of which it cannot be seen whether a file is whole; export it as"
                " WAV or FLAC."
            )
        rate, wanted = sound.samplerate, max(1, _BLOCK // sound.channels)
        is_last = False
        while not (errors or is_last):
            with quiet() as errors:
                samples = sound.read(wanted, dtype="float32", always_2d=True)
            is_last = len(samples) < wanted
            if len(samples):
                _check(path, samples, rate)
                frames += len(samples)
                yield Audio(samples, rate)
        # A FLAC's count is exact, and its decoder may end early without an error.
        short = sound.format == "FLAC" and frames < sound.frames < 2**62
    if source.error is None and short:
        raise BadInput(f"{path} {TRUNCATED}; copy or export it again.")
    if errors:
        raise BadInput(f"{path} is damaged ({errors[0].rstrip('!.')}); copy or export it again.")


@contextlib.contextmanager
def _as_it_is() -> Iterator[list[str]]:
    yield []


def _check(path: str | os.PathLike[str], samples: np.ndarray, rate: int) -> None:
    if rate not in _RATES:
        raise BadInput(f"{path} has an impossible sample rate of {rate} Hz in its header; export it again.")
    loudest = max(float(samples.max()), -float(samples.min()))
    if not np.isfinite(loudest):
        raise BadInput(f"{path} holds NaN or infinite samples; export it again.")
    if loudest > _LOUDEST:
        raise BadInput(f"{path} holds a sample of {loudest:.3g}, where full scale is 1; export it again.")


class _Source:
    """A file for libsndfile, which may seek to before the start after a damaged length, and cannot be told of errors.

    Attributes:
        error: the first one of reading.
    """

    def __init__(self, file: BinaryIO):
        file.seek(0)
        self._file = file
        self.error: OSError | None = None
        self.tell = file.tell

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Seek as in io, but ignore negative positions."""
        try:
            return self._file.seek(offset, whence)
        except (ValueError, OSError):
            return self._file.tell()

    def readinto(self, buffer: Any, /) -> int:
        """Read as in io, without a copy; nothing after an error."""
        try:
            return self._file.readinto(buffer)  # type: ignore[attr-defined]
        except OSError as error:
            self.error = self.error or error
            return 0


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
    path = place(path)
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
