"""Adam under lazy regularisation, gradients over micro-batches, and moving averages: the same for every task."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from drumgan_jax.core.mesh import AXES
from drumgan_jax.core.schedules import traced_value, value_at
from drumgan_jax.runs.settings import AdamSettings, TrainSettings

Array = jax.Array
Metrics = dict[str, Any]


def lazy_correction(intervals: Sequence[int]) -> float:
    """Exponent c of Adam's settings if lazy regularisers add optimiser steps (Karras et al. 2020, appendix B).

    With one regulariser every k steps there are k + 1 optimiser steps in k, so c = k / (k + 1): the learning rate
    is multiplied by c and the betas are raised to it, and the averages run as if nothing had been added.

    Args:
        intervals: of the player's lazy regularisers.
    """
    return 1.0 / (1.0 + sum(1.0 / interval for interval in intervals))


@dataclasses.dataclass(frozen=True)
class Player:
    """A network that is trained: Adam with scheduled settings, for its main steps and its lazy regularisers' steps.

    Each top-level module has moments and a step count of its own, so that a module without a gradient stays as it is:
    in a growing network, new modules begin with fresh moments, and the others keep theirs.

    Attributes:
        name: of the network, for metrics.
        settings: its part of section `optimizer`.
        intervals: of its lazy regularisers, see `lazy_correction`.
    """

    name: str
    settings: AdamSettings
    intervals: tuple[int, ...] = ()

    def init(self, params: Any) -> dict[str, Any]:
        """Fresh moments, by module."""
        # Moments do not depend on the settings.
        return {name: optax.adam(0.0).init(module) for name, module in params.items()}

    def descend(
        self, params: Any, moments: dict[str, Any], gradient: Any, images: Array, term: str = ""
    ) -> tuple[Any, dict[str, Any], Metrics]:
        """One step of Adam for the modules that the gradient has.

        Args:
            params: of all modules.
            moments: likewise.
            gradient: of some or all modules.
            images: real examples seen before this step [], for schedules.
            term: names the loss in metrics; by default the player.

        Returns:
            params and moments of all modules, and the norms of gradient and update.
        """
        adam = self._adam(images)
        updates, after = {}, {}
        # Optax raises a number to an integer count, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            for name, of_module in gradient.items():
                updates[name], after[name] = adam.update(of_module, moments[name], params[name])
        changed = optax.apply_updates({name: params[name] for name in updates}, updates)
        term = term or self.name
        norms = {f"norm/{term}_gradient": tree_norm(gradient), f"norm/{term}_update": tree_norm(updates)}
        return {**params, **changed}, {**moments, **after}, norms

    def learning_rate(self, images: int) -> Metrics:
        """The corrected learning rate after so many examples, as a metric."""
        rate = value_at(self.settings.learning_rate, images) * lazy_correction(self.intervals)
        return {f"learning_rate/{self.name}": rate}

    def _adam(self, images: Array) -> optax.GradientTransformation:
        c, s = lazy_correction(self.intervals), self.settings
        rate, beta1, beta2 = (traced_value(one, images) for one in (s.learning_rate, s.beta1, s.beta2))
        return optax.adam(rate * c, beta1**c, beta2**c, s.epsilon)


def mean_over_micro_batches(
    function: Callable[[Any, Array, Any], tuple[Any, Any]], carry: Any, batch: Any, count: int, mesh: Mesh
) -> tuple[Any, Any]:
    """Apply a function to the micro-batches of a batch, one after another.

    Args:
        function: from carry, number of the micro-batch [] and micro-batch to the next carry and results.
        carry: the first one.
        batch: arrays [batch, ...].
        count: micro-batches.
        mesh: the devices.

    Returns:
        The last carry, and the results' means.
    """
    if count == 1:
        return function(carry, jnp.zeros((), jnp.int32), batch)

    def split(leaf: Array) -> Array:
        # Every count-th row, so that each device keeps its own rows.
        rows = leaf.reshape(len(leaf) // count, count, *leaf.shape[1:])
        where = NamedSharding(mesh, PartitionSpec(None, AXES))
        return jax.lax.with_sharding_constraint(jnp.swapaxes(rows, 0, 1), where)

    micro_batches = jax.tree.map(split, batch)
    carry, stacked = jax.lax.scan(lambda carry, item: function(carry, *item), carry, (jnp.arange(count), micro_batches))
    return carry, jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), stacked)


def moving_average(settings: TrainSettings, step: Array, average: Any, new: Any) -> Any:
    """The moving average of a tree after a step; see `ema_decay`.

    Args:
        settings: section `train`.
        step: steps done before this one [].
        average: before the step.
        new: the tree after the step.
    """
    half_life = traced_value(settings.ema_half_life_images, step * settings.batch_size)
    return lerp(average, new, ema_decay(step, settings.batch_size, half_life, settings.ema_rampup))


def ema_decay(step: Array, batch_size: int, half_life: float | Array, rampup: float) -> Array:
    """Share of the old moving average that a step keeps [] (stylegan2-ada: PARITY 27).

    Args:
        step: steps done before this one [].
        batch_size: examples a step, over all devices.
        half_life: in examples.
        rampup: the half-life is at most this times the examples seen before, so the first step keeps nothing.
    """
    seen = step.astype(jnp.float32) * batch_size
    limited = jnp.minimum(half_life, seen * rampup)
    return jnp.exp2(-batch_size / jnp.maximum(limited, 1e-8))


def lerp(old: Any, new: Any, keep: Array | float) -> Any:
    """keep * old + (1 - keep) * new, leaf by leaf."""
    return jax.tree.map(lambda a, b: b + (a - b) * keep, old, new)


def tree_norm(tree: Any) -> Array:
    """Root of the sum of squares of all leaves [], in float32."""
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree)))
