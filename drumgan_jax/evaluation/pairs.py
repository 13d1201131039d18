"""Reconstruction metrics of two folders of audio, file by file."""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.audio.files import Audio, read_audio, resample
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.folders import Folder, mono_mix, open_folder
from drumgan_jax.evaluation.intervals import Figure, bootstrap
from drumgan_jax.evaluation.reconstruction import reconstruction_metrics
from drumgan_jax.evaluation.report import number, table

# Spectral convergence of a recording that an instrument does not know; drums of other sources have .5 to .8.
_FAR = 0.9


@dataclasses.dataclass(frozen=True)
class PairsResult:
    """Reconstruction metrics of the pairs of two folders.

    Attributes:
        figures: means over files by metric, with bootstrap intervals.
        counts: number of files in each mean.
        files: every metric by file name; None if it is not defined.
        notes: sentences on files left out, cut or resampled.
        left_out: number of files that are in no mean: unreadable, or without a file of the same name.
    """

    figures: dict[str, Figure]
    counts: dict[str, int]
    files: dict[str, dict[str, float | None]]
    notes: tuple[str, ...]
    left_out: int = 0


def compare_pairs(
    reference: str | os.PathLike[str],
    decoded: str | os.PathLike[str],
    count: int,
    progress: Callable[[int], None] | None = None,
) -> PairsResult:
    """Compare up to `count` decoded files with the reference files of the same name, whatever their extensions.

    Sounds are mixed to mono (the mean of their channels) at the reference's sample rate, and the longer one is cut.

    Raises:
        BadInput: a folder is missing, has no audio or two files of one name, or no pair can be compared.
    """
    folders = open_folder(reference), open_folder(decoded)
    references, others = (_by_name(folder) for folder in folders)
    names = [name for name in references if name in others][:count]
    if not names:
        raise BadInput(
            f"no file in {decoded} has the name of a file in {reference}; give both files of a pair one name."
        )
    files: dict[str, dict[str, float | None]] = {}
    tally = _Tally(unpaired=len(references.keys() ^ others.keys()))
    for done, name in enumerate(names, 1):
        if pair := _read_pair(references[name], others[name], tally):
            files[name] = measure_pair(*pair)
        if progress is not None:
            progress(done)
    if not files:
        raise BadInput(f"no pair of {reference} and {decoded} can be compared: {tally.unreadable[0]}")
    result = sum_up(files, tally.notes(len(names)))
    return dataclasses.replace(result, left_out=tally.unpaired + 2 * tally.unreadable_pairs)


def measure_pair(reference: np.ndarray, decoded: np.ndarray, sample_rate: int) -> dict[str, float | None]:
    """Reconstruction metrics of a pair of waveforms [1, samples] at a sample rate in Hz; None if not defined."""
    metrics = reconstruction_metrics(reference, decoded, sample_rate)
    return {metric: _finite(float(value[0])) for metric, value in metrics.items()}


def unlike(measured: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """A note that names the recordings whose decoded sounds are hardly nearer to them than silence is, if any."""
    far = [name for name, figures in measured.items() if (figures["spectral_convergence"] or 0.0) > _FAR]
    if not far:
        return []
    shown = ", ".join(far[:3]) + (" and others" if len(far) > 3 else "")
    return [
        f"{len(far)} of {len(measured)} recordings are unlike what this instrument knows: {shown}. What is decoded is"
        f" hardly nearer to them than silence is (spectral convergence above {_FAR}; silence has 1)."
    ]


def sum_up(files: dict[str, dict[str, float | None]], notes: Sequence[str] = ()) -> PairsResult:
    """Average the results of `measure_pair` over one or more files by name; `notes` come before the result's own."""
    columns = {
        metric: [value for file in files.values() if (value := file[metric]) is not None]
        for metric in next(iter(files.values()))
    }
    figures = {metric: bootstrap(np.asarray(values)) for metric, values in columns.items() if values}
    counts = {metric: len(columns[metric]) for metric in figures}
    return PairsResult(figures, counts, files, (*notes, *_undefined(columns, len(files))))


def means_table(result: PairsResult) -> str:
    """Format the means and their intervals as a table for the terminal."""
    rows = [
        [name, number(figure.value), f"{number(figure.low)} .. {number(figure.high)}", f"{result.counts[name]:,}"]
        for name, figure in result.figures.items()
    ]
    return table(["figure", "mean", "95 % interval", "files"], rows)


def as_json(result: PairsResult) -> dict[str, Any]:
    """The result in types that JSON can hold."""
    figures = {
        name: {**dataclasses.asdict(figure), "samples": result.counts[name]} for name, figure in result.figures.items()
    }
    return {"figures": figures, "notes": list(result.notes), "files": result.files}


@dataclasses.dataclass
class _Tally:
    """Counts of pairs that were left out, cut, resampled or lost level in the mono mix."""

    unpaired: int
    cut: int = 0
    resampled: int = 0
    unreadable_pairs: int = 0
    unreadable: list[str] = dataclasses.field(default_factory=list)
    cancelled: list[str] = dataclasses.field(default_factory=list)

    def notes(self, pairs: int) -> list[str]:
        """Sentences on the counts that are not zero."""
        counts = {
            f"{self.unpaired} files have no file of the same name in the other folder.": self.unpaired,
            f"{self.cut} of {pairs} pairs differ in length; the longer sound was cut.": self.cut,
            f"{self.resampled} of {pairs} decoded sounds were resampled to their reference's rate.": self.resampled,
        }
        notes = [sentence for sentence, count in counts.items() if count]
        if self.unreadable:
            notes.append(f"{self.unreadable_pairs} of {pairs} pairs were left out: {' '.join(self.unreadable)}")
        return notes + self.cancelled


def _by_name(folder: Folder) -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    for file in folder.files:
        name = file.relative_to(folder.path).with_suffix("").as_posix()
        if name in by_name:
            raise BadInput(f"{file} and {by_name[name]} differ only in their extensions; leave one of them out.")
        by_name[name] = file
    return by_name


def _read_pair(reference: Path, decoded: Path, tally: _Tally) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Both waveforms [1, samples] and their sample rate in Hz; None if either file cannot be read."""
    audio: list[Audio] = []
    for path in (reference, decoded):
        try:
            audio.append(read_audio(path))
        except BadInput as problem:
            tally.unreadable.append(str(problem))
    if len(audio) < 2:
        tally.unreadable_pairs += 1
        return None
    first, second = audio
    mixes = [mono_mix(first.samples, reference), mono_mix(second.samples, decoded)]
    tally.cancelled += [sentence for _, sentence in mixes if sentence]
    waveforms = [waveform for waveform, _ in mixes]
    if second.sample_rate != first.sample_rate:
        tally.resampled += 1
        waveforms[1] = resample(waveforms[1], second.sample_rate, first.sample_rate)
    length = min(map(len, waveforms))
    tally.cut += len(waveforms[0]) != len(waveforms[1])
    return waveforms[0][None, :length], waveforms[1][None, :length], first.sample_rate


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _undefined(columns: dict[str, Any], files: int) -> list[str]:
    return [
        f"{metric} is not defined on {files - len(values)} of {files} files; its mean leaves them out."
        for metric, values in columns.items()
        if len(values) < files
    ]
