"""Helpers of the verbs that make sounds: writing and reading sounds and latents, and parsing flags.

`latents.json` has the file, seed, class weights, z and w of each sound, and the model and rendering settings of all
sounds. Noise found by inversion is stored beside it, in `noises.npz`.
"""

import contextlib
import io
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.audio.files import write_audio
from drumgan_jax.audio.pictures import save_grid
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.compilation import enable_compilation_cache
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.weight_file import DAMAGES
from drumgan_jax.latents.latents import Latents, Sounds
from drumgan_jax.latents.recordings import CutWarning
from drumgan_jax.play.load import load
from drumgan_jax.play.playable import CanEdit, CanEncode, CanInvert, Playable, condition_names

LATENTS_NAME = "latents.json"
# Written as `format`; files without it are of format 1.
LATENTS_FORMAT = 1
_NOISES_NAME = "noises.npz"
_NOT_HOW = ("format", "model", "step", "vocoder", "noises", "sounds")
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
        raise BadInput(f"an instrument of kind {instrument.kind!r} cannot be edited; {instead}.")


def check_encoder(instrument: Any) -> None:
    """Raise BadInput if an instrument cannot encode, or has no encoder."""
    if not isinstance(instrument, CanEncode):
        raise BadInput(f"an instrument of kind {instrument.kind!r} cannot encode; use drumgan generate with seeds.")
    if getattr(instrument, "encoding", True) is None:
        raise BadInput(
            "this run has no encoder; use drumgan encode --invert, or train an encoder into the run's folder encoder"
            " with a config such as drumgan_vst_encoder."
        )


def check_invertible(instrument: Any) -> None:
    """Raise BadInput if an instrument cannot find latents by optimisation."""
    if not isinstance(instrument, CanInvert):
        raise BadInput(f"an instrument of kind {instrument.kind!r} has no --invert; leave it out.")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Prefix a BadInput about a recording with its path."""
    try:
        yield
    except BadInput as problem:
        raise BadInput(f"{path}: {problem}") from problem


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


def write_latents(
    folder: Path, latents: Latents, instrument: Playable, how: Mapping[str, Any], files: Sequence[str]
) -> None:
    """Write `latents.json`, and `noises.npz` if noise is stored rather than drawn from seeds; see `write_sounds`."""
    rows, names = [], condition_names(instrument)
    for item, file in enumerate(files):
        ws = latents.ws[item]
        labels = None if latents.labels is None else latents.labels[item].tolist()
        rows.append(
            {
                "file": file,
                "seed": int(latents.seeds[item]),
                "labels": None if labels is None else dict(zip(names, labels, strict=True)),
                "z": None if latents.z is None else latents.z[item].tolist(),
                # If all layers are equal, one row stands for them.
                "ws": (ws[:1] if np.array_equal(ws, np.broadcast_to(ws[:1], ws.shape)) else ws).tolist(),
            }
        )
    noises = None
    if latents.noises is not None:
        noises = _NOISES_NAME
        content = io.BytesIO()
        layers = {f"layer_{number:02d}": noise for number, noise in enumerate(latents.noises)}
        np.savez_compressed(content, **layers)  # type: ignore[arg-type]
        with replacing(folder / noises) as path:
            path.write_bytes(content.getbuffer())
    made = {
        "format": LATENTS_FORMAT,
        "model": latents.model,
        "step": instrument.step,
        "vocoder": instrument.decoder_digest,
    }
    saved = {**made, **how, "noises": noises, "sounds": rows}
    with replacing(folder / LATENTS_NAME) as path:
        path.write_text(json.dumps(saved, indent=1))


def read_latents(path: str, instrument: Playable) -> tuple[Latents, dict[str, Any]]:
    """Read a latents.json: the latents, and the rendering settings: `noise`, and any others stored.

    Raises:
        BadInput: the file or its noise cannot be read, or belongs to another run or step.
    """
    try:
        saved = json.loads(Path(path).read_text())
        if saved.get("format", 1) > LATENTS_FORMAT:
            raise BadInput(
                f"{path} is of format {saved['format']}, and this version reads up to {LATENTS_FORMAT}; update it."
            )
        if "model" not in saved and "sounds" in saved:
            raise BadInput(f"{path} is of an earlier version, without w; make its sounds again from their seeds.")
        if saved["model"] != instrument.model:
            raise BadInput(
                f"{path} is of another run or step: its sounds were made at step {saved['step']}; give "
                f"that run and add --step={saved['step']}."
            )
        latents = _latents(saved, Path(path).parent, instrument)
        how = {name: value for name, value in saved.items() if name not in _NOT_HOW}
        how["noise"] = saved["noise"]
        if saved.get("vocoder") != instrument.decoder_digest:
            print(f"note: the sounds of {path} were made with another vocoder, or none; these will sound different.")
    except DAMAGES as problem:
        if isinstance(problem, BadInput):
            raise
        raise BadInput(
            f"{path} is not a latents.json, or is damaged ({problem}); give one that drumgan wrote."
        ) from problem
    return latents, how


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
        raise BadInput(f"{both[0]!r} is in --label and in --attributes; give it once.")
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
            raise BadInput(f"a label's weight is {item!r}; write weights as kick=0.7,snare=0.3.") from problem
        if name.strip() in weights:
            raise BadInput(f"the class {name.strip()!r} is named twice in {text!r}; give each class one weight.")
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
        raise BadInput(f"--layers is {text!r}; write a range of layers as 0:4.")
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
            raise BadInput(f"--{flag} has {text!r}; write numbers as 0,0.5,1.")
    return numbers


def _latents(saved: Mapping[str, Any], folder: Path, instrument: Playable) -> Latents:
    rows, names = saved["sounds"], condition_names(instrument)
    noises = None
    if saved["noises"] is not None:
        with np.load(io.BytesIO((folder / saved["noises"]).read_bytes()), allow_pickle=False) as file:
            noises = tuple(file[name] for name in sorted(file.files))
    sizes = [(len(rows), *size, 1) for size in instrument.noise_sizes]
    if noises is not None and [noise.shape for noise in noises] != sizes:
        raise BadInput(f"{folder / saved['noises']} does not fit this run's layers or the sounds; make it again.")
    shape = instrument.latent_shape
    labels = [row["labels"] for row in rows]
    z = [row["z"] for row in rows]
    return Latents(
        seeds=np.asarray([row["seed"] for row in rows], np.uint32),
        ws=np.stack([np.broadcast_to(np.asarray(row["ws"], np.float32), shape) for row in rows]),
        z=None if None in z else np.asarray(z, np.float32),
        labels=None if None in labels else np.asarray([[row[name] for name in names] for row in labels], np.float32),
        noises=noises,
        model=saved["model"],
    )
