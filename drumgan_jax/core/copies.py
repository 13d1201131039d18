"""Copies on this machine of objects in a bucket, by their sizes and digests."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from absl import logging
from tqdm import tqdm

from drumgan_jax.core import places
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.digests import Digests
from drumgan_jax.core.errors import brief

# Bytes from which on a download shows how far it is.
WORTH_A_BAR = 5 * 2**20
_THREADS = 8
# Of one request: what is lost with a connection.
_BLOCK = 2**23


def complete(source: Path, copy: Digests, names: Collection[str]) -> list[str]:
    """Fetch those of the named files that a copy lacks, or has otherwise than its digests say; processes may meet.

    What came damaged is fetched once more.

    Args:
        source: the folder in a bucket.
        copy: the folder of this machine, and what its files must be.
        names: of files that the copy has digests of.

    Returns:
        Files that are not as they must be after all.

    Raises:
        OSError: an object cannot be read, or the copy cannot be written.
    """
    absent = [name for name in names if not (copy.folder / name).exists()]
    fetch(source, copy, absent)
    altered = copy.altered(names)
    if altered:
        logging.warning("%s is not as it was written, and is fetched again.", brief(copy.folder / altered[0]))
        fetch(source, copy, altered)
    return copy.altered(altered)


def fetch(source: Path, copy: Digests, names: Collection[str]) -> None:
    """Copy files from a bucket, several at once; each is there whole or not at all.

    Raises:
        OSError: an object cannot be read, or the copy cannot be written.
    """
    sizes = {name: copy.size(name) for name in names}
    size = sum(sizes.values())
    with (
        tqdm(desc=source.name, total=size, unit="B", unit_scale=True, disable=size < WORTH_A_BAR) as bar,
        ThreadPoolExecutor(_THREADS) as threads,
    ):
        list(threads.map(lambda name: _fetch(source / name, copy.folder / name, sizes[name], bar.update), names))


def _fetch(source: Path, target: Path, size: int, tell: Callable[[int], object]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary, open(temporary, "wb") as file:
        for start in range(0, size, _BLOCK):
            block = places.read(source, start, min(start + _BLOCK, size))
            file.write(block)
            tell(len(block))
