"""The interface between the training loop and its tasks."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import numpy as np

from drumgan_jax.data.dataset import Dataset

Metrics = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Summary:
    """Sounds written at intervals during training.

    Attributes:
        waveforms: sounds of fixed latents [n, samples].
        sample_rate: in Hz.
    """

    waveforms: np.ndarray
    sample_rate: int


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of a state.

    Attributes:
        scores: figures by name; the config's `evaluation.metric` is one of them.
        report: the full report, JSON-serialisable; stored in evaluations/.
        pictures: pictures [height, width, 3] uint8 by name.
    """

    scores: dict[str, float]
    report: dict[str, Any]
    pictures: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


Evaluator = Callable[[Any], Evaluation]


class Task(Protocol):
    """One kind of training; the loop handles devices, data, checkpoints and logs.

    A state is a flax dataclass of arrays with a field `ema`, the part that is used after training.
    """

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that `step` reads; see drumgan_jax.data.dataset."""

    @property
    def shapes(self) -> Any:
        """Shapes, dtypes and shardings of the state, for `init` and for restoring checkpoints."""

    def init(self) -> Any:
        """Create the state before the first step on the devices."""

    def begin(self, dataset: Dataset) -> Any:
        """`init`, with what the training data decide.

        Raises:
            BadInput: they do not suffice.
        """

    def step(self, state: Any, batch: Mapping[str, jax.Array], step: int) -> tuple[Any, Metrics]:
        """Run one step; `state` is donated.

        Args:
            state: the state after `step` steps.
            batch: global arrays [batch, ...], split over the devices.
            step: number of steps done; it only decides which compiled parts run.

        Returns:
            The next state, and metrics by path: device scalars (never fetched here) or numbers.
        """

    def summarize(self, state: Any) -> Summary | None:
        """Sounds of fixed latents made with the EMA weights; None for a task that makes no sounds."""

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """Build a function that scores a state's EMA weights; state-independent work is done once, here.

        Raises:
            BadInput: the data set or section `evaluation` cannot be used.
        """
