"""Adam under lazy regularisation, and the moving average of a generator."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from drumgan_jax.runs.settings import AdamSettings

Array = jax.Array


def lazy_correction(intervals: Sequence[int]) -> float:
    """Exponent c of Adam's settings where lazy regularisers add optimiser steps (Karras et al. 2020, appendix B).

    With one regulariser every k steps there are k + 1 optimiser steps in k, so c = k / (k + 1): the learning rate
    is multiplied by c and the betas are raised to it, and the averages run as if nothing had been added.

    Args:
        intervals: of the player's lazy regularisers.
    """
    return 1.0 / (1.0 + sum(1.0 / interval for interval in intervals))


def lazy_adam(settings: AdamSettings, intervals: Sequence[int]) -> optax.GradientTransformation:
    """One Adam for a player's main steps and its lazy regularisers' steps, corrected by `lazy_correction`."""
    c = lazy_correction(intervals)
    adam = optax.adam(settings.learning_rate * c, settings.beta1**c, settings.beta2**c, settings.epsilon)

    def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        # Optax raises a number to an integer count, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            return adam.update(gradient, state, params)

    return optax.GradientTransformation(adam.init, update)


def modulewise(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same optimiser for each top-level module apart, so that a module without a gradient stays as it is.

    In a growing network, modules that are new begin with fresh moments and a fresh count, and others keep theirs.
    """

    def init(params: Any) -> dict[str, Any]:
        return {name: optimizer.init(module) for name, module in params.items()}

    def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        both = {name: optimizer.update(part, state[name], params[name]) for name, part in gradient.items()}
        return {name: new for name, (new, _) in both.items()}, {**state, **{name: s for name, (_, s) in both.items()}}

    return optax.GradientTransformation(init, update)


def ema_decay(step: Array, batch_size: int, half_life: float, rampup: float) -> Array:
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
