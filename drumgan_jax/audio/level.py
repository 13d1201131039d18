"""How loud the sounds of a data set are made, and so those of what was trained on it."""

import dataclasses
import math

from drumgan_jax.core.settings import real, text

NORMALIZATIONS = ("none", "peak", "loudness")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """What section `preparation` says of levels.

    Attributes:
        normalization: of each sound: "none", "peak" or "loudness" (ITU-R BS.1770).
        level: of a normalised sound: its peak in dBFS, or its loudness in LUFS.
    """

    normalization: str = text("peak", choices=NORMALIZATIONS)
    level: float = real(-math.inf, 0.0, -1.0)
