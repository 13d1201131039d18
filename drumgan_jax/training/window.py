"""Metrics of the steps between two log lines: kept on the devices, fetched together, checked, averaged."""

import collections
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from drumgan_jax.core.errors import BadInput

# Steps that may be under way at once: enough to hide the dispatch, few enough to stop soon.
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
        """Keep the metrics of a step, and wait until no more than a few steps are under way."""
        self._steps.append((step, metrics))
        if len(self._steps) > _IN_FLIGHT:
            jax.block_until_ready(self._steps[-1 - _IN_FLIGHT][1])

    def close(self, last_good: Callable[[], int | None]) -> dict[str, float]:
        """Fetch and forget: the mean of each metric over the steps that have it.

        Args:
            last_good: tells the step of the last complete checkpoint, for the message.

        Raises:
            TrainingDiverged: a metric of a step is not finite; names the first such step and its first terms.
        """
        steps, self._steps = self._steps, []
        values = collections.defaultdict(list)
        fetched = jax.device_get([metrics for _, metrics in steps])
        for (step, in_order), metrics in zip(steps, fetched, strict=True):
            # In the order in which the step computed them: the first is nearest to the cause.
            bad = [name for name in in_order if not math.isfinite(float(metrics[name]))]
            if bad:
                raise TrainingDiverged(_sentence(step, bad, last_good()))
            for name, value in metrics.items():
                values[name].append(float(value))
        return {name: float(np.mean(of_steps)) for name, of_steps in values.items()}


def _sentence(step: int, terms: list[str], last_good: int | None) -> str:
    told = ", ".join(terms[:3]) + (f" and {len(terms) - 3} more" if len(terms) > 3 else "")
    last = f"the last good checkpoint is step {last_good}" if last_good is not None else "there is no checkpoint yet"
    return (
        f"training diverged at step {step}: {told} not finite; {last}; train anew with a lower "
        "config.optimizer.*.learning_rate or a stronger regularisation."
    )
