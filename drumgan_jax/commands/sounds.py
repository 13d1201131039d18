"""Helpers of the verbs that make sounds: writing sounds, and parsing flags."""

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.audio.files import write_audio
from drumgan_jax.audio.pictures import save_grid
from drumgan_jax.commands.latents_file import write_latents
from drumgan_jax.core.compilation import enable_compilation_cache
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.latents.latents import Sounds
from drumgan_jax.latents.recordings import CutWarning
from drumgan_jax.play.load import load
from drumgan_jax.play.playable import CanEdit, CanEncode, CanInvert, Playable

# Maximum number of sounds in a grid.
_GRID = 64

Noise = bool | float | list[float]


def open_instrument(run: str | None, step: str, vocoder: str | None = None) -> Any:
    """Load the playable for --run, --step and --vocoder, with the compilation cache enabled; see `play.load.load`."""
    enable_compilation_cache()
    return load(run, step, vocoder)


def check_editable(instrument: Any, instead: str = "use drumgan generate with seeds") -> None:
    """Raise BadInput if an instrument has no latent space to move in; `instead` says what to do."""
    if not isinstance(instrument, CanEdit):
        raise BadInput(f"an instrument of kind {shown(instrument.kind)} cannot be edited; {instead}.")


def check_encoder(instrument: Any) -> None:
    """Raise BadInput if an instrument cannot encode, or has no encoder."""
    if not isinstance(instrument, CanEncode):
        raise BadInput(
            f"an instrument of kind {shown(instrument.kind)} cannot encode; use drumgan generate with seeds."
        )
    if getattr(instrument, "encoding", True) is None:
        raise BadInput(
            "this run has no encoder; use drumgan encode --invert, or train an encoder into the run's folder encoder"
            " with a config such as drumgan_vst_encoder."
        )


def check_invertible(instrument: Any) -> None:
    """Raise BadInput if an instrument cannot find latents by optimisation."""
    if not isinstance(instrument, CanInvert):
        raise BadInput(f"an instrument of kind {shown(instrument.kind)} has no --invert; leave it out.")


def write_sounds(
    folder: Path,
    sounds: Sounds,
    instrument: Playable,
    how: Mapping[str, Any],
    suffix: str = "wav",
    names: Sequence[str] = (),
    columns: int | None = None,
) -> None:
    """Write one audio file per sound, `grid.png`, and `latents.json`, from which the sounds can be made again.

    Args:
        folder: created if absent.
        sounds: the sounds to write.
        instrument: the instrument that made them.
        how: rendering settings: `noise`, as `render` takes it, and any others to store.
        suffix: wav or flac.
        names: names of the files, without the suffix; sound_0000 and so on if not given.
        columns: number of columns of the grid.

    Raises:
        BadInput: a file cannot be written.
    """
    make_folder(folder)
    files = [f"{name}.{suffix}" for name in names or [f"sound_{item:04d}" for item in range(len(sounds.waveforms))]]
    for file, waveform in zip(files, sounds.waveforms, strict=True):
        write_audio(folder / file, waveform, sounds.sample_rate)
    save_grid(folder / "grid.png", sounds.waveforms[:_GRID], columns)
    write_latents(folder, sounds.latents, instrument, how, files)


def make_folder(folder: Path) -> None:
    """Create a folder if absent; raise BadInput if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} cannot be made ({error.strerror}); give another --out.") from error


@contextlib.contextmanager
def cuts() -> Iterator[list[str]]:
    """Collect the messages of CutWarnings raised in the block; other warnings are passed on."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield messages
    for warning in caught:
        if issubclass(warning.category, CutWarning):
            messages.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def parse_labels(label: str | None, attributes: str | None) -> str | dict[str, float] | None:
    """Parse --label and --attributes: the labels of `Instrument.draw`.

    Raises:
        BadInput: a value is not a number, a name is given twice, or an attribute has no value.
    """
    if attributes is None:
        return parse_label(label)
    values = parse_label(attributes)
    if not isinstance(values, dict):
        raise BadInput(f"--attributes={attributes} gives no value; write it as brightness=0.8,decay=0.2.")
    classes = parse_label(label)
    classes = {} if classes is None else {classes: 1.0} if isinstance(classes, str) else classes
    if both := sorted(set(classes) & set(values)):
        raise BadInput(f"{shown(both[0])} is in --label and in --attributes; give it once.")
    return {**classes, **values}


def parse_label(text: str | None) -> str | dict[str, float] | None:
    """Parse a class name, as "kick", or class weights, as "kick=0.7,snare=0.3".

    Raises:
        BadInput: a weight is not a number, or a class is named twice.
    """
    if text is None or "=" not in text:
        return text
    weights: dict[str, float] = {}
    for item in text.split(","):
        name, _, weight = item.partition("=")
        try:
            value = float(weight)
        except ValueError as problem:
            raise BadInput(f"a label's weight is {shown(item)}; write weights as kick=0.7,snare=0.3.") from problem
        if name.strip() in weights:
            raise BadInput(
                f"the class {shown(name.strip())} is named twice in {shown(text)}; give each class one weight."
            )
        weights[name.strip()] = value
    return weights


def parse_layers(text: str | None) -> tuple[int, int] | None:
    """Parse a range of layers such as "0:4"; the end is exclusive.

    Raises:
        BadInput: the text has another form.
    """
    if text is None:
        return None
    start, colon, stop = text.partition(":")
    if not (colon and start.isdecimal() and stop.isdecimal()):
        raise BadInput(f"--layers is {shown(text)}; write a range of layers as 0:4.")
    return int(start), int(stop)


def parse_numbers(texts: Sequence[str], flag: str) -> list[float]:
    """Parse finite numbers.

    Raises:
        BadInput: a text is not a finite number.
    """
    numbers = []
    for text in texts:
        try:
            numbers.append(float(text))
        except ValueError:
            numbers.append(math.nan)
        if not math.isfinite(numbers[-1]):
            raise BadInput(f"--{flag} has {shown(text)}; write numbers as 0,0.5,1.")
    return numbers
