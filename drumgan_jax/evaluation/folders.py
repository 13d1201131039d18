"""A folder of audio as one side of a comparison."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from drumgan_jax.audio.files import AUDIO_SUFFIXES, read_audio
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.collecting import Sound, Stream


@dataclasses.dataclass
class Folder:
    """The audio files below a folder, with counts from the last reading.

    Attributes:
        path: the folder.
        files: its audio files.
        tried: number of files in the last stream.
        unreadable: a sentence for each file that could not be read.
        rates: number of files read, by sample rate in Hz.
    """

    path: Path
    files: list[Path]
    tried: int = 0
    unreadable: list[str] = dataclasses.field(default_factory=list)
    rates: Counter[int] = dataclasses.field(default_factory=Counter)

    def stream(self, count: int | None = None) -> Stream:
        """A stream of the first `count` files as mono sounds (the mean of their channels) at their own sample rates.

        Raises:
            BadInput: at the end of the stream, if none of its files could be read.
        """
        files = self.files[:count]
        self.tried = len(files)

        def sounds() -> Iterator[Sound]:
            self.unreadable.clear()
            self.rates.clear()
            for path in files:
                try:
                    audio = read_audio(path)
                except BadInput as problem:
                    self.unreadable.append(str(problem))
                    continue
                self.rates[audio.sample_rate] += 1
                yield Sound(audio.samples.mean(axis=1), audio.sample_rate, str(path))
            if not self.rates:
                raise BadInput(f"none of the {len(files)} audio files in {self.path} can be read: {self.unreadable[0]}")

        return Stream(len(files), sounds())

    def notes(self, rates: Sequence[int]) -> list[str]:
        """Sentences on unreadable files and on files resampled to `rates`, in Hz."""
        notes = []
        if self.unreadable:
            notes.append(
                f"{len(self.unreadable)} of {self.tried} files in {self.path} were left out; the first: "
                f"{self.unreadable[0]}"
            )
        others = {rate: count for rate, count in sorted(self.rates.items()) if set(rates) - {rate}}
        if others:
            counts = ", ".join(f"{count} at {rate} Hz" for rate, count in others.items())
            notes.append(f"files in {self.path} are resampled to {' and '.join(map(str, rates))} Hz: {counts}.")
        return notes


def open_folder(path: str | os.PathLike[str]) -> Folder:
    """List the audio files below a folder in a fixed shuffled order, so that every part of them is a fair sample.

    Raises:
        BadInput: the path is not a folder, or holds no audio.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BadInput(f"{path} is not a folder; give a folder that holds audio files.")
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in AUDIO_SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not files:
        raise BadInput(f"{path} has no audio; give a folder with WAV, FLAC, MP3, OGG or AIFF files in it.")
    np.random.default_rng(0).shuffle(files)
    return Folder(folder, files)
