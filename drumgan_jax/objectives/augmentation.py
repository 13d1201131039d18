"""Augmentation of the examples that a discriminator sees, differentiable, alike for real and generated ones."""

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from drumgan_jax.core.parts import Array
from drumgan_jax.core.settings import check_fields, real


class Augmentation(Protocol):
    """A differentiable random change of examples; frozen and hashable."""

    def __call__(self, x: Array, key: Array) -> Array:
        """Changed examples of examples x [batch, freq, time, channels], by a key []."""


@dataclasses.dataclass(frozen=True)
class NoAugmentation:
    """The examples as they are."""

    def __call__(self, x: Array, key: Array) -> Array:
        """x."""
        return x


@dataclasses.dataclass(frozen=True)
class Translation:
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

    def __call__(self, x: Array, key: Array) -> Array:
        """See Augmentation."""
        most = [round(fraction * size) for fraction, size in zip((self.freq, self.time), x.shape[1:3], strict=True)]
        limits = jnp.asarray(most, jnp.int32)
        shifts = jax.random.randint(key, (len(x), 2), -limits, limits + 1)
        padded = jnp.pad(x, ((0, 0), (most[0], most[0]), (most[1], most[1]), (0, 0)))
        cut = lambda one, start: jax.lax.dynamic_slice(one, (*start, jnp.int32(0)), x.shape[1:])  # noqa: E731
        return jax.vmap(cut)(padded, limits + shifts)
