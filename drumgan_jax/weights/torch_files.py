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

from drumgan_jax.core.errors import BadInput, first_line
from drumgan_jax.core.regular_files import open_regular
from drumgan_jax.core.zip_archives import whole_zip

_LITTLE = b"little"
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
# Of a pickle, which holds no numbers, and the axes of a tensor that NumPy can hold.
_MOST_PICKLE, _MOST_AXES = 2**26, 32
# How many times the bytes of a storage may be those of its tensors, or these those of it, beside a megabyte.
_MOST_TIMES, _SMALL = 8, 2**20
# Exceptions that the unpickler and the archive reader raise on damaged files.
_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    struct.error,
    zlib.error,
    ArithmeticError,
    AssertionError,
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

    @property
    def num_bytes(self) -> int:
        return self.size * np.dtype(self.dtype).itemsize


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        return self.size * np.dtype(self.storage.dtype).itemsize


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of a PyTorch state dict by name, in the file's dtypes.

    The file holds the state dict, or a dictionary with the state dict under "model_state_dict".

    Raises:
        BadInput: the file cannot be opened, is damaged, or holds anything other than tensors by name.
    """
    file = open_regular(path)
    try:
        with file, whole_zip():
            state, content = _open_zip(file) if zipfile.is_zipfile(file) else _open_stream(file)
            tensors = _tensors(state)
            _check_sizes(tensors)
            storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
            contents = {key: content(storage) for key, storage in storages.items()}
        return {name: _array(name, tensor, contents[tensor.storage.key]) for name, tensor in tensors.items()}
    except _DAMAGE as problem:
        raise BadInput(
            f"{path} is not a readable PyTorch state dict ({first_line(problem)}); download the published file."
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
        storage = _Storage(str(key), dtype, int(count))
        if storage.size < 0 or self.storages.setdefault(storage.key, storage) != storage:
            raise pickle.UnpicklingError(f"it has two storages {storage.key!r}")
        return storage


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


def _open_zip(file: BinaryIO) -> tuple[Any, Callable[[_Storage], bytes]]:
    """The pickle of a zip archive, and what reads a storage's bytes."""
    archive = zipfile.ZipFile(file)
    names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise ValueError("the archive has no data.pkl")
    folder = names[0].removesuffix("data.pkl")
    order = f"{folder}byteorder"
    told = archive.getinfo(order) if order in archive.namelist() else None
    if told is not None and (told.file_size != len(_LITTLE) or archive.read(told) != _LITTLE):
        raise ValueError("its numbers are big-endian")
    if archive.getinfo(names[0]).file_size > _MOST_PICKLE:
        raise ValueError("its pickle is too large for names and shapes")
    state = _Unpickler(io.BytesIO(archive.read(names[0]))).load()
    return state, lambda storage: _member(archive, f"{folder}data/{storage.key}", storage.num_bytes)


def _member(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """A file of an archive, which is unpacked only if it is of the size that it should have."""
    if archive.getinfo(name).file_size != size:
        raise ValueError(f"{name} unpacks to {archive.getinfo(name).file_size:,} bytes, not {size:,}")
    return archive.read(name)


def _open_stream(file: BinaryIO) -> tuple[Any, Callable[[_Storage], bytes]]:
    """The pickle of a stream, and what reads a storage's bytes."""
    file.seek(0)
    magic, version, system = (_Unpickler(file).load() for _ in range(3))
    if magic != _MAGIC or version != 1001:
        raise ValueError("its header is wrong")
    if not system["little_endian"]:
        raise ValueError("its numbers are big-endian")
    unpickler = _Unpickler(file)
    state = unpickler.load()
    storages, places, size = unpickler.storages, {}, os.fstat(file.fileno()).st_size
    for key in _Unpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        if key not in storages or key in places or count != storages[key].size:
            raise ValueError("its storages do not match its tensors")
        places[key] = file.tell()
        if storages[key].num_bytes > size - places[key]:
            raise ValueError(f"storage {key} is truncated")
        file.seek(storages[key].num_bytes, os.SEEK_CUR)

    def content(storage: _Storage) -> bytes:
        file.seek(places[storage.key])
        return file.read(storage.num_bytes)

    return state, content


def _tensors(state: Any) -> dict[str, _Tensor]:
    """The tensors of a state dict by name, each within its storage."""
    if not isinstance(state, Mapping):
        raise ValueError(f"it holds a {type(state).__name__}, not tensors by name")
    if isinstance(nested := state.get(_NESTED), Mapping):
        state = nested
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise ValueError(f"{name!r} is not a tensor")
        storage, offset, shape, strides = tensor
        if len(shape) > _MOST_AXES or len(shape) != len(strides):
            raise ValueError(f"{name} has {len(shape)} axes and {len(strides)} strides")
        last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
        if min((offset, *shape, *strides)) < 0 or tensor.size > storage.size or (tensor.size and last >= storage.size):
            raise ValueError(f"{name} reaches beyond its data")
    return dict(state)


def _check_sizes(tensors: Mapping[str, _Tensor]) -> None:
    """Refuse storages that are far larger than what refers to them, and tensors that are far larger than these."""
    wanted: dict[_Storage, int] = {}
    for tensor in tensors.values():
        wanted[tensor.storage] = wanted.get(tensor.storage, 0) + tensor.num_bytes
    for storage, num_bytes in wanted.items():
        if storage.num_bytes > _MOST_TIMES * num_bytes + _SMALL:
            raise ValueError(f"storage {storage.key} has {storage.num_bytes:,} bytes, of which {num_bytes:,} are used")
        if num_bytes > _MOST_TIMES * storage.num_bytes + _SMALL:
            raise ValueError(f"its tensors make {num_bytes:,} bytes of the {storage.num_bytes:,} of {storage.key}")


def _array(name: str, tensor: _Tensor, content: bytes) -> np.ndarray:
    storage, offset, shape, strides = tensor
    numbers = np.frombuffer(content, storage.dtype)
    if len(numbers) != storage.size:
        raise ValueError(f"the data of {name} is truncated")
    steps = [stride * numbers.itemsize for stride in strides]
    view = np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)
    return np.array(view, order="C")
