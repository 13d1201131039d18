"""A reader of PyTorch weight files without PyTorch, and without executing code from pickles.

Reads both formats of `torch.save`: the zip archive, and the stream of pickles before PyTorch 1.6. A pickle is a
program; here it may use only ordered dictionaries, tensors and their storages. From training checkpoints, only the
network's weights are read.
"""

import collections
import io
import lzma
import math
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from drumgan_jax.core.errors import BadInput

_MAGIC = 0x1950A86A20F9469CFC6C
# Key of the network's weights in checkpoints that follow PyTorch's own recipe.
_NESTED = "model_state_dict"
_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}
# Exceptions that the unpickler and the archive reader raise on damaged files.
_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    struct.error,
    zlib.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class _Storage(NamedTuple):
    key: str
    dtype: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of a PyTorch state dict by name, in the file's dtypes.

    The file holds the state dict, or a dictionary with the state dict under "model_state_dict".

    Raises:
        BadInput: the file cannot be opened, is damaged, or holds anything other than tensors by name.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as problem:
        raise BadInput(
            f"{path} cannot be opened ({problem.strerror}); check the path and its permissions."
        ) from problem
    try:
        with file:
            state, storages = _read_zip(file) if zipfile.is_zipfile(file) else _read_stream(file)
        if not isinstance(state, Mapping):
            raise ValueError(f"it holds a {type(state).__name__}, not tensors by name")
        if isinstance(nested := state.get(_NESTED), Mapping):
            state = nested
        return {name: _array(name, tensor, storages) for name, tensor in state.items()}
    except _DAMAGE as problem:
        reason = str(problem).rstrip(".") or type(problem).__name__
        raise BadInput(
            f"{path} is not a readable PyTorch state dict ({reason}); download the published file."
        ) from problem


class _Unpickler(pickle.Unpickler):
    """Unpickles only the parts of a state dict; storages and tensors become records that locate their data."""

    def __init__(self, file: Any):
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        # A pickle can set attributes of the objects returned here, and so change this program for later files.
        # Strings, built-in classes and objects with empty slots do not accept any; functions would.
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor"): _RebuildTensor(),
            ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
            ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
        }
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it uses {module}.{name}, which no state dict needs")
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or dtype not in _DTYPES.values() or any(part is not None for part in view):
            raise pickle.UnpicklingError("it has a storage of an unknown kind")
        self.storages[str(key)] = _Storage(str(key), dtype, int(count))
        return self.storages[str(key)]


class _RebuildTensor:
    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor has no storage")
        return _Tensor(storage, int(offset), tuple(int(n) for n in shape), tuple(int(n) for n in strides))


class _RebuildParameter:
    __slots__ = ()

    def __call__(self, tensor: Any, *_: Any) -> Any:
        return tensor


def _read_zip(file: BinaryIO) -> tuple[Any, Callable[[_Storage], bytes]]:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("the archive has no data.pkl")
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        state = _Unpickler(io.BytesIO(archive.read(names[0]))).load()
        # Read here, before the archive is closed.
        contents = {
            name.removeprefix(f"{folder}data/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith(f"{folder}data/")
        }
    return state, lambda storage: contents[storage.key]


def _read_stream(file: BinaryIO) -> tuple[Any, Callable[[_Storage], bytes]]:
    file.seek(0)
    magic, version, system = (_Unpickler(file).load() for _ in range(3))
    if magic != _MAGIC or version != 1001:
        raise ValueError("its header is wrong")
    if not system["little_endian"]:
        raise ValueError("its numbers are big-endian")
    unpickler = _Unpickler(file)
    state = unpickler.load()
    storages = unpickler.storages
    contents = {}
    for key in _Unpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        if key not in storages or count != storages[key].size:
            raise ValueError("its storages do not match its tensors")
        contents[key] = file.read(count * np.dtype(storages[key].dtype).itemsize)
    return state, lambda storage: contents[storage.key]


def _array(name: Any, tensor: Any, content: Callable[[_Storage], bytes]) -> np.ndarray:
    if not isinstance(name, str) or not isinstance(tensor, _Tensor):
        raise ValueError(f"{name!r} is not a tensor")
    storage, offset, shape, strides = tensor
    numbers = np.frombuffer(content(storage), storage.dtype)
    if len(numbers) != storage.size:
        raise ValueError(f"the data of {name} is truncated")
    size = math.prod(shape)
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or size > len(numbers) or (size > 0 and last >= len(numbers)):
        raise ValueError(f"{name} reaches beyond its data")
    steps = [stride * numbers.itemsize for stride in strides]
    view = np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)
    return np.array(view, order="C")
