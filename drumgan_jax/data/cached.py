"""A copy on this machine of a data set in a bucket, so that each shard comes over the network once."""

import hashlib
import json
from pathlib import Path

from drumgan_jax.core import places
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.copies import complete
from drumgan_jax.core.digests import DIGESTS_NAME, Digests
from drumgan_jax.core.errors import BadInput, brief, first_line
from drumgan_jax.data.digests import read_digests

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
    try:
        odd = complete(directory, here, list(here.files))
        if not (folder / DIGESTS_NAME).is_file():
            content = places.read(directory / DIGESTS_NAME)
            with replacing(folder / DIGESTS_NAME) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise BadInput(
            f"{cache} (config.data.cache) cannot hold {directory} ({error.strerror or first_line(error)}); make room,"
            " or leave it empty: records are read from there then."
        ) from error
    if odd:
        raise BadInput(
            f"{directory / brief(odd[0])} is not as it was written; restore it, or prepare the data set again."
        )
    return folder
