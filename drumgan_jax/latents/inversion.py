"""Inversion of a sound to latents by optimisation: gradient steps on w and noise, projected to where samples lie."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from drumgan_jax.audio.spectral_distance import multi_scale_spectral_loss
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.keys import Purpose, sound_keys
from drumgan_jax.latents.seeds import noise_of, sample_of
from drumgan_jax.systems.gan import Gan

Array = jax.Array

# Random w that define the ball, and those of them considered as starts.
SAMPLES, CANDIDATES = 1024, 64
# Adam's, in standard deviations of w and of noise; decays to zero along a cosine.
LEARNING_RATE = 0.05
_GROUP = 16


class Inversion(NamedTuple):
    """Latents found by inversion.

    Attributes:
        ws: [batch, layers, w_dim].
        noises: noise of each layer [batch, freq, time, 1].
        distances: distance at each step of the best start [batch, steps]; see `distance`.
    """

    ws: np.ndarray
    noises: tuple[np.ndarray, ...]
    distances: np.ndarray


@flax.struct.dataclass
class _Ball:
    """Ball that holds random latents: `centre` [d], `radius` [] and the standard `deviation` [] of one entry."""

    centre: Array
    radius: Array
    deviation: Array


def invert(
    gan: Gan,
    variables: Mapping[str, Any],
    num_labels: int,
    waveforms: np.ndarray,
    steps: int,
    starts: int,
    per_layer: bool,
    noise: bool,
    typical: np.ndarray | None = None,
) -> Inversion:
    """Find latents whose sounds are close to waveforms, by projected gradient descent.

    Adam starts from the closest few of 64 random w, with noise from seed 0. After each step, w is projected into the
    ball around the mean w that holds 1,024 random w, and noise to a root mean square of at most 1. If w is z joined
    with labels, z is projected into such a ball around zero, class weights onto the simplex, and attributes to 0..1.
    The best step of all starts is kept.

    Args:
        gan: the parts.
        variables: the generator's collections.
        num_labels: number of classes; 0 for none.
        waveforms: [batch, samples].
        steps: number of steps per start.
        starts: number of starts, up to 64.
        per_layer: whether each layer has its own w, rather than one w for all.
        noise: whether noise is optimised too.
        typical: see `seeds.sample_of`; None for a generator without attributes.

    Raises:
        BadInput: there are no steps, no starts or too many starts.
    """
    if steps < 1 or not 1 <= starts <= CANDIDATES:
        raise BadInput(f"invert takes 1 or more steps and 1 to {CANDIDATES} starts; it was given {steps} and {starts}.")
    target = waveforms if gan.decoder.differentiable else gan.representation.encode(jnp.asarray(waveforms))
    found = []
    for index in range(len(waveforms)):
        of_one = target[index : index + 1]
        one = _invert(gan, num_labels, steps, starts, per_layer, noise, variables, of_one, typical)
        found.append(jax.device_get(one))
    ws, noises, distances = zip(*found, strict=True)
    return Inversion(np.stack(ws), tuple(map(np.stack, zip(*noises, strict=True))), np.stack(distances))


def distance(gan: Gan, target: Array, x: Array) -> Array:
    """Distance [batch] between generated examples x [batch, freq, time, channels] and a target; differentiable.

    If the decoder is differentiable, the target is waveforms [batch, samples] and the distance is the multi-scale
    spectral one. If decoding searches for phases, the target is examples [batch, freq, time, channels] and the distance
    is the mean squared difference.
    """
    if not gan.decoder.differentiable:
        return jnp.mean(jnp.square(x - target), axis=(1, 2, 3))
    keys = sound_keys(jnp.zeros(len(x), jnp.uint32), Purpose.PHASE)
    return multi_scale_spectral_loss(target, gan.decoder.decode(x, keys))


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4, 5))
def _invert(
    gan: Gan,
    num_labels: int,
    steps: int,
    starts: int,
    per_layer: bool,
    noise: bool,
    variables: Any,
    target: Array,
    typical: Array | None,
) -> tuple[Array, tuple[Array, ...], Array]:
    """ws [layers, w_dim], noises [freq, time, 1] and distances [steps] for a target [1, ...]."""
    generator = gan.generator
    map_to_ws = functools.partial(gan.map, variables)
    noises = noise_of(jnp.zeros(1, jnp.uint32), generator.noise_sizes)
    ball, candidates = _measure(generator, map_to_ws, num_labels, typical)

    def distances(ws: Array, noises: tuple[Array, ...]) -> Array:
        ws = jnp.broadcast_to(ws, (len(ws), generator.num_ws, generator.w_dim))
        everyones = tuple(jnp.broadcast_to(one, (len(ws), *one.shape[1:])) for one in noises)
        return distance(gan, target, gan.synthesize(variables, ws, everyones))

    scores = jax.lax.map(lambda ws: distances(ws, noises), candidates.reshape(-1, _GROUP, *candidates.shape[1:]))
    nearest = candidates[jnp.argsort(scores.reshape(-1))[:starts]]
    ws = jnp.repeat(nearest, generator.num_ws, axis=1) if per_layer else nearest
    begin = (ws, tuple(jnp.repeat(one, starts, axis=0) for one in noises))

    def project(point: Any) -> Any:
        return _projected(generator, map_to_ws, ball, num_labels, point[0]), tuple(
            map(_quiet, point[1])
        ) if noise else point[1]

    rates = (LEARNING_RATE * ball.deviation, LEARNING_RATE if noise else 0.0)
    best, least, path = _descend(lambda point: distances(*point), project, begin, rates, steps)
    winner = jnp.argmin(least)
    ws, noises = jax.tree.map(lambda leaf: leaf[winner], best)
    return jnp.broadcast_to(ws, (generator.num_ws, generator.w_dim)), noises, path[:, winner]


def _descend(
    objective: Callable[[Any], Array], project: Callable[[Any], Any], begin: Any, rates: tuple[Any, Any], steps: int
) -> tuple[Any, Array, Array]:
    """Projected Adam on all rows of a point in parallel.

    Returns:
        The best point of each row; its objective [rows], infinite if it was always NaN; and the objective at every
        step [steps, rows].
    """
    adam = optax.scale_by_adam()

    def total(point: Any) -> tuple[Array, Array]:
        values = objective(point)
        return values.sum(), values

    def step(carry: Any, fraction: Array) -> tuple[Any, Array]:
        point, state, best, least = carry
        gradient, values = jax.grad(total, has_aux=True)(point)
        better = values < least
        best = jax.tree.map(lambda new, old: jnp.where(_along(better, new), new, old), point, best)
        # Optax computes a float to the power of an integer count, which strict promotion rejects.
        with jax.numpy_dtype_promotion("standard"):
            update, state = adam.update(gradient, state)
        decay = 0.5 * (1.0 + jnp.cos(jnp.pi * fraction))
        scaled = tuple(
            jax.tree.map(lambda leaf, rate=rate: -rate * decay * leaf, part)
            for part, rate in zip(update, rates, strict=True)
        )
        point = project(optax.apply_updates(point, scaled))
        return (point, state, best, jnp.where(better, values, least)), values

    rows = len(begin[0])
    carry = (begin, adam.init(begin), begin, jnp.full(rows, jnp.inf))
    (_, _, best, least), path = jax.lax.scan(step, carry, jnp.arange(steps, dtype=jnp.float32) / steps)
    return best, least, path


def _measure(
    generator: Any, map_to_ws: Callable[..., Any], num_labels: int, typical: Array | None
) -> tuple[_Ball, Array]:
    """The ball of random latents, and candidate ws [candidates, 1, w_dim]."""
    z, labels = sample_of(jnp.uint32(0), SAMPLES, generator.z_dim, num_labels, typical)
    ws = map_to_ws(z, labels if labels.shape[1] else None)[:, :1]
    points = ws[:, 0] if generator.learns_w else generator.unmap(ws)[0]
    # The mean of z is known to be zero.
    centre = points.mean(axis=0) if generator.learns_w else jnp.zeros(points.shape[1])
    deviation = jnp.sqrt(jnp.mean(jnp.square(points - centre)))
    radius = jnp.linalg.norm(points - centre, axis=1).max()
    return _Ball(centre, radius, deviation), ws[:CANDIDATES]


def _projected(generator: Any, map_to_ws: Callable[..., Any], ball: _Ball, num_labels: int, ws: Array) -> Array:
    if generator.learns_w:
        return _into(ball, ws)
    z, labels = generator.unmap(ws)
    if not labels.shape[1]:
        return jnp.asarray(map_to_ws(_into(ball, z), None))
    classes = onto_simplex(labels[:, :num_labels]) if num_labels else labels[:, :0]
    attributes = jnp.clip(labels[:, num_labels:], 0.0, 1.0)
    return jnp.asarray(map_to_ws(_into(ball, z), jnp.concatenate([classes, attributes], axis=1)))


def _into(ball: _Ball, points: Array) -> Array:
    """The closest points [..., d] inside the ball."""
    away = points - ball.centre
    norm = jnp.linalg.norm(away, axis=-1, keepdims=True)
    return ball.centre + away * jnp.minimum(1.0, ball.radius / jnp.maximum(norm, jnp.finfo(jnp.float32).tiny))


def onto_simplex(weights: Array) -> Array:
    """The closest weights [batch, labels] that are nonnegative and sum to 1 (Duchi et al. 2008, figure 1)."""
    descending = -jnp.sort(-weights, axis=1)
    over = jnp.cumsum(descending, axis=1) - 1.0
    places = jnp.arange(1, weights.shape[1] + 1, dtype=weights.dtype)
    count = jnp.sum(descending * places > over, axis=1, keepdims=True)
    threshold = jnp.take_along_axis(over / places, count - 1, axis=1)
    return jnp.maximum(weights - threshold, 0.0)


def _quiet(noise: Array) -> Array:
    """Noise [batch, freq, time, 1] scaled down to a root mean square of at most 1."""
    size = jnp.sqrt(jnp.mean(jnp.square(noise), axis=(1, 2, 3), keepdims=True))
    return noise * jnp.minimum(1.0, 1.0 / jnp.maximum(size, jnp.finfo(jnp.float32).tiny))


def _along(rows: Array, leaf: Array) -> Array:
    return rows.reshape(-1, *[1] * (leaf.ndim - 1))
