"""Damage to zip archives, in words of ours."""

import contextlib
import zipfile
from collections.abc import Iterator


@contextlib.contextmanager
def whole_zip() -> Iterator[None]:
    """Give what zipfile says of a damaged archive, in which it quotes the bytes of the file, a short reason.

    Raises:
        ValueError: in place of zipfile.BadZipFile.
    """
    try:
        yield
    except zipfile.BadZipFile as error:
        raise ValueError("it is no whole zip archive") from error
