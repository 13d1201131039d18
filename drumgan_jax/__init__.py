"""GANs that make drum sounds and drum loops, in JAX: prepare, train, measure and play."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drumgan_jax.play.instrument import Instrument, load

__all__ = ["Instrument", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # JAX takes over a second to import: the package itself must stay cheap for the command line's help.
    if name in __all__:
        from drumgan_jax.play import instrument

        return getattr(instrument, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
