"""How loud the sounds of a data set are made, and so those of what was trained on it."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from drumgan_jax.audio.one_shot import one_shot_of
from drumgan_jax.core.settings import read_partly, real, text

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


def check_sounds(config: Mapping[str, Any]) -> None:
    """Check what says how a system's sounds are cut and how loud they are, before any is made.

    Args:
        config: may have the sections `slicing` and `preparation`.

    Raises:
        BadInput: a setting is unknown or out of range.
    """
    one_shot_of(config)
    read_partly(config, "preparation", Level)
