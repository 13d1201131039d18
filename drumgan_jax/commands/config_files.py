"""Configs by name or path: files of the package `drumgan_jax.configs`, or of the user's own."""

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
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.paths import expand

# What a module has that makes it a config, or a grid of runs (launch/sweep.py); those with neither help the others.
CONFIG, GRID = "get_config", "RUNS"
_WHAT = {CONFIG: "config", GRID: "grid"}


@functools.cache
def names(having: str = CONFIG) -> tuple[str, ...]:
    """The names of the package's configs, or of its grids."""
    found = sorted(module.name for module in pkgutil.iter_modules(configs.__path__))
    return tuple(name for name in found if hasattr(_of_the_package(name), having))


def find_module(text: str, having: str = CONFIG) -> ModuleType:
    """The module that a name of the package's, or a path of one's own, means; a file that is there comes first.

    Args:
        text: a bare name, such as splice_loops, or a path.
        having: what the module is to have: CONFIG or GRID.

    Raises:
        BadInput: there is none, or it cannot be run.
    """
    path = Path(expand(text))
    if path.is_file():
        return _of_a_file(path, having)
    what = _WHAT[having]
    if text in names(having):
        return _of_the_package(text)
    meant = did_you_mean(path.stem, names(having))
    if text.isidentifier():
        raise BadInput(
            f"there is no {what} {text!r}{meant}; there are {', '.join(names(having))}, and files by their paths."
        )
    raise BadInput(
        f"there is no {what} file {path.absolute()}; give another path, or a bare name, which is looked up among the "
        f"package's {what}s{meant}."
    )


def load(text: str) -> ConfigDict:
    """The config of NAME, NAME:VARIANT, PATH or PATH:VARIANT.

    Raises:
        BadInput: there is no such config or variant, or the file makes none.
    """
    name, colon, variant = text.partition(":")
    module = find_module(name)
    try:
        config = module.get_config(variant) if colon else module.get_config()
    except BadInput as problem:
        raise BadInput(f"{name}: {problem}") from problem
    # A config file of one's own is a program: whatever it raises is its fault, told in one sentence.
    except Exception as problem:
        raise BadInput(_told(f"get_config of {name}", problem)) from problem
    if not isinstance(config, ConfigDict):
        raise BadInput(f"get_config of {name} gives {type(config).__name__}; let it give a ConfigDict.")
    return config


def did_you_mean(word: str, known: Sequence[str], prefix: str = "", least: float = 0.6) -> str:
    """A question in brackets, with the known word that comes nearest, or nothing if none is as near as `least`."""
    near = difflib.get_close_matches(word, known, 1, least)
    return f" (did you mean {prefix}{near[0]}?)" if near else ""


def _of_the_package(name: str) -> ModuleType:
    return importlib.import_module(f"{configs.__name__}.{name}")


def _of_a_file(path: Path, having: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"drumgan_{_WHAT[having]}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path} is no Python file; give a {_WHAT[having]}, whose name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    # As an import does: dataclasses look their module up.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        raise BadInput(_told(str(path), problem)) from problem
    if not hasattr(module, having):
        raise BadInput(f"{path} is no {_WHAT[having]}: it has no {having}; see those of the folder configs.")
    return module


def _told(what: str, problem: Exception) -> str:
    said = " ".join(str(problem).split())
    return f"{what} fails with {type(problem).__name__} ({said}); correct the file."
