"""The frozen networks that turn sound into vectors, one file each."""

import functools
import importlib
from pathlib import Path

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.embedder import Embedder

# Modules with a `build()`, named and not imported: a run pays for the embedders it uses.
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
    """The embedder of a name of EMBEDDERS, or of a classifier file that `drumgan pack` wrote.

    Raises:
        BadInput: there is no such name or file, or the weights are not here.
    """
    if name in EMBEDDERS:
        return importlib.import_module(f"{__name__}.{EMBEDDERS[name]}").build()
    if Path(name).is_file():
        from drumgan_jax.evaluation.embedders.classifier import from_file

        return from_file(name)
    raise BadInput(
        f"there is no embedder {name!r}; there are {', '.join(EMBEDDERS)}, and files that drumgan pack wrote."
    )
