"""Loss contexts of given discriminator outputs or functions, for tests of objectives."""

from typing import Any

import jax.numpy as jnp

from drumgan_jax.core.parts import DiscriminatorOutput
from drumgan_jax.objectives.objective import LossContext


def loss_context(**parts: Any) -> LossContext:
    """A context of which only the given parts are used; `fake` stands for what `make_fake` returns."""
    fake = parts.pop("fake", None)
    unused = dict.fromkeys(("discriminate", "draw_ws", "synthesize", "real", "labels"))
    return LossContext(**{**unused, "make_fake": lambda: fake, "images": jnp.int32(0), **parts})


def judged(
    real: DiscriminatorOutput | None, fake: DiscriminatorOutput, labels: Any = None, **parts: Any
) -> LossContext:
    """A context whose discriminator has these outputs."""
    outputs: Any = {"real": real, "fake": fake}
    return loss_context(discriminate=outputs.__getitem__, real="real", fake="fake", labels=labels, **parts)
