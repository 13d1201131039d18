"""Measures of compiled programs, kept for the next plan: compiling them takes minutes, and nothing of it is chance."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import drumgan_jax
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.json_files import read_json
from drumgan_jax.planning.compiled import MeasuredProgram, Measures
from drumgan_jax.planning.largest import Largest
from drumgan_jax.weights import store


def place(config: Mapping[str, Any], topology: str, versions: Mapping[str, str]) -> Path:
    """Where the measures of a config's programs are kept, of these versions and of this package's source."""
    known = json.dumps([config, topology, dict(versions), _source()], sort_keys=True)
    return store.folder().parent / "plans" / f"{hashlib.sha256(known.encode()).hexdigest()[:24]}.json"


def read(path: Path) -> tuple[list[MeasuredProgram], Largest] | None:
    """The programs of a run and the most rows that fit; None if they are not kept, or what is kept is damaged."""
    try:
        found = read_json(path, "delete it")
        programs = [MeasuredProgram(**{**one, "measures": Measures(**one["measures"])}) for one in found["programs"]]
        return programs, Largest(**found["largest"])
    except (BadInput, KeyError, TypeError):
        return None


def write(path: Path, programs: Sequence[MeasuredProgram], largest: Largest) -> None:
    """Keep both; where nothing can be written, the next plan compiles again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            found = {"programs": list(map(dataclasses.asdict, programs)), "largest": dataclasses.asdict(largest)}
            temporary.write_text(json.dumps(found))
    except OSError:
        return


def _source() -> str:
    """Digest of the package's modules: another network makes other programs."""
    digest = hashlib.sha256()
    root = Path(drumgan_jax.__file__).parent
    for source in sorted(root.rglob("*.py")):
        digest.update(source.relative_to(root).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()
