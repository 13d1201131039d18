"""Metrics of the steps between two log lines: kept on the devices, fetched together, checked, averaged."""

import collections
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from drumgan_jax.core.errors import BadInput

# Maximum number of steps in flight: enough to hide dispatch, few enough to stop soon.
_IN_FLIGHT = 2


class TrainingDiverged(BadInput):
    """A loss or a gradient is not finite."""


class MetricsWindow:
    """The metrics of the steps since the last log line."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, dict[str, Any]]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, metrics: dict[str, Any]) -> None:
        """Keep the metrics of a step, and wait until only a few steps are in flight."""
        self._steps.append((step, metrics))
        if len(self._steps) > _IN_FLIGHT:
            jax.block_until_ready(self._steps[-1 - _IN_FLIGHT][1])

    def close(self, last_good: Callable[[], int | None]) -> dict[str, float]:
        """Return the mean of each metric over the steps that have it, and clear the window.

        Args:
            last_good: returns the step of the last complete checkpoint, for the message.

        Raises:
            TrainingDiverged: a metric is not finite; names the first such step and its first such metrics.
        """
        steps, self._steps = self._steps, []
        values = collections.defaultdict(list)
        fetched = jax.device_get([metrics for _, metrics in steps])
        for (step, in_order), metrics in zip(steps, fetched, strict=True):
            # In order of computation, so the first is closest to the cause.
            bad = [name for name in in_order if not math.isfinite(float(metrics[name]))]
            if bad:
                raise TrainingDiverged(_sentence(step, bad, last_good()))
            for name, value in metrics.items():
                values[name].append(float(value))
        return {name: float(np.mean(of_steps)) for name, of_steps in values.items()}


def _sentence(step: int, terms: list[str], last_good: int | None) -> str:
    names = ", ".join(terms[:3]) + (f" and {len(terms) - 3} more" if len(terms) > 3 else "")
    last = f"the last good checkpoint is step {last_good}" if last_good is not None else "there is no checkpoint yet"
    return (
        f"training diverged at step {step}: {names} not finite; {last}; train again with a lower "
        "config.optimizer.*.learning_rate or stronger regularisation."
    )
