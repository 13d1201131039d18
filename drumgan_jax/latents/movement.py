"""Steps in latent space: variations along a random direction, and interpolation between two points."""

from collections.abc import Sequence

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.latents.latents import Latents

# Below this sine of the angle between two vectors, the plane that they span is rounding error.
_FLAT = 1e-6


def vary(ws: np.ndarray, amount: np.ndarray | float, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Move ws by amount * (first - second) / sqrt(2), at amount 1 as far as a random w is from the mean w.

    If `first` and `second` are mapped from two random z and the same labels, the step has the covariance of w given the
    labels. If the map is the identity, it is a normal step in z, and the labels do not change.

    Args:
        ws: [batch, layers, w_dim].
        amount: one for all sounds, or [batch].
        first: ws of one end of the direction [batch, layers, w_dim].
        second: ws of the other end [batch, layers, w_dim].

    Raises:
        BadInput: the number of amounts is not that of the sounds.
    """
    step = (first - second) / np.float32(np.sqrt(2.0))
    return (ws + _per_sound(amount, len(ws)) * step).astype(np.float32)


def step_along(
    ws: np.ndarray, direction: np.ndarray, amount: np.ndarray | float, layers: tuple[int, int] | None
) -> np.ndarray:
    """Add amount (one for all, or [batch]) times direction [w_dim] to ws [batch, layers, w_dim], on a range of layers.

    This is GANSpace's edit (Härkönen et al. 2020), signed and not clipped.
    """
    moved = (ws + _per_sound(amount, len(ws)) * direction).astype(np.float32)
    return on_layers(ws, moved, layers)


def on_layers(ws: np.ndarray, other: np.ndarray, layers: tuple[int, int] | None) -> np.ndarray:
    """Replace layers `layers[0]` up to, but not including, `layers[1]` of ws by those of `other`; all if None.

    Both, and the result, are [batch, layers, w_dim].

    Raises:
        BadInput: the range is not within the layers.
    """
    if layers is None:
        return other
    start, stop = layers
    if not 0 <= start < stop <= ws.shape[1]:
        raise BadInput(f"layers {start} to {stop} are not within 0 to {ws.shape[1]}; give layers of this generator.")
    inside = (np.arange(ws.shape[1]) >= start) & (np.arange(ws.shape[1]) < stop)
    return np.where(inside[:, None], other, ws)


def linear(a: np.ndarray, b: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Interpolate linearly, (1 - t) a + t b for each fraction t [n]: [n, ...] from a and b [...].

    The ends are exactly a and b.
    """
    t = fractions.reshape(-1, *[1] * a.ndim)
    way = (1.0 - t) * a.astype(np.float64) + t * b.astype(np.float64)
    return _with_ends(way, a, b, t)


def spherical(a: np.ndarray, b: np.ndarray, fractions: np.ndarray, centre: np.ndarray | float = 0.0) -> np.ndarray:
    """Interpolate along the great circle around a centre, for each fraction [n]: [n, ..., d] from a and b [..., d].

    The angle changes linearly (Shoemake 1985), and so does the length; vectors of equal length therefore stay equally
    likely under a normal distribution. Opposite vectors turn through the coordinate axis with their smallest component.
    If one vector is zero, the path is straight. The ends are exactly a and b.
    """
    t = fractions.reshape(-1, *[1] * a.ndim)
    from_, to = a.astype(np.float64) - centre, b.astype(np.float64) - centre
    lengths = [np.linalg.norm(vector, axis=-1, keepdims=True) for vector in (from_, to)]
    u, v = (np.divide(x, n, out=np.zeros_like(x), where=n > 0) for x, n in zip((from_, to), lengths, strict=True))
    # arccos would lose half the digits near 0 and pi.
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
    """Interpolate the noise of two sounds: [n, freq, time, 1] per layer, or None if both draw it from the same seed.

    Each layer's noise is interpolated as one vector on a sphere, which keeps its variance even if the ends correlate.

    Args:
        a: latents of one sound.
        b: latents of the other sound.
        sizes: (freq, time) of each layer's noise.
        fractions: fractions of the way from a to b [n].
    """
    if a.noises is None and b.noises is None and np.array_equal(a.seeds, b.seeds):
        return None
    pairs = zip(a.layer_noise(sizes), b.layer_noise(sizes), strict=True)
    return tuple(_between(one, other, fractions) for one, other in pairs) or None


def _between(a: np.ndarray, b: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """`spherical` of whole arrays [1, ...], giving [n, ...]; one fraction at a time, as it works in float64."""
    ways = (spherical(a.reshape(-1), b.reshape(-1), fraction) for fraction in fractions.reshape(-1, 1))
    return np.concatenate([way.reshape(a.shape) for way in ways])


def _with_ends(way: np.ndarray, a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.where(t == 0.0, a, np.where(t == 1.0, b, way)).astype(np.float32)


def _orthogonal(u: np.ndarray) -> np.ndarray:
    """A fixed choice of unit vector orthogonal to each unit vector [..., d]; zero if d is 1."""
    axis = np.zeros_like(u)
    np.put_along_axis(axis, np.argmin(np.abs(u), axis=-1, keepdims=True), 1.0, axis=-1)
    rest = axis - np.sum(u * axis, axis=-1, keepdims=True) * u
    norm = np.linalg.norm(rest, axis=-1, keepdims=True)
    return np.divide(rest, norm, out=np.zeros_like(rest), where=norm > _FLAT)


def _per_sound(amount: np.ndarray | float, batch: int) -> np.ndarray:
    amounts = np.asarray(amount, np.float32)
    if amounts.shape not in ((), (batch,)):
        raise BadInput(f"amounts are {amounts.shape}; give one for all {batch} sound(s), or one for each.")
    if not np.isfinite(amounts).all():
        raise BadInput("an amount is not a finite number; 0 changes nothing, 1 is as far as a random sound.")
    return amounts.reshape(-1, 1, 1) if amounts.ndim else amounts
