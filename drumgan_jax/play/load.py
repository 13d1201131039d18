"""Load whatever can be played: a run directory, a packed file, or the model that comes with the package."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from drumgan_jax.audio.level import check_sounds
from drumgan_jax.core.errors import BadInput, about, brief, shown
from drumgan_jax.core.paths import expand
from drumgan_jax.core.places import place, scheme_of
from drumgan_jax.core.weight_file import (
    FileFormat,
    in_bytes,
    not_one,
    out_of_bytes,
    read_weights,
    variables_digest,
    write_weights,
)
from drumgan_jax.latents.conditions import Conditions
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.packed_gan import unpack_gan
from drumgan_jax.play.pca_gaussian import PcaInstrument, open_pca_run, unpack_pca
from drumgan_jax.play.playable import Playable
from drumgan_jax.systems.formats import current_config, portable_config
from drumgan_jax.weights import store
from drumgan_jax.weights.catalogue import INSTRUMENTS

__all__ = ["KINDS", "SHIPPED", "Kind", "PackedFile", "load", "save_instrument"]

_MODELS = Path(__file__).parent.parent / "models"
SHIPPED = _MODELS / "one_shots.npz"
# By the name that `load` and --run take.
PACKAGED = {"packaged": SHIPPED, "loops": _MODELS / "loops.npz", "pca_gaussian": _MODELS / "pca_gaussian.npz"}
FORMAT = FileFormat("drumgan instrument", 3)
# Bits a weight; see weight_file.in_bytes.
PRECISIONS = {"half": 16, "bytes": 8, "six_bits": 6}
_OWNER = "an instrument"
# Schemes of addresses whose files are copied to this machine.
FETCHED = ("gs", "hf")


@dataclasses.dataclass(frozen=True)
class PackedFile:
    """An instrument's file, checked as far as all kinds share it.

    Attributes:
        path: of the file.
        header: its kind's part.
        arrays: by path.
        config: of the run, in the present form, without paths of one machine.
        label_names: classes that condition the generator, in order.
        step: of training.
    """

    path: str
    header: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    config: dict[str, Any]
    label_names: tuple[str, ...]
    step: int


@dataclasses.dataclass(frozen=True)
class Kind:
    """How a kind of playable is opened.

    Attributes:
        open_run: from run directory, step ("last", "best", images or a number) and vocoder (see `load`).
        unpack: from a file and a vocoder.
    """

    open_run: Callable[[Path, int | str, str | os.PathLike[str] | None], Playable]
    unpack: Callable[[PackedFile, str | os.PathLike[str] | None], Playable]


def open_gan_run(run: Path, step: int | str, vocoder: str | os.PathLike[str] | None) -> Instrument:
    """The instrument of a GAN's run."""
    # Checkpoints need Orbax, which a packed instrument does not.
    from drumgan_jax.runs.load import load_gan

    trained = load_gan(run, step, vocoder)
    model = variables_digest(trained.variables)
    variables = jax.device_put(trained.variables)
    of_run = (trained.gan, variables, trained.label_names, trained.step, trained.config, model)
    return Instrument(*of_run, run=run, attributes=trained.conditions.attributes)


def unpack_gan_file(file: PackedFile, vocoder: str | os.PathLike[str] | None) -> Instrument:
    """The instrument of a GAN's file."""
    check_sounds(file.config)
    conditions = Conditions.of(file.config, file.label_names)
    unpacked = unpack_gan(file.header, file.arrays, file.config, conditions, file.step, file.path)
    gan = unpacked.gan
    if vocoder is not None:
        from drumgan_jax.runs.load import with_vocoder

        gan = with_vocoder(gan, file.config, vocoder)
    model = variables_digest(unpacked.variables)
    of_run = (gan, jax.device_put(unpacked.variables), file.label_names, file.step, file.config, model)
    components = unpacked.components
    kept = {(model, components.num_samples): components}
    return Instrument(*of_run, own_encoding=unpacked.encoding, kept=kept, attributes=conditions.attributes)


def unpack_pca_file(file: PackedFile, vocoder: str | os.PathLike[str] | None) -> PcaInstrument:
    """The instrument of a file of principal components."""
    return unpack_pca(file.arrays, file.config, file.label_names, vocoder)


# By the kind of the task that trained it.
KINDS: dict[str, Kind] = {
    "gan": Kind(open_gan_run, unpack_gan_file),
    "pca_gaussian": Kind(open_pca_run, unpack_pca_file),
}


