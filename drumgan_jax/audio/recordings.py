"""Recordings of any length: a short one is held in memory, a long one is read from its file whenever it is needed."""

import dataclasses
import os
from collections.abc import Callable, Iterator

import numpy as np

from drumgan_jax.audio.files import Audio, decode

# Samples of all channels that are held in memory: 32 MB, a minute and a half of CD audio.
_HELD = 2**23


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording that was found whole.

    Attributes:
        sample_rate: in Hz.
        channels: number of channels.
        frames: length in samples of one channel.
        blocks: function that yields all samples in blocks [frames, channels] float32, full scale is 1.
        is_held: whether they are in memory, as one block.
    """

    sample_rate: int
    channels: int
    frames: int
    blocks: Callable[[], Iterator[np.ndarray]]
    is_held: bool = False

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def held(audio: Audio) -> Recording:
    """The recording of decoded audio."""
    frames, channels = audio.samples.shape
    return Recording(audio.sample_rate, channels, frames, lambda: iter([audio.samples]), is_held=True)


def open_recording(path: str | os.PathLike[str]) -> Recording:
    """Read a file to its end, so that one that is damaged anywhere gives nothing; hold it in memory if it is short.

    Raises:
        BadInput: see audio.files.read_audio.
    """
    blocks: list[np.ndarray] = []
    frames = 0
    for audio in decode(path):
        frames += len(audio.samples)
        if frames * audio.samples.shape[1] > _HELD:
            blocks.clear()
        else:
            blocks.append(audio.samples)
    # There is at least one block, else the file is refused.
    if blocks:
        return held(audio._replace(samples=blocks[0] if len(blocks) == 1 else np.concatenate(blocks)))
    channels = audio.samples.shape[1]
    return Recording(audio.sample_rate, channels, frames, lambda: (block.samples for block in decode(path)))
