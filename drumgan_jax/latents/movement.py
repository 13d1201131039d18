"""Steps in latent space: variations along a random direction, and ways from one point to another."""

from collections.abc import Sequence

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.latents.latents import Latents

# Below this sine of the angle between two vectors, the plane that they span is rounding.
_FLAT = 1e-6


def vary(ws: np.ndarray, amount: np.ndarray | float, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """ws + amount * (first - second) / sqrt(2): as far from ws, at amount 1, as one random w is from the average.

    With `first` and `second` mapped from two random z and the same labels, the step has the covariance of w given the
    labels. Where the map is the identity it is a normal step in z, and the labels stay.

    Args:
        ws: [batch, layers, w_dim].
        amount: of all, or [batch].
        first: [batch, layers, w_dim].
        second: likewise.

    Raises:
        BadInput: there are more or fewer amounts than sounds.
    """
    step = (first - second) / np.float32(np.sqrt(2.0))
    return (ws + _per_sound(amount, len(ws)) * step).astype(np.float32)


def step_along(
    ws: np.ndarray, direction: np.ndarray, amount: np.ndarray | float, layers: tuple[int, int] | None
) -> np.ndarray:
    """ws [batch, layers, w_dim] plus amount (of all, or [batch]) times direction [w_dim], on a range of layers.

    GANSpace's edit (Härkönen et al. 2020): signed, and not clipped.
    """
    moved = (ws + _per_sound(amount, len(ws)) * direction).astype(np.float32)
    return on_layers(ws, moved, layers)


def on_layers(ws: np.ndarray, other: np.ndarray, layers: tuple[int, int] | None) -> np.ndarray:
    """ws with the layers from `layers[0]` to before `layers[1]` of another; all for None; [batch, layers, w_dim].

    Raises:
        BadInput: there are no such layers.
    """
    if layers is None:
        return other
    start, stop = layers
    if not 0 <= start < stop <= ws.shape[1]:
        raise BadInput(f"layers {start} to {stop} are not within 0 to {ws.shape[1]}, the layers of this generator.")
    inside = (np.arange(ws.shape[1]) >= start) & (np.arange(ws.shape[1]) < stop)
    return np.where(inside[:, None], other, ws)


def linear(a: np.ndarray, b: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """(1 - t) a + t b for each fraction t [n]: [n, ...] of a and b [...]; the ends are exactly a and b."""
    t = fractions.reshape(-1, *[1] * a.ndim)
    way = (1.0 - t) * a.astype(np.float64) + t * b.astype(np.float64)
    return _with_ends(way, a, b, t)


def spherical(a: np.ndarray, b: np.ndarray, fractions: np.ndarray, centre: np.ndarray | float = 0.0) -> np.ndarray:
    """On the great circle from a to b around a centre, for each fraction [n]: [n, ..., d] of a and b [..., d].

    The direction turns evenly (Shoemake 1985), and the length changes evenly; so two of the same length stay as likely
    under a normal distribution all the way. Opposite vectors turn through the axis that they lie along least; where one
    is zero the way is straight. The ends are exactly a and b.
    """
    t = fractions.reshape(-1, *[1] * a.ndim)
    from_, to = a.astype(np.float64) - centre, b.astype(np.float64) - centre
    lengths = [np.linalg.norm(vector, axis=-1, keepdims=True) for vector in (from_, to)]
    u, v = (np.divide(x, n, out=np.zeros_like(x), where=n > 0) for x, n in zip((from_, to), lengths, strict=True))
    # Not the cosine's inverse, which loses half the digits near 0 and pi.
    angle = 2.0 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))[..., None]
    across = v - np.sum(u * v, axis=-1, keepdims=True) * u
    sine = np.linalg.norm(across, axis=-1, keepdims=True)
    across = np.where(sine > _FLAT, across / np.maximum(sine, _FLAT), _orthogonal(u))
    length = (1.0 - t) * lengths[0] + t * lengths[1]
    turned = length * (np.cos(t * angle) * u + np.sin(t * angle) * across)
    straight = (1.0 - t) * from_ + t * to
    either_zero = (lengths[0] == 0) | (lengths[1] == 0)
    return _with_ends(centre + np.where(either_zero, straight, turned), a, b, t)


def noises_between(
    a: Latents, b: Latents, sizes: Sequence[tuple[int, int]], fractions: np.ndarray
) -> tuple[np.ndarray, ...] | None:
    """Noise of each layer [n, freq, time, 1] on the way between two sounds'; None for the seeds', where both are alike.

    Every layer's noise turns as one vector, so that its variance is kept, whatever both ends have in common.

    Args:
        a: latents of one sound.
        b: likewise.
        sizes: (freq, time) of each layer's noise.
        fractions: of the way [n].
    """
    if a.noises is None and b.noises is None and np.array_equal(a.seeds, b.seeds):
        return None
    pairs = zip(a.layer_noise(sizes), b.layer_noise(sizes), strict=True)
    return tuple(_between(one, other, fractions) for one, other in pairs) or None


def _between(a: np.ndarray, b: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """`spherical` of whole arrays [1, ...], one fraction at a time, since it works in double precision: [n, ...]."""
    ways = (spherical(a.reshape(-1), b.reshape(-1), fraction) for fraction in fractions.reshape(-1, 1))
    return np.concatenate([way.reshape(a.shape) for way in ways])


def _with_ends(way: np.ndarray, a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.where(t == 0.0, a, np.where(t == 1.0, b, way)).astype(np.float32)


def _orthogonal(u: np.ndarray) -> np.ndarray:
    """A unit vector orthogonal to each unit vector [..., d], always the same; zero where d is 1."""
    axis = np.zeros_like(u)
    np.put_along_axis(axis, np.argmin(np.abs(u), axis=-1, keepdims=True), 1.0, axis=-1)
    rest = axis - np.sum(u * axis, axis=-1, keepdims=True) * u
    norm = np.linalg.norm(rest, axis=-1, keepdims=True)
    return np.divide(rest, norm, out=np.zeros_like(rest), where=norm > _FLAT)


def _per_sound(amount: np.ndarray | float, batch: int) -> np.ndarray:
    amounts = np.asarray(amount, np.float32)
    if amounts.shape not in ((), (batch,)):
        raise BadInput(f"amounts are {amounts.shape}; give one for all {batch} sound(s), or one for each.")
    return amounts.reshape(-1, 1, 1) if amounts.ndim else amounts
