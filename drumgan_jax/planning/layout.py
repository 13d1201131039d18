"""How much memory an array takes on a chip: TPUs lay arrays out in tiles, and fill those at the edges up."""

import itertools
import math

_SUBLANES, _LANES = 8, 128
# A scalar takes as much as a row of lanes.
_ROW = 4 * _LANES


def bytes_on(platform: str, shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes of an array in the memory of a chip.

    On a TPU, two axes are laid out in tiles of 8 x 128 numbers of four bytes, or fewer rows if the first of these axes
    is as short; the compiler takes the two that waste least. So it is for libtpu's arguments, to the byte.

    Args:
        platform: cpu, tpu or cuda.
        shape: of the array.
        itemsize: bytes of a number.
    """
    if platform != "tpu":
        return math.prod(shape) * itemsize
    if not shape:
        return _ROW
    rows_and_lanes = itertools.permutations(range(len(shape)), 2) if len(shape) > 1 else [(None, 0)]
    return min(_tiled(shape, rows, lanes, itemsize) for rows, lanes in rows_and_lanes)


def _tiled(shape: tuple[int, ...], rows: int | None, lanes: int, itemsize: int) -> int:
    others = math.prod(size for axis, size in enumerate(shape) if axis not in (rows, lanes))
    width = _up(shape[lanes], _LANES)
    if rows is None:
        return width * itemsize
    tile = min(_SUBLANES * 4 // itemsize, 1 << max(0, shape[rows] - 1).bit_length())
    return others * _up(shape[rows], tile) * width * itemsize


def _up(size: int, tile: int) -> int:
    return -(-size // tile) * tile
