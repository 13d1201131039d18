"""Augmentation of the examples that a discriminator sees, differentiable, alike for real and generated ones."""

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.core.settings import check_fields, real, whole
from drumgan_jax.objectives.objective import SIGN, Metrics

State = dict[str, Array]


class Augmentation(Protocol):
    """A differentiable random change of examples; frozen and hashable."""

    def initial_state(self) -> State:
        """Values that it carries from step to step, float32."""

    def __call__(self, x: Array, key: Array, state: State) -> Array:
        """Changed examples of examples x [batch, freq, time, channels], by a key []."""

    def adapted(self, state: State, told: Metrics, images: int) -> tuple[State, Metrics]:
        """The state after a step of the discriminator, and metrics.

        Args:
            state: before it; also has values that are not its own, which it keeps.
            told: metrics of the discriminator's loss, among them those of objective.score_metrics.
            images: real examples of the step.
        """


class Constant:
    """A change that stays alike during training: the part of Augmentation that has no state."""

    def initial_state(self) -> State:
        """Empty."""
        return {}

    def adapted(self, state: State, told: Metrics, images: int) -> tuple[State, Metrics]:
        """The state as it is."""
        return state, {}


@dataclasses.dataclass(frozen=True)
class NoAugmentation(Constant):
    """The examples as they are."""

    def __call__(self, x: Array, key: Array, state: State) -> Array:
        """x."""
        return x


@dataclasses.dataclass(frozen=True)
class Translation(Constant):
    """Shifts in time and frequency by whole bins, zeros moving in (DiffAugment, Zhao et al. 2020).

    Attributes:
        time: greatest shift to either side, as a fraction of the frames.
        freq: likewise of the bins.

    Raises:
        BadInput: a fraction is not from 0 to 1.
    """

    time: float = real(0.0, 1.0, 0.125)
    freq: float = real(0.0, 1.0, 0.0)

    def __post_init__(self) -> None:
        check_fields(self, "augmentation")

    def __call__(self, x: Array, key: Array, state: State) -> Array:
        """See Augmentation."""
        shifts = _shifts(key, len(x), x.shape[1:3], (self.freq, self.time))
        return _shifted(x, shifts, x.shape[1:3], (self.freq, self.time), "constant")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adaptive:
    """Random changes, each with a probability that rises while the discriminator overfits (ADA, Karras et al. 2020).

    "Training generative adversarial networks with limited data", section 3.1: the probability p rises while the mean
    sign of the logits of real examples is above a target, and falls while it is below. Our changes suit spectrograms
    and waveforms: the paper's are of photographs. A change of size 0 is left out.

    Attributes:
        time: greatest shift in time to either side, as a fraction of the frames; edges are repeated.
        freq: likewise of the bins.
        offset: standard deviation of what is added: a constant, and low cosines over bins and over frames. Of log
            magnitudes that is a gain, an equaliser and another decay.
        contrast: standard deviation of the logarithm of a factor.
        cut: greatest width of the bands of bins and of frames that are set to 0, as a fraction.
        noise: greatest standard deviation of white noise.
        target: mean sign that p is led to.
        images: real examples in which p can go from 0 to 1.
        start: p before the first step.
        most: greatest p; above about 0.8, the generator begins to make the changes too.

    Raises:
        BadInput: a value is out of range.
    """

    time: float = real(0.0, 0.5, 0.0)
    freq: float = real(0.0, 0.5, 0.0)
    offset: float = real(0.0, 1e3, 0.0)
    contrast: float = real(0.0, 10.0, 0.0)
    cut: float = real(0.0, 1.0, 0.0)
    noise: float = real(0.0, 1e3, 0.0)
    target: float = real(-1.0, 1.0, 0.6)
    images: int = whole(1, 500_000)
    start: float = real(0.0, 1.0, 0.0)
    most: float = real(0.0, 1.0, 0.8)

    def __post_init__(self) -> None:
        check_fields(self, "augmentation")

    def initial_state(self) -> State:
        """The probability."""
        return {PROBABILITY: jnp.float32(self.start)}

    def adapted(self, state: State, told: Metrics, images: int) -> tuple[State, Metrics]:
        """See Augmentation."""
        step = jnp.sign(told[SIGN] - self.target) * (images / self.images)
        p = jnp.clip(state[PROBABILITY] + step, 0.0, self.most)
        return {**state, PROBABILITY: p}, {"augmentation/probability": p}

    def __call__(self, x: Array, key: Array, state: State) -> Array:
        """See Augmentation."""
        p = state[PROBABILITY]
        keys = iter(jax.random.split(key, 16))

        def chosen() -> Array:
            """1 for examples that are changed, else 0 [batch, 1, 1, 1]."""
            return jax.random.bernoulli(next(keys), p, (len(x), 1, 1, 1)).astype(jnp.float32)

        if self.time or self.freq:
            fractions = (self.freq, self.time)
            shifts = _shifts(next(keys), len(x), x.shape[1:3], fractions) * chosen()[:, :, 0, 0].astype(jnp.int32)
            x = _shifted(x, shifts, x.shape[1:3], fractions, "edge")
        if self.contrast:
            x = x * jnp.exp(chosen() * self.contrast * jax.random.normal(next(keys), (len(x), 1, 1, 1)))
        if self.offset:
            for axis in (1, 2):
                x = x + chosen() * self.offset * _low_cosines(next(keys), x, axis)
        if self.cut:
            for axis in (1, 2):
                x = x * (1.0 - chosen() * _band(next(keys), x, axis, self.cut))
        if self.noise:
            size = self.noise * jax.random.uniform(next(keys), (len(x), 1, 1, 1))
            x = x + chosen() * size * jax.random.normal(next(keys), x.shape)
        return x


