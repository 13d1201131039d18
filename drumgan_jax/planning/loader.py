"""What the loader of this machine gives, for the bandwidth that a run needs."""

import itertools
import time
from collections.abc import Sequence

from drumgan_jax.data.batches import batches
from drumgan_jax.data.dataset import open_dataset

# Long enough for threads to start and buffers to fill before the clock does.
_WARM, _SECONDS, _ROWS = 4, 2.0, 32


def bandwidth(directory: str, keys: Sequence[str]) -> float:
    """Bytes a second of examples that the loader parses from a data set on this machine, measured for two seconds.

    Args:
        directory: the data set.
        keys: parts of a batch.

    Raises:
        BadInput: the data set cannot be read.
    """
    dataset = open_dataset(directory)
    rows = min(_ROWS, dataset.num_examples("train"))
    stream = batches(dataset, "train", keys, rows, seed=0, start_step=0)
    for _ in itertools.islice(stream, _WARM):
        pass
    start, read = time.perf_counter(), 0
    for batch in stream:
        read += sum(part.nbytes for part in batch.values())
        if (passed := time.perf_counter() - start) >= _SECONDS:
            break
    return read / passed
