"""Opening of files that users name: regular ones only, because reading a pipe or a device may never end."""

import io
import os
import stat
from typing import BinaryIO

from drumgan_jax.core import places
from drumgan_jax.core.errors import BadInput

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


_CHECK_PATH = "check the path and its permissions"


def open_regular(path: str | os.PathLike[str], remedy: str = "") -> BinaryIO:
    """Open a regular file, a link to one, or an object in a bucket, which is read whole, for reading bytes.

    Args:
        path: of the file.
        remedy: what to do if it cannot be opened, the end of a sentence; empty for general advice.

    Raises:
        BadInput: it cannot be opened, or is a folder, a named pipe, a socket or a device.
    """
    if places.is_remote(path):
        return io.BytesIO(_read_object(path, remedy))
    try:
        # A device may do something when it is opened; a pipe that takes the file's place now would be waited for.
        if not (other := irregular(os.stat(path).st_mode)):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            other = irregular(os.fstat(descriptor).st_mode)
            if not other:
                return open(descriptor, "rb")
            os.close(descriptor)
    except OSError as error:
        raise BadInput(f"{path} cannot be opened ({error.strerror}); {remedy or _CHECK_PATH}.") from error
    except ValueError:
        raise BadInput(f"{path!r} cannot be opened (it holds a zero byte); correct the path.") from None
    raise BadInput(f"{path} is no regular file ({other}); {remedy or 'give a file, or leave it out'}.")


def irregular(mode: int) -> str:
    """What a file is that is no regular one, by its mode, such as "a named pipe"; empty for a regular file."""
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "of no known kind")


def read_regular(path: str | os.PathLike[str], remedy: str = "") -> bytes:
    """All bytes of a regular file; see `open_regular`.

    Raises:
        BadInput: it cannot be opened or read, or is no regular file.
    """
    if places.is_remote(path):
        return _read_object(path, remedy)
    with open_regular(path, remedy) as file:
        try:
            return file.read()
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({error.strerror}); {remedy or 'copy it again'}.") from error


def _read_object(path: str | os.PathLike[str], remedy: str) -> bytes:
    try:
        return places.read(places.place(path))
    except OSError as error:
        problem = "there is no such object" if isinstance(error, FileNotFoundError) else error.strerror
        raise BadInput(f"{os.fspath(path)} cannot be read ({problem}); {remedy or 'check the address'}.") from error
