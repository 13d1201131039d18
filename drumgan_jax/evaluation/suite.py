"""The metrics that run inside training, on a sampler: a function that returns waveforms."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from drumgan_jax.evaluation.log_mel import LogMelFrames
from drumgan_jax.evaluation.moments import frechet_distance
from drumgan_jax.parts import Representation

Sampler = Callable[[int], np.ndarray]
Evaluator = Callable[[Sampler], dict[str, float]]

BATCH = 32


def build_evaluator(real: Iterable[np.ndarray], representation: Representation, num_samples: int) -> Evaluator:
    """An evaluator against real waveforms, whose statistics are computed once, here.

    Args:
        real: batches of waveforms [batch, samples] within [-1, 1], at the representation's sample rate.
        representation: what the system trains on; gives the sample rate.
        num_samples: sounds drawn from the sampler at each evaluation.

    Returns:
        A function from a sampler (count -> waveforms [count, samples]) to metrics by path; lower is better.
    """
    embedder = LogMelFrames(representation.sample_rate)
    reference = embedder.moments(real)

    def drawn(sampler: Sampler) -> Iterator[np.ndarray]:
        for _ in range(-(-num_samples // BATCH)):
            # Whole batches only: a ragged last one would compile again.
            yield sampler(BATCH)

    def evaluate(sampler: Sampler) -> dict[str, float]:
        return {"log_mel/frechet": frechet_distance(reference, embedder.moments(drawn(sampler)))}

    return evaluate
