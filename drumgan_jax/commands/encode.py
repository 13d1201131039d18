"""drumgan encode --audio=FILE_OR_FOLDER --out=FOLDER [--run=RUN] [--invert] [--hits] [--vary=0.5 --count=8]

Finds the latents of recordings and reconstructs the recordings from them. FOLDER/original has the preprocessed
recordings, FOLDER/decoded the reconstructions and latents.json; grid.png shows each recording beside its
reconstruction, and reconstruction.json measures how close they are. With --invert, latents are found by optimisation
instead of the run's encoder: this works with any run, but takes longer. With --vary, FOLDER/variations has --count
variations of each recording, the first in --direction=0.

With --hits, each recording is a loop of several hits, such as a breakbeat or a beatbox: it is cut at its onsets, each
hit is encoded, and its sound put back at the hit's time and level. FOLDER/RECORDING has the recording and the loop
made of it, the hits in `original` and `decoded`, and hits.json with their times and levels; with --vary, `variations`
has the loop in --count variations, each of one direction for all hits.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from drumgan_jax.audio.files import read_audio, write_audio
from drumgan_jax.audio.pictures import save_grid
from drumgan_jax.commands import encode_hits
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.commands.progress import progress
from drumgan_jax.commands.sounds import (
    check_editable,
    check_encoder,
    check_invertible,
    cuts,
    make_folder,
    open_instrument,
    write_sounds,
)
from drumgan_jax.core.errors import BadInput, about
from drumgan_jax.evaluation.folders import open_folder
from drumgan_jax.evaluation.pairs import PairsResult, as_json, means_table, measure_pair, sum_up, unlike
from drumgan_jax.evaluation.report import number, save_json, table
from drumgan_jax.latents.latents import Latents

RUN = define_path(
    "run",
    None,
    "the run directory or packed instrument, also gs:// or hf://, or loops; the packaged one-shots if not given.",
    bucket=True,
    hub=True,
)
STEP = flags.DEFINE_string("step", "last", "the checkpoint: last, best, a step, or images such as 800kimg.")
VOCODER = define_path(
    "vocoder", None, "a vocoder's run or file, instead of the one in the run's config; empty for none.", bucket=True
)
AUDIO = define_path("audio", None, "an audio file, or a folder of them.", required=True)
OUT = define_path("out", None, "output folder; created if absent.", required=True)
INVERT = flags.DEFINE_bool("invert", False, "find the latents by optimisation.")
HITS = flags.DEFINE_bool("hits", False, "cut each recording at its onsets and put each hit's sound back.")
VARY = flags.DEFINE_float("vary", None, "the amount of variation; 1 is as far as any other sound.", lower_bound=0.0)
COUNT = flags.DEFINE_integer("count", 8, "number of variations of each recording.", lower_bound=1)
DIRECTION = flags.DEFINE_integer(
    "direction", 0, "the first variation's direction; each further one adds 1.", lower_bound=0
)

# Metrics shown for each file; the table of means has all metrics.
_SHOWN = {"mse": "MSE", "log_spectral_distance": "LSD", "snr_db": "SNR (dB)", "peaq_di": "DI", "peaq_odg": "ODG"}
_GRID_PAIRS = 32


def main(argv: Sequence[str]) -> None:
    """Encode; see the module's docstring."""
    del argv
    if HITS.value and INVERT.value:
        raise BadInput("--hits needs an encoder, and --invert is for systems without one; leave one of them out.")
    files = audio_files(AUDIO.value)
    instrument = open_instrument(RUN.value, STEP.value, VOCODER.value)
    (check_invertible if INVERT.value else check_encoder)(instrument)
    if VARY.value is not None:
        check_editable(instrument, "leave --vary out")
    if HITS.value:
        encode_hits.main(instrument, files, Path(OUT.value), VARY.value, directions())
        return
    with progress("invert" if INVERT.value else "encode", len(files)) as on_progress:
        names, originals, latents, notes = encode_files(instrument, files, INVERT.value, on_progress)
    sounds = instrument.render(latents)
    folder = Path(OUT.value)
    make_folder(folder / "original")
    for name, waveform in zip(names, originals, strict=True):
        write_audio(folder / "original" / f"{name}.wav", waveform, instrument.sample_rate)
    how = {"noise": True, "inverted": INVERT.value}
    write_sounds(folder / "decoded", sounds, instrument, how, names=names)
    # Clipped as in a file; reconstructions are measured before the finish.
    decoded = np.clip(instrument.render(latents, finished=False).waveforms, -1.0, 1.0)
    shown = np.stack([originals, decoded], axis=1)[:_GRID_PAIRS].reshape(-1, originals.shape[1])
    save_grid(folder / "grid.png", shown, columns=2 * int(np.ceil(np.sqrt(len(shown) / 4))))
    pairs = zip(names, originals, decoded, strict=True)
    measured = {name: measure_pair(a[None], b[None], instrument.sample_rate) for name, a, b in pairs}
    result = sum_up(measured, [*notes, *unlike(measured)])
    save_json(folder / "reconstruction.json", as_json(result))
    if VARY.value is not None:
        write_variations(folder / "variations", instrument, latents, names, VARY.value)
    print(files_table(result))
    print(f"\n{means_table(result)}")
    for note in result.notes:
        print(f"note: {note}")
    print(f"{len(names)} recordings, their sounds, grid.png and reconstruction.json are in {OUT.value}.")


