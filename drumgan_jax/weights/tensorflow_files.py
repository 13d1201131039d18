"""A reader of TensorFlow checkpoints without TensorFlow.

A checkpoint (tensorflow/core/util/tensor_bundle) is a shard with the arrays' bytes and an index, a sorted string table
as LevelDB's, from each array's name to a protocol buffer with its dtype, shape, offset and size. Read are indices that
are not compressed and have one shard, as TensorFlow writes them by default.
"""

import math
import struct
from collections.abc import Iterator

import numpy as np

from drumgan_jax.core.errors import BadInput, first_line
from drumgan_jax.core.protocol_buffers import fields, varints

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
# By TensorFlow's number (tensorflow/core/framework/types.proto).
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}
# Fields of tensorflow/core/protobuf/tensor_bundle.proto: BundleEntryProto, TensorShapeProto and its Dim.
_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE = 1, 2, 3, 4, 5
_DIM, _DIM_SIZE = 2, 1


def read_checkpoint(index: bytes, data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint by name, in its dtypes.

    Args:
        index: content of the `.index` file.
        data: content of the `.data-00000-of-00001` file.

    Raises:
        BadInput: it is damaged, or has compressed blocks, several shards or arrays of other types.
    """
    try:
        return {name.decode(): _array(fields(entry), data) for name, entry in _table(index) if name}
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as problem:
        raise BadInput(
            f"the TensorFlow checkpoint cannot be read ({first_line(problem)}); give the published files, whole."
        ) from problem


def _array(entry: dict[int, list], data: bytes) -> np.ndarray:
    if entry.get(_SHARD, [0]) != [0]:
        raise ValueError("it has several shards")
    shape = [fields(dim).get(_DIM_SIZE, [0])[0] for dim in fields(entry[_SHAPE][0]).get(_DIM, [])]
    (start,), (size,) = entry.get(_OFFSET, [0]), entry.get(_SIZE, [0])
    dtype = np.dtype(_DTYPES[entry[_DTYPE][0]])
    if size != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of {shape} has {size} bytes")
    return np.frombuffer(data[start : start + size], dtype).reshape(shape)


def _table(index: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted string table."""
    footer = index[-_FOOTER:]
    if struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise ValueError("its index is no table")
    # Of the footer's two handles, each an offset and a size, the second is that of the block of blocks.
    (_, _, offset, size), _ = varints(footer, 0, 4)
    for _, handle in _block(index, offset, size):
        (offset, size), _ = varints(handle, 0, 2)
        yield from _block(index, offset, size)


def _block(index: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if index[offset + size]:
        raise ValueError("its index is compressed")
    block, key, at = index[offset : offset + size], b"", 0
    restarts = struct.unpack("<I", block[-4:])[0]
    while at < size - 4 - 4 * restarts:
        (shared, added, length), at = varints(block, at, 3)
        key, at = key[:shared] + block[at : at + added], at + added
        yield key, block[at : at + length]
        at += length
