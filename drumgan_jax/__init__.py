"""GANs that make drum sounds and drum loops, in JAX: prepare, train, measure and play.

docs/api.md names what others may rely on.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drumgan_jax.core.errors import BadInput
    from drumgan_jax.latents.latents import Latents, Sounds
    from drumgan_jax.play.instrument import Instrument
    from drumgan_jax.play.load import load

__all__ = ["BadInput", "Instrument", "Latents", "Sounds", "load"]
__version__ = "0.1.0"

# JAX takes over a second to import: the package itself must stay cheap for the command line's help.
_MODULES = {
    "BadInput": "core.errors",
    "Instrument": "play.instrument",
    "Latents": "latents.latents",
    "Sounds": "latents.latents",
    "load": "play.load",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"drumgan_jax.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
