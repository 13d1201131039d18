"""Expansion of ~ in user-supplied paths."""

import os
import re

# An address, such as sequenced:FOLDER?count=3 or a metric's fid:FILE, has its path after the colon.
_HOME = re.compile(r"^(\w+:)?(~.*)$", re.DOTALL)


def expand(path: str) -> str:
    """Expand a leading ~ in a path, or in the path after the first colon of an address."""
    match = _HOME.match(path)
    return f"{match[1] or ''}{os.path.expanduser(match[2])}" if match else path
