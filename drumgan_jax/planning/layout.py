"""How much memory an array takes on a chip: TPUs lay arrays out in tiles, and fill those at the edges up."""

import itertools
import math

_SUBLANES, _LANES = 8, 128
# What lies along one axis only is laid out in tiles of up to so many numbers, and of at least so many bytes.
_LONGEST, _SHORTEST = 1024, 512


def bytes_on(platform: str, shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes of an array in the memory of a chip.

    On a TPU, two axes are laid out in tiles of 8 x 128 numbers, or of fewer rows if the first of these axes is as
    short; the compiler takes the two that waste least. So it is for libtpu's arguments, to the byte.

    Args:
        platform: tpu or cuda.
        shape: of the array.
        itemsize: bytes of a number.
    """
    if platform != "tpu":
        return math.prod(shape) * itemsize
    if len(shape) < 2:
        size = math.prod(shape)
        return _up(size, min(_LONGEST, max(_SHORTEST // itemsize, _power(size)))) * itemsize
    return min(_tiled(shape, rows, lanes) for rows, lanes in itertools.permutations(range(len(shape)), 2)) * itemsize


def bytes_for_convolution(platform: str, shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes of what a convolution reads or writes: a TPU has the first axis and the last, batch and channels, in tiles.

    Args:
        platform: tpu or cuda.
        shape: of the array.
        itemsize: bytes of a number.
    """
    if platform != "tpu" or len(shape) < 3:
        return bytes_on(platform, shape, itemsize)
    last = len(shape) - 1
    return min(_tiled(shape, 0, last), _tiled(shape, last, 0)) * itemsize


def _tiled(shape: tuple[int, ...], rows: int, lanes: int) -> int:
    others = math.prod(size for axis, size in enumerate(shape) if axis not in (rows, lanes))
    return others * _up(shape[rows], min(_SUBLANES, _power(shape[rows]))) * _up(shape[lanes], _LANES)


def _power(size: int) -> int:
    """The power of two that is not less."""
    return int(1 << max(0, size - 1).bit_length())


def _up(size: int, tile: int) -> int:
    return -(-size // tile) * tile
