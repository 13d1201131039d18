"""A data set as the reference of an evaluation."""

from collections.abc import Callable, Iterator

from drumgan_jax.audio.representations import settings_of
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.evaluation.collecting import Embeddings, Sound, Stream
from drumgan_jax.evaluation.reference import reference_side
from drumgan_jax.evaluation.suite import Suite

SPLIT = "train"
_BATCH = 32


def dataset_side(
    suite: Suite, dataset: Dataset, count: int, split: str = SPLIT, progress: Callable[[int], None] | None = None
) -> dict[str, Embeddings]:
    """Embed `count` sounds of a split, or all if there are fewer, with a suite's embedders; cached on disk.

    Raises:
        BadInput: the split does not exist, or a shard is damaged.
    """
    count = min(count, dataset.num_examples(split))
    identity = {
        "records": dataset.fingerprint(split, count),
        "representation": settings_of(dataset.representation),
        "split": split,
        "count": count,
    }
    return reference_side(suite, identity, lambda: dataset_stream(dataset, split, count), progress)


def dataset_stream(dataset: Dataset, split: str, count: int) -> Stream:
    """A stream of `count` sounds of a split, always the same ones."""

    def sounds() -> Iterator[Sound]:
        item = 0
        for batch in dataset.waveforms(split, count, _BATCH):
            for waveform in batch:
                yield Sound(waveform, dataset.representation.sample_rate, f"sound {item} of {dataset.directory}")
                item += 1

    return Stream(count, sounds())
