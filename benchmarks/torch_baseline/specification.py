"""What the PyTorch side is told of a system."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Specification:
    """A system's sizes and settings.

    Attributes:
        system: its name.
        batch: examples of a step.
        shape: (freq, time, channels) of an example.
        num_labels: classes that condition both networks; 0 for none.
        z_dim: size of z.
        num_ws: layers with their own w.
        style_mixing: probability of style mixing.
        learns_w: whether the generator keeps a mean w.
        phase_shuffle: greatest shift in the discriminator; 0 for none.
        objective: kind of loss: logistic, wasserstein or hinge.
        weights: the objective's settings.
        adam: learning rate, both betas and epsilon of each player, corrected for its lazy regularisers.
        in_use: each player's top-level modules that the stage trains.
        intervals: of each phase in iterations, in the order in which they run.
        ema_keep: share of the old moving average that an iteration keeps.
    """

    system: str
    batch: int
    shape: tuple[int, int, int]
    num_labels: int
    z_dim: int
    num_ws: int
    style_mixing: float
    learns_w: bool
    phase_shuffle: int
    objective: str
    weights: Mapping[str, float]
    adam: Mapping[str, tuple[float, float, float, float]]
    in_use: Mapping[str, tuple[str, ...]]
    intervals: Mapping[str, int]
    ema_keep: float
