"""What compilers said of programs, kept for the next plan: compiling takes minutes, and nothing of it is chance."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import drumgan_jax
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.json_files import read_json
from drumgan_jax.weights import store


@dataclasses.dataclass(frozen=True)
class Shelf:
    """What is known of programs for some chips, each in a file of its own, so that nothing that was done is lost.

    Attributes:
        topology: the chips, in words.
        versions: of the compilers.
    """

    topology: str
    versions: Mapping[str, str]

    def read(self, decided_by: Any, name: str) -> dict[str, Any]:
        """What is known of a program, by all that decides it; LookupError if nothing is kept, or it is damaged."""
        path = self._path(decided_by, name)
        try:
            return read_json(path, "delete it")
        except BadInput:
            raise LookupError(path) from None

    def write(self, decided_by: Any, name: str, known: Mapping[str, Any]) -> None:
        """Keep it; where nothing can be written, the next plan compiles again."""
        path = self._path(decided_by, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(known))
        except OSError:
            return

    def _path(self, decided_by: Any, name: str) -> Path:
        known = json.dumps([decided_by, name, self.topology, dict(self.versions), _source()], sort_keys=True)
        return store.folder().parent / "plans" / f"{hashlib.sha256(known.encode()).hexdigest()[:24]}.json"


@functools.cache
def _source() -> str:
    """Digest of the package's modules: another network makes other programs."""
    digest = hashlib.sha256()
    root = Path(drumgan_jax.__file__).parent
    for source in sorted(root.rglob("*.py")):
        digest.update(source.relative_to(root).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()
