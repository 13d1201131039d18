"""How often each example is drawn: classes and sources weighed against their sizes, in an order that needs no state."""

import functools

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import Dataset


def sampling_weights(dataset: Dataset, split: str, class_balance: float, source_balance: float) -> np.ndarray | None:
    """Probability of each example [examples], which sums to 1; None if all are alike.

    Args:
        dataset: from `open_dataset`.
        split: of it.
        class_balance: 0 weighs classes by their sizes, 1 weighs them alike; in between, by a power of their sizes.
        source_balance: likewise of the sources (a library, a session) of each class.

    Raises:
        BadInput: classes are to be weighed and the examples have none.
    """
    if not class_balance and not source_balance:
        return None
    if class_balance and not dataset.has_labels:
        raise BadInput(
            f"config.train.class_balance is {class_balance:g}, and the examples of {dataset.directory} have no classes "
            "of their own; set it to 0."
        )
    labels, sources = dataset.classes_and_sources(split)
    weights = np.ones(len(labels))
    for label in np.unique(labels):
        of_class = labels == label
        for source in np.unique(sources[of_class]):
            of_source = of_class & (sources == source)
            weights[of_source] = of_source.sum() ** -source_balance
        weights[of_class] *= of_class.sum() ** (1.0 - class_balance) / weights[of_class].sum()
    return weights / weights.sum()


class WeighedOrder:
    """An endless order of examples in which each is drawn by its weight, as evenly as it can be.

    An epoch is as long as the split. An example of weight w is in it `examples * w` times, rounded up or down at
    random; the order within it is random. Position p depends on seed and weights alone.

    Attributes:
        weights: probability of each example [examples].
        seed: of the order.
    """

    def __init__(self, weights: np.ndarray, seed: int) -> None:
        self.weights, self.seed = weights, seed
        self._epoch = functools.lru_cache(maxsize=4)(self._drawn)

    def __getitem__(self, position: int) -> int:
        epoch, item = divmod(position, len(self.weights))
        return int(self._epoch(epoch)[item])

    def _drawn(self, epoch: int) -> np.ndarray:
        """The examples of an epoch [examples], by systematic sampling."""
        random = np.random.default_rng([self.seed, epoch])
        count = len(self.weights)
        ends = np.cumsum(self.weights) * count
        drawn = np.searchsorted(ends, np.arange(count) + random.uniform(), side="right")
        return random.permutation(np.minimum(drawn, count - 1))
