"""What the loop runs."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import numpy as np

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


class Task(Protocol):
    """One kind of training; the loop owns devices, data, checkpoints and logs.

    A state is a flax dataclass of arrays with a field `ema`, the part that an instrument plays.
    """

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that `step` reads, see drumgan_jax.training.data."""

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

    def summarize(self, state: Any) -> Summary:
        """Sounds of fixed latents by the moving average."""

    def sample(self, state: Any, start: int, count: int) -> np.ndarray:
        """Waveforms [count, samples] by the moving average, of latents `start` and following of one fixed sequence."""
