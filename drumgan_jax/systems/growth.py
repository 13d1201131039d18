"""Schedules for growing networks."""

import bisect
import dataclasses
import itertools
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import check_fields, checked, is_whole, real

Array = jax.Array


class Growth(Protocol):
    """Stage of growth as a function of the number of real examples seen; frozen and hashable."""

    @property
    def num_stages(self) -> int:
        """Number of stages."""

    def at(self, images_seen: int) -> tuple[int, float]:
        """Stage, from 0, and alpha, from 0 at the beginning of the stage's fade to 1 at its end."""

    def alpha_of(self, stage: int, images_seen: Array) -> Array:
        """The alpha of `at` [], float32, for a number of images [] within the stage."""

    def check(self, batch_size: int) -> None:
        """Raise BadInput if a stage is shorter than a batch of `batch_size` images and would be skipped."""


@dataclasses.dataclass(frozen=True)
class Constant:
    """Networks that do not grow."""

    num_stages: int = dataclasses.field(default=1, init=False)

    def at(self, images_seen: int) -> tuple[int, float]:
        """(0, 1.0)."""
        return 0, 1.0

    def alpha_of(self, stage: int, images_seen: Array) -> Array:
        """1."""
        return jnp.ones((), jnp.float32)

    def check(self, batch_size: int) -> None:
        """Do nothing: there is only one stage."""


def _check_images(value: Any) -> str | None:
    fit = isinstance(value, tuple) and len(value) > 0 and all(is_whole(n, 1) for n in value)
    return None if fit else "a whole number above 0 for each stage"


@dataclasses.dataclass(frozen=True)
class Progressive:
    """Successive stages; each except the first fades in and then stays constant (Karras et al. 2018, section 2).

    Attributes:
        images: number of real examples per stage; the last stage lasts until training ends.
        fade: share of a stage's examples over which it fades in.
    """

    images: tuple[int, ...] = checked(_check_images)
    fade: float = real(0.0, 1.0, 0.5)

    def __post_init__(self) -> None:
        check_fields(self, "growth")

    @property
    def num_stages(self) -> int:
        """Number of stages: the length of `images`."""
        return len(self.images)

    def at(self, images_seen: int) -> tuple[int, float]:
        """Stage and alpha; see Growth."""
        stage = min(bisect.bisect_right(self._starts, images_seen) - 1, self.num_stages - 1)
        # In Python, because fetching from a device would wait for all steps before.
        return stage, min((images_seen - self._starts[stage]) / self._span(stage), 1.0) if self._span(stage) else 1.0

    def alpha_of(self, stage: int, images_seen: Array) -> Array:
        """Alpha []; see Growth."""
        if not self._span(stage):
            return jnp.ones((), jnp.float32)
        return jnp.minimum((images_seen - self._starts[stage]).astype(jnp.float32) / self._span(stage), 1.0)

    def check(self, batch_size: int) -> None:
        """Raise BadInput if a stage is shorter than a batch of `batch_size` images and would be skipped."""
        if min(self.images) < batch_size:
            raise BadInput(
                f"config.growth.images has a stage of {min(self.images)}, less than a batch of {batch_size}"
                " (config.train.batch_size); give each stage several batches."
            )

    def _span(self, stage: int) -> float:
        """Number of images over which a stage fades in."""
        return self.fade * self.images[stage] if stage else 0.0

    @property
    def _starts(self) -> list[int]:
        return [0, *itertools.accumulate(self.images[:-1])]