PROBABILITY = "augmentation_probability"
# Cosines of a random curve, the constant among them.
_COSINES = 4


def _low_cosines(key: Array, x: Array, axis: int) -> Array:
    """Random smooth curves over an axis [batch, freq or 1, time or 1, 1]: a constant and up to 1.5 periods."""
    size = x.shape[axis]
    place = (jnp.arange(size, dtype=jnp.float32) + 0.5) / size
    curves = jnp.cos(jnp.pi * jnp.arange(_COSINES, dtype=jnp.float32)[:, None] * place)
    drawn = jax.random.normal(key, (len(x), _COSINES)) @ curves
    return jnp.expand_dims(drawn, (3 - axis, 3))


def _band(key: Array, x: Array, axis: int, most: float) -> Array:
    """1 in a random band of an axis, else 0, of width up to `most` of it [batch, freq or 1, time or 1, 1]."""
    size = x.shape[axis]
    width, start = jax.random.uniform(key, (2, len(x), 1))
    place = (jnp.arange(size, dtype=jnp.float32) + 0.5) / size
    width = width * most
    start = start * (1.0 - width)
    inside = (place >= start) & (place < start + width)
    return jnp.expand_dims(inside.astype(jnp.float32), (3 - axis, 3))


def _most(shape: tuple[int, ...], fractions: tuple[float, float]) -> list[int]:
    """Greatest shifts in bins and frames."""
    return [round(fraction * size) for fraction, size in zip(fractions, shape, strict=True)]


def _shifts(key: Array, count: int, shape: tuple[int, ...], fractions: tuple[float, float]) -> Array:
    """Random shifts in bins and frames [count, 2] int32."""
    limits = jnp.asarray(_most(shape, fractions), jnp.int32)
    return jax.random.randint(key, (count, 2), -limits, limits + 1)


def _shifted(x: Array, shifts: Array, shape: tuple[int, ...], fractions: tuple[float, float], fill: str) -> Array:
    """Examples shifted by shifts [batch, 2]; what moves in is zeros ("constant") or the outermost values ("edge")."""
    most = _most(shape, fractions)
    padded = jnp.pad(x, ((0, 0), (most[0], most[0]), (most[1], most[1]), (0, 0)), mode=fill)
    cut = lambda one, start: jax.lax.dynamic_slice(one, (*start, jnp.int32(0)), x.shape[1:])  # noqa: E731
    return jax.vmap(cut)(padded, jnp.asarray(most, jnp.int32) + shifts)
