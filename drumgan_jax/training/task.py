"""What the loop runs."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import numpy as np

from drumgan_jax.data.dataset import Dataset

Metrics = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a run shows of itself every so often.

    Attributes:
        waveforms: sounds of fixed latents [n, samples].
        sample_rate: in Hz.
    """

    waveforms: np.ndarray
    sample_rate: int


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How good a state is.

    Attributes:
        scores: figures by name; the config's `evaluation.metric` is one of them.
        report: all there is to tell of them, as JSON can hold it; kept under evaluations/.
        pictures: by name, [height, width, 3] uint8.
    """

    scores: dict[str, float]
    report: dict[str, Any]
    pictures: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


Evaluator = Callable[[Any], Evaluation]


class Task(Protocol):
    """One kind of training; the loop owns devices, data, checkpoints and logs.

    A state is a flax dataclass of arrays with a field `ema`, the part that is used once training is done.
    """

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that `step` reads, see drumgan_jax.data.dataset."""

    @property
    def shapes(self) -> Any:
        """The state as jax.ShapeDtypeStruct with shardings: what `init` makes and checkpoints are read as."""

    def init(self) -> Any:
        """The state before the first step, made on the devices."""

    def step(self, state: Any, batch: Mapping[str, jax.Array], step: int) -> tuple[Any, Metrics]:
        """One step; `state` is donated.

        Args:
            state: after `step` steps.
            batch: global arrays [batch, ...], split over the devices.
            step: steps done before; decides only which compiled parts run.

        Returns:
            The next state, and metrics by path: device scalars (never fetched here) or numbers.
        """

    def summarize(self, state: Any) -> Summary | None:
        """Sounds of fixed latents by the moving average; None of a task that makes no sounds."""

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """What scores a state's moving average; made once, with all that does not depend on the state.

        Raises:
            BadInput: the data set or section `evaluation` is unfit.
        """
