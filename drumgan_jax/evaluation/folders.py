"""A folder of audio as one side of a comparison."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from drumgan_jax.audio.channels import CANCELLATION_DB, loss_db
from drumgan_jax.audio.files import read_audio
from drumgan_jax.audio.listing import FORMATS, walk
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.printable import printable
from drumgan_jax.evaluation.class_mix import check_same_mix, items_at_mix, mix_of
from drumgan_jax.evaluation.collecting import SILENCE, Sound, Stream


@dataclasses.dataclass
class Folder:
    """The audio files below a folder, with counts from the last reading.

    Attributes:
        path: the folder.
        files: its audio files.
        left_out: a sentence for each file or folder in it that is not taken.
        tried: number of files in the last stream.
        read: the files that could be read, in the order of the stream.
        unreadable: a sentence for each file that could not be read.
        cancelled: a sentence for each file whose channels cancel in the mono mix.
        rates: number of files read, by sample rate in Hz.
    """

    path: Path
    files: list[Path]
    left_out: list[str] = dataclasses.field(default_factory=list)
    tried: int = 0
    read: list[Path] = dataclasses.field(default_factory=list)
    unreadable: list[str] = dataclasses.field(default_factory=list)
    cancelled: list[str] = dataclasses.field(default_factory=list)
    rates: Counter[int] = dataclasses.field(default_factory=Counter)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the folders directly below, if there are two or more and every file is in one; else empty."""
        parts = [file.relative_to(self.path).parts for file in self.files]
        names = {part[0] for part in parts}
        return tuple(sorted(names)) if len(names) > 1 and all(len(part) > 1 for part in parts) else ()

    def classes(self, count: int | None = None) -> np.ndarray:
        """Numbers in `label_names` of the classes of the first `count` files [files]."""
        names = self.label_names
        return np.asarray([names.index(file.relative_to(self.path).parts[0]) for file in self.files[:count]], int)

    def at_mix(self, shares: np.ndarray, count: int) -> "Folder":
        """The same folder with as many files as there are at a mix of classes [classes], at most `count`.

        Raises:
            BadInput: a class of the mix has no file.
        """
        items = items_at_mix(self.classes(), shares, count, self.label_names)
        return Folder(self.path, [self.files[item] for item in items], self.left_out)

    def stream(self, count: int | None = None) -> Stream:
        """A stream of the first `count` files as mono sounds (the mean of their channels) at their own sample rates.

        Raises:
            BadInput: at the end of the stream, if none of its files could be read.
        """
        files = self.files[:count]
        self.tried = len(files)

        def sounds() -> Iterator[Sound]:
            for tally in (self.read, self.unreadable, self.cancelled, self.rates):
                tally.clear()
            for path in files:
                try:
                    audio = read_audio(path)
                except BadInput as problem:
                    self.unreadable.append(str(problem))
                    continue
                self.read.append(path)
                self.rates[audio.sample_rate] += 1
                waveform, sentence = mono_mix(audio.samples, path)
                self.cancelled += [sentence] if sentence else []
                yield Sound(waveform, audio.sample_rate, str(path))
            if not self.rates:
                raise BadInput(f"none of the {len(files)} audio files in {self.path} can be read: {self.unreadable[0]}")

        return Stream(len(files), sounds())

    def notes(self, rates: Sequence[int]) -> list[str]:
        """Sentences on unreadable files, files that lose level in the mix, and files resampled to `rates`, in Hz."""
        notes = list(self.left_out)
        if self.unreadable:
            count = f"{len(self.unreadable)} of {self.tried} files in {self.path}"
            notes.append(f"{count} were left out: {' '.join(self.unreadable)}")
        notes += self.cancelled
        others = {rate: count for rate, count in sorted(self.rates.items()) if set(rates) - {rate}}
        if others:
            counts = ", ".join(f"{count} at {rate} Hz" for rate, count in others.items())
            notes.append(f"files in {self.path} are resampled to {' and '.join(map(str, rates))} Hz: {counts}.")
        return [printable(note) for note in notes]


def mono_mix(samples: np.ndarray, path: Path) -> tuple[np.ndarray, str | None]:
    """The mean of a file's channels, and a sentence if they cancel in it.

    Args:
        samples: [frames, channels].
        path: the file, for the sentence.

    Returns:
        The mix [frames], and None or a sentence with its level below the root mean square level of the channels.
    """
    mix = samples.mean(axis=1)
    loss = loss_db([(samples, mix)])
    if loss <= CANCELLATION_DB:
        return mix, None
    lost = "is silent" if np.abs(mix).max() < SILENCE else f"loses {loss:.1f} dB"
    return mix, f"{path}: the channels cancel, so the mono mix (their mean) {lost}; give it as mono."


def at_one_mix(reference: Folder, measured: Folder, count: int, same_mix: bool) -> Folder:
    """The measured folder, if it can be compared with the reference like with like.

    Folders whose files are all in folders of the same classes are compared at one mix of classes; of other folders the
    classes are not known.

    Args:
        reference: one side.
        measured: the other.
        count: files of each side, at most.
        same_mix: leave out files of the measured side, so that it has the reference's mix.

    Raises:
        BadInput: the mixes differ, and `same_mix` is not set; or classes are not known, and it is set.
    """
    names = reference.label_names
    if not names or names != measured.label_names:
        if same_mix:
            raise BadInput(
                f"the classes of {reference.path} and {measured.path} are not known, so --same_mix has no meaning; put "
                "the files of both in folders of the same classes."
            )
        return measured
    classes = reference.classes(count)
    if same_mix:
        return measured.at_mix(mix_of(classes, len(names)), count)
    sides = (str(reference.path), str(measured.path))
    check_same_mix(
        classes, measured.classes(count), names, sides, f"add --same_mix, which leaves out files of {measured.path}"
    )
    return measured


def open_folder(path: str | os.PathLike[str]) -> Folder:
    """List the audio files below a folder in a fixed shuffled order, so that every part of them is a fair sample.

    Raises:
        BadInput: the path is not a folder, or holds no audio.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BadInput(f"{path} is not a folder; give a folder that holds audio files.")
    found = list(walk(folder))
    left_out = [f"{one.path} is left out: {one.left_out}." for one in found if one.left_out]
    files = sorted(Path(one.path) for one in found if not one.left_out and not one.no_audio)
    if not files:
        raise BadInput(f"{path} has no audio; give a folder with {FORMATS} files in it. {' '.join(left_out)}".rstrip())
    np.random.default_rng(0).shuffle(files)
    return Folder(folder, files, left_out)
