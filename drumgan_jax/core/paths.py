"""Paths as people write them."""

import os
import re

# An address, such as sequenced:FOLDER?count=3 or a metric's fid:FILE, has its path after the colon.
_HOME = re.compile(r"^(\w+:)?(~.*)$", re.DOTALL)


def expand(path: str) -> str:
    """A path, or an address that has one after its first colon, with a leading ~ made the home of a user."""
    match = _HOME.match(path)
    return f"{match[1] or ''}{os.path.expanduser(match[2])}" if match else path
