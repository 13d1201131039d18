"""Random access to the records of TFRecord shards, with every read verified by its checksums.

A shard is a sequence of records: length (uint64), masked CRC-32C of the length (uint32), payload, masked CRC-32C of
the payload (uint32), little-endian. `record_index.npz` holds, by the shard's file name, the offsets of its records and
finally the size of the shard: [records + 1] uint64.
"""

import bisect
import itertools
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import numpy as np

from drumgan_jax.core import places
from drumgan_jax.core.array_files import DAMAGES, read_arrays
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, brief, first_line, listed, shown
from drumgan_jax.core.places import is_remote, place, read
from drumgan_jax.core.regular_files import open_regular

INDEX_NAME = "record_index.npz"
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
# Bytes of a record besides its payload.
OVERHEAD = _HEADER.size + _FOOTER.size
_SHARD = re.compile(r"(?P<name>.+)-(?P<split>[^-]+)\.tfrecord-(?P<number>\d{5})-of-(?P<count>\d{5})")


def masked_crc(data: bytes) -> int:
    """CRC-32C of `data` as TFRecord stores it: rotated right by 15 bits, plus a constant."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def frame_record(payload: bytes) -> bytes:
    """A TFRecord record of a payload, with header and footer."""
    length = struct.pack("<Q", len(payload))
    return length + _FOOTER.pack(masked_crc(length)) + payload + _FOOTER.pack(masked_crc(payload))


def write_index(directory: str | os.PathLike[str]) -> Path:
    """Write `record_index.npz` for all shards in a data set directory, atomically; return its path.

    Raises:
        BadInput: there are no shards, or a shard is truncated or damaged.
    """
    path = place(directory) / INDEX_NAME
    index = _scan(place(directory))
    with replacing(path) as temporary:
        np.savez(temporary, **index)  # type: ignore[arg-type]
    return path


def check_index(directory: Path) -> int:
    """Compare the stored index with the shards' own headers, and return the number of records.

    Raises:
        BadInput: the index is missing or damaged, or a shard is, or they differ.
    """
    path = directory / INDEX_NAME
    if not path.exists():
        raise BadInput(f"{path} is missing; training or evaluating creates it again.")
    stored, found = _load_index(directory), _scan(directory)
    for name, offsets in found.items():
        if not np.array_equal(stored[name], offsets):
            raise BadInput(
                f"{path} has other places than the records of {name}; delete it, and it will be created again."
            )
    return sum(len(offsets) - 1 for offsets in found.values())


def read_shard(path: Path) -> Iterator[bytes]:
    """Yield the payloads of all records of a shard, in order, each verified by its checksums; needs no index.

    Raises:
        BadInput: the shard is truncated or damaged; names the record.
    """
    offsets = _scan_shard(path)
    for record, (start, end) in enumerate(itertools.pairwise(map(int, offsets))):
        yield _payload(_read(path, record, start, end - start), end - start, path, record)


def is_shard(name: str) -> bool:
    """Whether a file's name is that of a shard."""
    return _SHARD.fullmatch(name) is not None


def shards_of(directory: Path) -> dict[str, list[Path]]:
    """The shards of each split of a data set's directory, in order.

    Raises:
        BadInput: there are none, or one is missing.
    """
    shards: dict[str, list[Path]] = {}
    for name in _find_shards(directory):
        shards.setdefault(_SHARD.fullmatch(name)["split"], []).append(directory / name)  # type: ignore[index]
    return shards


class RecordSource:
    """The records of one split in shard order: `len(source)`, `source[i] -> bytes`; readable from threads.

    Args:
        directory: a TFDS version directory. If its `record_index.npz` is missing, it is created from the shards, and
            saved if the directory is writable.
        split: name of the split.

    Raises:
        BadInput: the split has no shards, a shard is missing or differs in size from the index, or, on reading, a
            record fails its checksum. The message names the shard and the record.
    """

    def __init__(self, directory: str | os.PathLike[str], split: str):
        self.directory = place(directory)
        self.split = split
        index = _load_index(self.directory)
        self._shards = [name for name in sorted(index) if _SHARD.fullmatch(name)["split"] == split]  # type: ignore[index]
        if not self._shards:
            splits = sorted({_SHARD.fullmatch(name)["split"] for name in index})  # type: ignore[index]
            raise BadInput(f"{self.directory} has no split {shown(split)}; it has {listed(splits)}.")
        self._offsets = [index[name] for name in self._shards]
        for name, offsets in zip(self._shards, self._offsets, strict=True):
            _check_size(self.directory / name, offsets)
        self._starts = np.cumsum([0] + [len(offsets) - 1 for offsets in self._offsets]).tolist()

    def __len__(self) -> int:
        return self._starts[-1]

    def __repr__(self) -> str:
        # Grain identifies its sources by their repr, which must be the same in every process.
        return f"RecordSource({self.split!r}, {len(self)} records)"

    def __getitem__(self, item: int) -> bytes:
        path, record, start, end = self._locate(item)
        return _payload(_read(path, record, start, end - start), end - start, path, record)

    @property
    def records(self) -> list[int]:
        """Number of records of each shard."""
        return [len(offsets) - 1 for offsets in self._offsets]

    @property
    def num_bytes(self) -> int:
        """Of all its shards."""
        return sum(int(offsets[-1]) for offsets in self._offsets)

    def place(self, item: int) -> str:
        """The shard of a record and its number within, for messages."""
        path, record, _, _ = self._locate(item)
        return f"{path}: record {record}"

    def checksum(self, item: int) -> int:
        """The stored checksum of a record's payload, without reading the payload."""
        path, record, _, end = self._locate(item)
        footer = _read(path, record, end - _FOOTER.size, _FOOTER.size)
        if len(footer) != _FOOTER.size:
            raise _damaged(path, record, "is truncated")
        return _FOOTER.unpack(footer)[0]

    def _locate(self, item: int) -> tuple[Path, int, int, int]:
        """Shard of a record, its number within the shard, and its start and end offset."""
        if not 0 <= item < len(self):
            raise IndexError(f"record {item} of {len(self)}")
        shard = bisect.bisect_right(self._starts, item) - 1
        record = item - self._starts[shard]
        start, end = (int(offset) for offset in self._offsets[shard][record : record + 2])
        return self.directory / self._shards[shard], record, start, end


