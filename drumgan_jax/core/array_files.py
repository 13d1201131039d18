"""Reading of NumPy's .npz files, which may have been cut, damaged or made to harm."""

import io
import math
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Collection

import numpy as np

from drumgan_jax.core.errors import shown
from drumgan_jax.core.regular_files import read_regular
from drumgan_jax.core.zip_archives import whole_zip

# Exceptions raised by reading a file that is truncated, changed or of another kind.
DAMAGES = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    OSError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
# What all arrays of a file may come to: what this package writes is far below it, and a file of some kB may claim more.
_MOST_BYTES, _MOST_TIMES = 2**31, 64
_ENDING = ".npy"
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_arrays(path: str | os.PathLike[str], remedy: str) -> dict[str, np.ndarray]:
    """All arrays of a file by name; see `arrays_of`.

    Raises:
        BadInput: it is no regular file, or cannot be read.
        One of DAMAGES: it is damaged, or no such file.
    """
    return arrays_of(read_regular(path, remedy))


def arrays_of(content: bytes, only: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays by name of the bytes of an .npz; nothing in it is executed.

    Args:
        content: of the file.
        only: names; None for all.

    Raises:
        One of DAMAGES: it is damaged, no such file, holds Python objects, or unpacks to far more than is written so.
    """
    with whole_zip(), zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {one.filename.removesuffix(_ENDING): one for one in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise ValueError("it has an array twice")
        if odd := [one.filename for one in archive.infolist() if not one.filename.endswith(_ENDING)]:
            raise ValueError(f"its {shown(odd[0])} is no array")
        if any(one.compress_type not in _COMPRESSIONS for one in archive.infolist()):
            raise ValueError("it is compressed as NumPy never does")
        total = sum(one.file_size for one in archive.infolist())
        if total > max(_MOST_BYTES, _MOST_TIMES * len(content)):
            raise ValueError(f"its arrays are of {total:,} bytes")
        names = members if only is None else [name for name in members if name in only]
        return {name: _array(archive.read(members[name])) for name in names}


def _array(content: bytes) -> np.ndarray:
    """The array of an .npy file's bytes, whose header is believed only as far as there are bytes."""
    file = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            # Of headers that only old versions of Python wrote.
            warnings.simplefilter("error", UserWarning)
            shape, _, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    # NumPy quotes the header, which may be long.
    except (ValueError, SyntaxError, tokenize.TokenError, UserWarning, KeyError) as error:
        raise ValueError("an array's header cannot be read") from error
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    left = len(content) - file.tell()
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != left:
        raise ValueError(f"an array of {list(shape)} {dtype} has {left} bytes")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
