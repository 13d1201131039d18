"""Reading of JSON files, which may have been edited, cut or damaged since they were written."""

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from drumgan_jax.core.errors import BadInput, first_line
from drumgan_jax.core.regular_files import read_regular


def read_json(path: str | os.PathLike[str], remedy: str) -> dict[str, Any]:
    """The object in a JSON file; with or without a byte order mark.

    Args:
        path: of the file.
        remedy: what to do if it cannot be used, the end of a sentence.

    Raises:
        BadInput: it is no regular file, cannot be read, is no UTF-8 or no JSON, holds something else than an object, a
            key twice, or a number that is not finite; names the file, and the key where there is one.
    """
    content = read_regular(path, remedy)
    try:
        found = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_object)
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}, not an object")
        if odd := _not_finite(found):
            raise ValueError(f"its {odd} is not finite")
    except RecursionError:
        raise BadInput(f"{path} is damaged (it is nested too deeply); {remedy}.") from None
    except ValueError as error:
        raise BadInput(f"{path} is damaged ({first_line(error)}); {remedy}.") from error
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {next(name for name in names if names.count(name) > 1)!r} twice")
    return found


def _not_finite(value: Any) -> str:
    """The path of the first number that is not finite; empty if there is none."""
    if isinstance(value, float):
        return "" if math.isfinite(value) else "value"
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)  # type: ignore[assignment]
    else:
        return ""
    for name, part in parts:
        if inner := _not_finite(part):
            return f"{name}" if inner == "value" else f"{name}.{inner}"
    return ""