def load(
    run: str | Path | None = None,
    step: int | str | None = None,
    vocoder: str | Path | None = None,
    *,
    packaged: str | None = None,
) -> Any:
    """Load an instrument, ready to play.

    Args:
        run: a run directory, of which `config.json` and one checkpoint's EMA item are read; a file that `drumgan pack`
            wrote; either may be at gs://BUCKET/PATH or hf://OWNER/NAME[@REVISION][/PATH], of which what is played is
            copied to the cache; or a name in PACKAGED or, once `drumgan weights get` has fetched it, in INSTRUMENTS;
            None for the model that comes with this package.
        step: which checkpoint of a run; None or "last" is the newest, "best" the one with the best `evaluation.metric`,
            "800kimg" the one at 800,000 images, such as a milestone.
        vocoder: the run or file of a vocoder that makes its sounds of mel bands; None for the one that its config
            names or its file holds, empty for none.
        packaged: in place of a run, a name in PACKAGED or INSTRUMENTS.

    Returns:
        A play.playable.Playable: of a GAN's run, a play.instrument.Instrument. `source` of those from elsewhere is the
        address, on a hub with the hash of the commit.

    Raises:
        BadInput: it is neither, has no such checkpoint, or is of a task without a generator; or the vocoder cannot be
            read, or is of another mel scale; or both a run and a packaged model are named, or a released one is not
            here; or a bucket or hub refuses or cannot be reached, and there is no copy of an earlier time.
    """
    if packaged is not None:
        if run is not None or packaged not in (*PACKAGED, *INSTRUMENTS):
            names = ", ".join((*PACKAGED, *INSTRUMENTS))
            raise BadInput(f"packaged is {shown(packaged)}; it is one of {names}, and no run is given with it.")
        return _load_file(_named(packaged), step, vocoder)
    if run is None and not SHIPPED.is_file():
        raise BadInput("this installation has no packaged model; give a run directory, or a file of drumgan pack.")
    if run is not None and scheme_of(run) in FETCHED:
        return _load_fetched(os.fspath(run), step, vocoder)
    path = SHIPPED if run is None else path_of(run)
    if path.suffix == ".npz":
        return _load_file(path, step, vocoder)
    from drumgan_jax.runs.config import read_config

    kind = read_config(path).get("task", {}).get("kind")
    if kind not in KINDS:
        raise BadInput(f"{path} is a run of task {shown(kind)}; give the run of a GAN.")
    return KINDS[kind].open_run(path, "last" if step is None else step, vocoder)


def _load_fetched(address: str, step: int | str | None, vocoder: str | Path | None) -> Any:
    from drumgan_jax.play.fetched import fetch

    found = fetch(address, step)
    with about(brief(address)):
        playable = load(found.path, found.step, vocoder)
    logging.info("%s was loaded.", found.source)
    return dataclasses.replace(playable, source=found.source) if hasattr(playable, "source") else playable


def path_of(run: str | Path) -> Path:
    """The path of a run or file; of a name in PACKAGED or INSTRUMENTS, its file.

    Raises:
        BadInput: the file of a released instrument is not here, or is another one.
    """
    path = place(expand(os.fspath(run)))
    return path if path.exists() or str(run) not in (*PACKAGED, *INSTRUMENTS) else _named(str(run))


def _named(name: str) -> Path:
    return PACKAGED[name] if name in PACKAGED else store.verified(name)


def save_instrument(
    path: str | os.PathLike[str], playable: Playable, card: Mapping[str, Any], precision: str = "half"
) -> None:
    """Write a playable as one .npz; whole or not at all. The same playable and card give the same bytes.

    Args:
        path: of the file.
        playable: the instrument.
        card: for JSON.
        precision: of the weights, one of PRECISIONS.

    Raises:
        BadInput: the path does not end in .npz or cannot be written, or a weight is not finite.
    """
    own, arrays = playable.packed()
    header = {
        "kind": playable.kind,
        "config": portable_config(current_config(playable.config)),
        "labels": list(playable.label_names),
        "step": playable.step,
        "card": dict(card),
        **own,
    }
    bits = PRECISIONS[precision]
    arrays = in_bytes(arrays, bits) if bits < 16 else arrays
    write_weights(path, FORMAT, json.loads(json.dumps(header)), arrays)


def _load_file(path: Path, step: int | str | None, vocoder: str | Path | None) -> Playable:
    _, header, packed, _ = read_weights(path, FORMAT, _OWNER)
    try:
        arrays = out_of_bytes(packed)
        config, labels, at = (header[key] for key in ("config", "labels", "step"))
        if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels) or type(at) is not int:
            raise ValueError("labels or step are of another type")
        kind = header.get("kind", "gan")
        if not isinstance(kind, str):
            raise ValueError("its kind is no text")
        file = PackedFile(os.fspath(path), header, arrays, current_config(config), tuple(labels), at)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise not_one(path, _OWNER, error) from error
    if step not in (None, "last", "best", at, str(at)):
        raise BadInput(f"{path} has no step {brief(str(step))}; it is of step {at} alone.")
    if kind not in KINDS:
        raise BadInput(f"{path} is an instrument of kind {shown(kind)}, which this version does not know; update it.")
    try:
        return KINDS[kind].unpack(file, vocoder)
    except (BadInput, KeyError, TypeError, ValueError, AttributeError) as problem:
        raise BadInput(f"{path} does not fit this version: {problem}") from problem
