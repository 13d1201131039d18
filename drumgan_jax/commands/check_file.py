"""`drumgan check FILE`: a file that `drumgan pack` or another verb wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from drumgan_jax.commands.findings import Finding, tried
from drumgan_jax.core import places
from drumgan_jax.core.array_files import DAMAGES, arrays_of
from drumgan_jax.core.errors import BadInput, listed, shown
from drumgan_jax.core.regular_files import read_regular
from drumgan_jax.core.weight_file import header_of, not_one


def check_file(path: Path) -> tuple[str, list[Finding]]:
    """Read all of a file.

    Returns:
        What it is, and a finding of it.
    """
    return "a file", [tried(path.name, lambda: read_file(path))]


def read_file(path: Path) -> str:
    """Read a file of any kind that this package writes as one, and say what it is.

    Raises:
        BadInput: it is damaged, of a later version, or of no such kind.
    """
    header = _header(path)
    kind = header["format"].rpartition(" ")[0]
    if kind not in _READERS:
        known = ", ".join(name.removeprefix("drumgan ") for name in _READERS)
        raise BadInput(f"{path} is of kind {shown(kind)}; give a packed {known}.")
    read = _READERS[kind](path)
    has = "as its digest says" if "digest" in header else "no digest"
    return f"{header['format'].removeprefix('drumgan ')}: {read}; {places.size_of(path):,} bytes, {has}"


def _header(path: Path) -> dict[str, Any]:
    try:
        return header_of(arrays_of(read_regular(path), ("header",))["header"])
    except BadInput:
        raise
    except DAMAGES as error:
        raise not_one(path, "a packed instrument, classifier, vocoder or judge", error) from error


def _instrument(path: Path) -> str:
    from drumgan_jax.play.load import load

    playable = load(path)
    return f"{len(playable.label_names)} classes, step {playable.step}"


def _classifier(path: Path) -> str:
    from drumgan_jax.systems.classifier import load_classifier

    return f"classes {listed(load_classifier(path).classifier.label_names)}"


def _vocoder(path: Path) -> str:
    from drumgan_jax.systems.vocoder import read_vocoder

    return f"of sounds at {read_vocoder(path).vocoder.representation.sample_rate} Hz"


def _judge(path: Path) -> str:
    from drumgan_jax.evaluation.quality.judge import load_judge

    return f"classes {listed(load_judge(path).classes)}"


def _measured_set(path: Path) -> str:
    from drumgan_jax.evaluation.quality.sets import load_set

    return f"{len(load_set(path))} sounds"


def _fit(path: Path) -> str:
    from drumgan_jax.play.pca_gaussian import read_fitted

    return f"{len(read_fitted(path)[0].class_means)} classes"


# By the kind in the header's format.
_READERS: dict[str, Callable[[Path], str]] = {
    "drumgan instrument": _instrument,
    "drumgan classifier": _classifier,
    "drumgan vocoder": _vocoder,
    "drumgan judge": _judge,
    "drumgan measured set": _measured_set,
    "drumgan fit": _fit,
}
