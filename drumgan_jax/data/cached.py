"""A copy on this machine of a data set in a bucket, so that each shard comes over the network once."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drumgan_jax.core import places
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.digests import DIGESTS_NAME, Digests
from drumgan_jax.core.errors import BadInput, brief, first_line
from drumgan_jax.data.digests import read_digests

_THREADS = 8
_KEY = 16


def copy_of(directory: Path, cache: str) -> Path:
    """The folder of a data set's copy in a cache; what is not there yet, or is damaged, is fetched.

    A file of the copy is taken if it has the size and the digest that the data set's digests.json says, which also
    names the copy: a data set that was prepared again has another. Processes may fill one cache at once.

    Args:
        directory: the data set's version folder, in a bucket.
        cache: a folder of this machine, made if absent.

    Raises:
        BadInput: the data set has no digests, a file is not what was written, or the cache cannot be written.
    """
    if places.scheme_of(cache):
        raise BadInput(f"config.data.cache={brief(cache)} is no folder of this machine; give one, or leave it empty.")
    digests = read_digests(directory)
    if digests is None:
        raise BadInput(
            f"{directory} has no {DIGESTS_NAME}, by which config.data.cache tells what it has; leave that empty."
        )
    known = json.dumps([digests.kind, digests.files], sort_keys=True)
    folder = Path(cache) / hashlib.sha256(known.encode()).hexdigest()[:_KEY] / directory.parent.name / directory.name
    here = Digests(folder, digests.kind, digests.files)
    missing = [*here.altered(), *([] if (folder / DIGESTS_NAME).is_file() else [DIGESTS_NAME])]
    try:
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(lambda name: _fetch(directory / name, folder / name), missing))
    except OSError as error:
        raise BadInput(
            f"{cache} (config.data.cache) cannot hold {directory} ({error.strerror or first_line(error)}); make room,"
            " or leave it empty: records are read from there then."
        ) from error
    if odd := here.altered(missing[:-1] if DIGESTS_NAME in missing else missing):
        raise BadInput(
            f"{directory / brief(odd[0])} is not as it was written; restore it, or prepare the data set again."
        )
    return folder


def _fetch(source: Path, target: Path) -> None:
    content = places.read(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        temporary.write_bytes(content)
