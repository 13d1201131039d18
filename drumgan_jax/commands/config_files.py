"""Configs by name or path: files of the package `drumgan_jax.configs`, or the user's own files."""

import difflib
import functools
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from drumgan_jax import configs
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.paths import expand

# The attribute that marks a module as a config, or as a grid of runs (launch/sweeps); helper modules have neither.
CONFIG, GRID = "get_config", "RUNS"
_KIND_NAMES = {CONFIG: "config", GRID: "grid"}


@functools.cache
def names(having: str = CONFIG) -> tuple[str, ...]:
    """The names of the package's configs, or of its grids if `having` is GRID."""
    found = sorted(module.name for module in pkgutil.iter_modules(configs.__path__))
    return tuple(name for name in found if hasattr(_of_the_package(name), having))


def find_module(text: str, having: str = CONFIG) -> ModuleType:
    """Find a module by its name in the package or by its path; an existing file takes precedence.

    Args:
        text: a bare name, such as splice_loops, or a path.
        having: the attribute that the module must have: CONFIG or GRID.

    Raises:
        BadInput: there is no such module, or it cannot be run.
    """
    path = Path(expand(text))
    if path.is_file():
        return _of_a_file(path, having)
    kind = _KIND_NAMES[having]
    if text in names(having):
        return _of_the_package(text)
    meant = did_you_mean(path.stem, names(having))
    if text.isidentifier():
        raise BadInput(
            f"there is no {kind} {shown(text)}{meant}; there are {', '.join(names(having))}, and files by their paths."
        )
    raise BadInput(
        f"there is no {kind} file {path.absolute()}; give another path, or a bare name, which is looked up among the "
        f"package's {kind}s{meant}."
    )


def load(text: str) -> ConfigDict:
    """Load the config given as NAME, NAME:VARIANT, PATH or PATH:VARIANT.

    Raises:
        BadInput: there is no such config or variant, or the file does not make a config.
    """
    name, colon, variant = text.partition(":")
    module = find_module(name)
    try:
        config = module.get_config(variant) if colon else module.get_config()
    except BadInput as problem:
        raise BadInput(f"{name}: {problem}") from problem
    # A user's config file is a program and may raise anything.
    except Exception as problem:
        raise BadInput(_failure(f"get_config of {name}", problem)) from problem
    if not isinstance(config, ConfigDict):
        raise BadInput(f"get_config of {name} returns {type(config).__name__}; make it return a ConfigDict.")
    return config


def did_you_mean(word: str, known: Sequence[str], prefix: str = "", least: float = 0.6) -> str:
    """A question in brackets with the closest known word, or "" if no similarity reaches `least`."""
    near = difflib.get_close_matches(word, known, 1, least)
    return f" (did you mean {prefix}{near[0]}?)" if near else ""


def _of_the_package(name: str) -> ModuleType:
    return importlib.import_module(f"{configs.__name__}.{name}")


def _of_a_file(path: Path, having: str) -> ModuleType:
    kind = _KIND_NAMES[having]
    spec = importlib.util.spec_from_file_location(f"drumgan_{kind}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path} is not a Python file; give a {kind} whose file name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    # As an import does, because dataclasses look up their module there.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        raise BadInput(_failure(str(path), problem)) from problem
    if not hasattr(module, having):
        raise BadInput(f"{path} is not a {kind}: it has no {having}; see the examples in the folder configs.")
    return module


def _failure(source: str, problem: Exception) -> str:
    message = " ".join(str(problem).split())
    return f"{source} fails with {type(problem).__name__} ({message}); correct the file."
