"""Stage sizes of a progressively growing network, and resampling between them."""

import jax.numpy as jnp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array


def growth_sizes(shape: tuple[int, int, int], base: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """(freq, time) at each stage, from `base` to `shape`.

    Every stage doubles freq; time may double less often, and then doubles at the last stages.

    Raises:
        BadInput: doublings do not lead from base to shape, or time would have to double more often than freq.
    """
    doublings = [_doublings(base[axis], shape[axis]) for axis in (0, 1)]
    if None in doublings or doublings[1] > doublings[0]:  # type: ignore[operator]
        raise BadInput(
            f"an example of {shape[0]}x{shape[1]} cannot grow from the base {base[0]}x{base[1]}: freq must be a power"
            " of two times the base, and time the same or a smaller power of two; change the representation, or base."
        )
    stages, freq_only = doublings[0] + 1, doublings[0] - doublings[1]  # type: ignore[operator]
    return tuple((base[0] << stage, base[1] << max(0, stage - freq_only)) for stage in range(stages))


def _doublings(small: int, large: int) -> int | None:
    return next((k for k in range(32) if small > 0 and small << k == large), None)


def upsample_nearest(x: Array, size: tuple[int, int]) -> Array:
    """Nearest-neighbour upsampling of [batch, freq, time, channels] to `size` (freq, time), multiples of x's size."""
    batch, freq, time, channels = x.shape
    factors = size[0] // freq, size[1] // time
    if factors == (1, 1):
        return x
    shape = (batch, freq, factors[0], time, factors[1], channels)
    return jnp.broadcast_to(x[:, :, None, :, None, :], shape).reshape(batch, *size, channels)


def average_pool(x: Array, size: tuple[int, int]) -> Array:
    """Average-pool [batch, freq, time, channels] to `size` (freq, time), divisors of x's size."""
    batch, freq, time, channels = x.shape
    factors = freq // size[0], time // size[1]
    if factors == (1, 1):
        return x
    return x.reshape(batch, size[0], factors[0], size[1], factors[1], channels).mean(axis=(2, 4))


def fade(old: Array, new: Array, alpha: Array | float) -> Array:
    """Crossfade (1 - alpha) * old + alpha * new."""
    return (1 - alpha) * old + alpha * new


def fit(x: Array, sizes: tuple[tuple[int, int], ...], stage: int, alpha: Array | float) -> Array:
    """Downsample real examples to a stage's size, and blur them while the stage fades in.

    Args:
        x: full-size examples [batch, freq, time, channels].
        sizes: (freq, time) of each stage.
        stage: stage number, from 0.
        alpha: progress of the stage's fade, from 0 to 1.

    Returns:
        [batch, freq, time, channels] at the stage's size (Karras et al. 2018, appendix A).
    """
    x = average_pool(x, sizes[stage])
    if stage == 0:
        return x
    return fade(upsample_nearest(average_pool(x, sizes[stage - 1]), sizes[stage]), x, alpha)