def _read(path: Path, record: int, start: int, size: int) -> bytes:
    if is_remote(path):
        try:
            return read(path, start, start + size)
        except OSError as error:
            raise _damaged(path, record, f"cannot be read ({first_line(error)})") from error
    # Opened for each record, which takes microseconds and needs no pool of descriptors.
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise _damaged(path, record, f"cannot be read ({error.strerror})") from error
    try:
        return _read_fully(descriptor, start, size)
    except OSError as error:
        raise _damaged(path, record, f"cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)


def _payload(data: bytes, expected: int, path: Path, record: int) -> bytes:
    if len(data) != expected:
        raise _damaged(path, record, "is truncated")
    length, length_crc = _HEADER.unpack_from(data)
    payload = data[_HEADER.size : -_FOOTER.size]
    if masked_crc(data[:8]) != length_crc or length != len(payload):
        raise _damaged(path, record, "has a length that fails its checksum")
    if masked_crc(payload) != _FOOTER.unpack(data[-_FOOTER.size :])[0]:
        raise _damaged(path, record, "fails its checksum")
    return payload


def _read_fully(descriptor: int, offset: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0:
        part = os.pread(descriptor, size, offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b"".join(parts)


def _load_index(directory: Path) -> dict[str, np.ndarray]:
    shards = _find_shards(directory)
    path = directory / INDEX_NAME
    if path.exists():
        again = "delete it, and it will be created again"
        try:
            index = read_arrays(path, again)
            for name, offsets in index.items():
                _check_offsets(name, offsets)
        except BadInput:
            raise
        except DAMAGES as error:
            raise BadInput(f"{path} is damaged ({first_line(error)}); {again}.") from error
        if set(index) != set(shards):
            first = sorted(set(index) ^ set(shards))[0]
            raise BadInput(f"{path} does not match its shards in {brief(first)}; restore that shard or prepare again.")
        return index
    try:
        write_index(directory)
    except OSError:
        return _scan(directory)  # The data set is read-only, so the index stays in memory.
    return _load_index(directory)


def _check_offsets(name: str, offsets: np.ndarray) -> None:
    """Raise a ValueError unless these can be the places of a shard's records and its size."""
    if offsets.dtype != np.uint64 or offsets.ndim != 1 or not len(offsets):
        raise ValueError(f"{name} is {offsets.dtype}{list(offsets.shape)}")
    # Compared, because differences of unsigned numbers are never negative.
    if offsets[0] or (offsets[1:] < offsets[:-1] + np.uint64(OVERHEAD)).any():
        raise ValueError(f"the places of {name} do not follow each other")


def _find_shards(directory: Path) -> list[str]:
    names = sorted(entry.name for entry in directory.iterdir()) if places.is_folder(directory) else []
    matches = [match for match in map(_SHARD.fullmatch, names) if match]
    if not matches:
        raise BadInput(f"{directory} has no TFRecord shards; give a directory written by `drumgan prepare`.")
    present = {(match["name"], match["split"], int(match["number"])) for match in matches}
    for match in matches:
        for number in range(int(match["count"])):
            if (match["name"], match["split"], number) not in present:
                lost = f"{match['name']}-{match['split']}.tfrecord-{number:05d}-of-{match['count']}"
                raise BadInput(f"{directory / lost} is missing; restore the shard or prepare again.")
    return [match.string for match in matches]


def _scan(directory: Path) -> dict[str, np.ndarray]:
    return {name: _scan_shard(directory / name) for name in _find_shards(directory)}


def _scan_shard(path: Path) -> np.ndarray:
    """Offsets of the records in one shard and its size; reads only the headers."""
    offsets = [0]
    with open_regular(path, "restore the shard or prepare the data set again") as file:
        size = file.seek(0, os.SEEK_END)
        while offsets[-1] < size:
            file.seek(offsets[-1])
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                raise _damaged(path, len(offsets) - 1, "is truncated")
            length, length_crc = _HEADER.unpack(header)
            if masked_crc(header[:8]) != length_crc:
                raise _damaged(path, len(offsets) - 1, "has a length that fails its checksum")
            if offsets[-1] + length + OVERHEAD > size:
                raise _damaged(path, len(offsets) - 1, "is truncated")
            offsets.append(offsets[-1] + length + OVERHEAD)
    return np.asarray(offsets, np.uint64)


def size_of(path: Path) -> int:
    """Bytes of a shard; raise BadInput if it is a link to nothing, or cannot be reached."""
    try:
        return places.size_of(path)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror or first_line(error)}); restore the shard, or prepare again."
        ) from error


def _check_size(path: Path, offsets: np.ndarray) -> None:
    size, expected = size_of(path), int(offsets[-1])
    if size < expected:
        raise _damaged(path, int(np.searchsorted(offsets, size, side="right")) - 1, "is truncated")
    if size > expected:
        raise BadInput(
            f"{path} has {size} bytes, but {INDEX_NAME} expects {expected}; delete {INDEX_NAME} if the shard is right,"
            " else restore the shard or prepare again."
        )


def _damaged(path: Path, record: int, problem: str) -> BadInput:
    return BadInput(f"{path}: record {record} {problem}; restore the shard or prepare the data set again.")