def audio_files(path: str) -> list[Path]:
    """The audio file at a path, or all audio files below a folder, sorted by name.

    Raises:
        BadInput: there is no audio file.
    """
    if Path(path).is_dir():
        return sorted(open_folder(path).files)
    if not Path(path).is_file():
        raise BadInput(f"--audio is {path!r}, neither an audio file nor a folder of them.")
    return [Path(path)]


def encode_files(
    instrument: Any, files: Sequence[Path], inverted: bool, progress: Callable[[int], None] | None = None
) -> tuple[list[str], np.ndarray, Latents, list[str]]:
    """Find the latents of files; files that cannot be read or encoded are skipped.

    Args:
        instrument: the instrument whose latents are sought.
        files: audio files.
        inverted: find latents by optimisation rather than by the encoder.
        progress: called with the number of files done.

    Returns:
        Names [files], the preprocessed recordings [files, samples], the latents, and notes on recordings that were cut
        or skipped.

    Raises:
        BadInput: no file can be encoded.
    """
    find = instrument.invert_waveforms if inverted else instrument.encode_waveforms
    names, originals, latents, left_out, cut = [], [], [], [], 0
    for item, path in enumerate(files):
        if progress:
            progress(item)
        try:
            audio = read_audio(path)
            with about(path), cuts() as warned:
                preprocessed = instrument.preprocess(*audio)
        except BadInput as problem:
            left_out.append(problem)
            continue
        found = find(preprocessed)
        cut += bool(warned)
        # Numbered, because files in different folders may have the same name.
        names.append(f"{item:04d}_{path.stem}")
        originals.append(preprocessed[0])
        latents.append(found)
    if progress:
        progress(len(files))
    if not latents:
        raise left_out[0]
    notes = [f"{len(left_out)} of {len(files)} files were left out; the first: {left_out[0]}"] if left_out else []
    if cut:
        notes.append(f"{cut} of {len(files)} recordings are longer than this instrument's sounds, and were cut.")
    return names, np.stack(originals), Latents.join(latents), notes


def write_variations(folder: Path, instrument: Any, latents: Latents, names: Sequence[str], amount: float) -> None:
    """Write COUNT variations of each recording; all recordings share the directions."""
    varied = Latents.join([instrument.vary(latents, amount, direction) for direction in directions()])
    stems = [f"{name}_{direction:04d}" for direction in directions() for name in names]
    how = {"noise": True, "vary": amount, "direction": DIRECTION.value}
    write_sounds(folder, instrument.render(varied), instrument, how, names=stems, columns=len(names))


def directions() -> range:
    """The directions of the variations."""
    return range(DIRECTION.value, DIRECTION.value + COUNT.value)


def files_table(result: PairsResult) -> str:
    """The main figures of each file, as a table for a terminal."""
    rows = [
        [name, *("" if (value := file[metric]) is None else number(value) for metric in _SHOWN)]
        for name, file in result.files.items()
    ]
    return table(["file", *_SHOWN.values()], rows)
