"""Checks for the libraries of the extras `prepare` and `dask`, which only some runs need."""

import importlib.util
import sys

from drumgan_jax.core.errors import BadInput


def is_installed(module: str) -> bool:
    """Whether a library is installed; does not import it."""
    if module in sys.modules:
        return sys.modules[module] is not None
    return importlib.util.find_spec(module) is not None


def require(module: str, purpose: str, extra: str = "prepare") -> None:
    """Check that a library is installed.

    Args:
        module: name of the library.
        purpose: the setting that needs it, for the message.
        extra: the extra that brings it.

    Raises:
        BadInput: the library is not installed.
    """
    if not is_installed(module):
        raise BadInput(
            f"{purpose} needs {module}, which is not installed; "
            f"install the extra with: pip install 'drumgan-jax[{extra}]'."
        )
