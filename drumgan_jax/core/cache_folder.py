"""The folder of this machine with copies of what is elsewhere, and whether only these may be used."""

import os
from pathlib import Path

_NO = ("", "0", "false", "no", "off")


def cache_folder() -> Path:
    """$DRUMGAN_CACHE, or ~/.cache/drumgan."""
    return Path(os.environ.get("DRUMGAN_CACHE") or Path.home() / ".cache" / "drumgan")


def is_offline() -> bool:
    """Whether DRUMGAN_OFFLINE is set: copies are used as they are, and nothing is asked of a hub or a bucket."""
    return os.environ.get("DRUMGAN_OFFLINE", "").lower() not in _NO
