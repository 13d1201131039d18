"""Batches of a data set in an order that depends only on seed and step, prefetched to the devices by threads."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grain
import jax
import numpy as np
from jax.sharding import NamedSharding

from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.data.dataset import SOFT_LABELS, Batch, Dataset
from drumgan_jax.data.sampling import WeighedOrder

_PARSING_THREADS = 8
# Grain's ranges need an end; this one, in examples, is far beyond any run.
_ENDLESS = 10**15


def check_examples(dataset: Dataset, split: str, batch_size: int) -> None:
    """Raise BadInput if a split has fewer examples than a batch."""
    count = len(dataset.source(split))
    if count < batch_size:
        raise BadInput(
            f"{dataset.directory} has {count} examples in split {shown(split)}, fewer than "
            f"config.train.batch_size ({batch_size}); prepare more recordings or lower the batch size."
        )


def batches(
    dataset: Dataset,
    split: str,
    keys: Sequence[str],
    batch_size: int,
    seed: int,
    start_step: int,
    rows: np.ndarray | None = None,
    prefetch: int = 2,
    weights: np.ndarray | None = None,
) -> Iterator[Batch]:
    """Endless iterator over this process's rows of the global batches, from `start_step` on.

    The split is reshuffled in each epoch, and epochs follow each other without a gap: row r of step s is example
    s * batch_size + r in that order. So global batches depend only on the seed and the step, not on where a run was
    interrupted or on the number of processes or devices.

    Args:
        dataset: from `open_dataset`.
        split: name of the split.
        keys: parts of a batch, see Dataset.example.
        batch_size: rows of the global batch.
        seed: seed of the order.
        start_step: the first step.
        rows: ascending rows of the global batch to read; None for all.
        prefetch: number of batches that threads parse in advance.
        weights: probability of each example, see `sampling`; None to take each once an epoch.

    Returns:
        Dicts from key to array [rows, ...].

    Raises:
        BadInput: the split has fewer examples than a batch, or, during iteration, a shard is damaged.
    """
    check_examples(dataset, split, batch_size)
    source = dataset.source(split)
    if SOFT_LABELS in keys:
        # Read and checked once here, rather than by every thread.
        dataset.soft_labels(split)
    rows = np.arange(batch_size) if rows is None else rows
    positions = global_positions(rows, batch_size)
    order: Any = grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat()
    if weights is not None:
        order = WeighedOrder(weights, seed)
    parsed = grain.MapDataset.range(start_step * len(rows), _ENDLESS).map(
        lambda item: dataset.example(split, int(order[positions(item)]), keys)
    )
    threads = min(_PARSING_THREADS, 2 * (os.cpu_count() or 1))
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch * len(rows))
    return iter(parsed.to_iter_dataset(options).batch(len(rows)))


def global_positions(rows: np.ndarray, batch_size: int) -> Any:
    """A function from the number of an example in this process to its position in the global order."""

    def position(item: int) -> int:
        step, row = divmod(int(item), len(rows))
        return step * batch_size + int(rows[row])

    return position


class DevicePrefetch:
    """Iterator over batches that a thread puts on the devices in advance.

    Args:
        local: this process's rows of each global batch.
        sharding: sharding of the global arrays along their first axis.
        batch_size: rows of the global batch.
        ahead: number of batches held ready on the devices.

    Attributes:
        waited: total seconds that `next` has waited.
    """

    def __init__(self, local: Iterator[Batch], sharding: NamedSharding, batch_size: int, ahead: int):
        self.waited = 0.0
        self._queue: queue.Queue[dict[str, jax.Array] | BaseException] = queue.Queue(maxsize=ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._fill, args=(local, sharding, batch_size), name="device-prefetch", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[Mapping[str, jax.Array]]:
        return self

    def __next__(self) -> Mapping[str, jax.Array]:
        start = time.perf_counter()
        item = self._queue.get()
        self.waited += time.perf_counter() - start
        if isinstance(item, BaseException):
            self.close()
            raise item
        return item

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._thread.join()

    def _fill(self, local: Iterator[Batch], sharding: NamedSharding, batch_size: int) -> None:
        try:
            for batch in local:
                self._put({key: _globalise(value, sharding, batch_size) for key, value in batch.items()})
                if self._stop.is_set():
                    return
        except BaseException as error:
            self._put(error)
        finally:
            if hasattr(local, "close"):
                local.close()

    def _put(self, item: dict[str, jax.Array] | BaseException) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=0.1)
                break


def _globalise(value: np.ndarray, sharding: NamedSharding, batch_size: int) -> jax.Array:
    return jax.make_array_from_process_local_data(sharding, value, (batch_size, *value.shape[1:]))
