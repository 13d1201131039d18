"""Sizes of a growing network: which there are, and how an example is brought from one to another."""

import jax.numpy as jnp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array


def growth_sizes(shape: tuple[int, int, int], base: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """(freq, time) at each stage, from `base` to `shape`.

    Every growth doubles freq; time, which may double less often, doubles at the last ones.

    Raises:
        BadInput: doublings do not lead from base to shape, or time would have to double more often than freq.
    """
    doublings = [_doublings(base[axis], shape[axis]) for axis in (0, 1)]
    if None in doublings or doublings[1] > doublings[0]:  # type: ignore[operator]
        raise BadInput(
            f"an example of {shape[0]}x{shape[1]} does not grow from the base {base[0]}x{base[1]}: freq must be a power"
            " of two times the base, and time one that is no greater; change the representation, or base."
        )
    stages, late = doublings[0] + 1, doublings[0] - doublings[1]  # type: ignore[operator]
    return tuple((base[0] << stage, base[1] << max(0, stage - late)) for stage in range(stages))


def _doublings(small: int, large: int) -> int | None:
    return next((k for k in range(32) if small > 0 and small << k == large), None)


def upsample_nearest(x: Array, size: tuple[int, int]) -> Array:
    """Repeat each place, so that [batch, freq, time, channels] has the (freq, time) of `size`, multiples of its own."""
    batch, freq, time, channels = x.shape
    factors = size[0] // freq, size[1] // time
    if factors == (1, 1):
        return x
    shape = (batch, freq, factors[0], time, factors[1], channels)
    return jnp.broadcast_to(x[:, :, None, :, None, :], shape).reshape(batch, *size, channels)


def average_pool(x: Array, size: tuple[int, int]) -> Array:
    """Average neighbours, so that [batch, freq, time, channels] has the (freq, time) of `size`, divisors of its own."""
    batch, freq, time, channels = x.shape
    factors = freq // size[0], time // size[1]
    if factors == (1, 1):
        return x
    return x.reshape(batch, size[0], factors[0], size[1], factors[1], channels).mean(axis=(2, 4))


def fade(old: Array, new: Array, alpha: Array | float) -> Array:
    """(1 - alpha) * old + alpha * new: all of the old at 0, of the new at 1."""
    return (1 - alpha) * old + alpha * new


def fit(x: Array, sizes: tuple[tuple[int, int], ...], stage: int, alpha: Array | float) -> Array:
    """Real examples as a stage's generator would write them: averaged to its size, and while it fades in, blurred.

    Args:
        x: whole examples [batch, freq, time, channels].
        sizes: (freq, time) of each stage.
        stage: from 0.
        alpha: from 0 at the beginning of the stage's fade to 1.

    Returns:
        [batch, freq, time, channels] of the stage's size (Karras et al. 2018, appendix A).
    """
    x = average_pool(x, sizes[stage])
    if stage == 0:
        return x
    return fade(upsample_nearest(average_pool(x, sizes[stage - 1]), sizes[stage]), x, alpha)
