"""Embedders: frozen networks that turn sound into vectors, one file each."""

import functools
import importlib
from pathlib import Path

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.embedder import Embedder

# Modules with a `build()`, imported on use so that a run pays only for its own embedders.
EMBEDDERS = {
    "drums": "classifier",
    "inception": "inception",
    "log_mel": "log_mel",
    "short_chunk": "short_chunk",
    "vgg16": "vgg16",
    "vggish": "vggish",
}


@functools.lru_cache(maxsize=8)
def build_embedder(name: str) -> Embedder:
    """Build an embedder by its name in EMBEDDERS, or from a classifier file written by `drumgan pack`.

    Raises:
        BadInput: there is no such name or file, or the weights are not installed.
    """
    if name in EMBEDDERS:
        return importlib.import_module(f"{__name__}.{EMBEDDERS[name]}").build()
    if Path(name).is_file():
        from drumgan_jax.evaluation.embedders.classifier import from_file

        return from_file(name)
    raise BadInput(
        f"there is no embedder {name!r}; there are {', '.join(EMBEDDERS)}, and files written by drumgan pack."
    )
