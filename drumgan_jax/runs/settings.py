"""The sections of a config that training reads, typed and checked."""

import dataclasses

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import require_real, require_whole


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Section `train`.

    Attributes:
        batch_size: examples a step, over all devices.
        total_images: real examples after which training ends.
        accumulation: micro-batches a step; memory for time.
        compute_dtype: dtype of the convolutions, see drumgan_jax.systems.gan.
        ema_half_life_images: examples after which a weight's share in the moving average has halved.
        ema_rampup: upper bound of the half-life as a fraction of the examples seen so far.
    """

    batch_size: int
    total_images: int
    accumulation: int = 1
    compute_dtype: str = "auto"
    ema_half_life_images: float = 10_000
    ema_rampup: float = 0.05

    def __post_init__(self) -> None:
        require_whole("train", self, 1, "batch_size", "total_images", "accumulation")
        require_real("train", self, 0.0, 1e12, "ema_half_life_images")
        require_real("train", self, 0.0, 1e6, "ema_rampup", open_low=True)
        if self.batch_size % self.accumulation:
            raise BadInput(
                f"config.train.batch_size is {self.batch_size}, which config.train.accumulation "
                f"({self.accumulation}) does not divide; change one of them."
            )

    @property
    def total_steps(self) -> int:
        """Steps until `total_images` examples have been seen."""
        return -(-self.total_images // self.batch_size)


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Section `data`.

    Attributes:
        dir: the data set, or a folder that holds exactly one.
        prefetch: batches that wait on the devices ahead of the step.
    """

    dir: str
    prefetch: int = 2

    def __post_init__(self) -> None:
        require_whole("data", self, 1, "prefetch")
        if not self.dir:
            raise BadInput("config.data.dir is empty; give the folder that `drumgan prepare` wrote.")


@dataclasses.dataclass(frozen=True)
class MeshSettings:
    """Section `mesh`: devices along the axes `data` and `fsdp`; -1 takes what the other leaves."""

    data: int = -1
    fsdp: int = 1


@dataclasses.dataclass(frozen=True)
class LoggingSettings:
    """Section `logging`.

    Attributes:
        every: steps between lines of metrics.
        samples_every: steps between pictures and sounds of fixed latents; 0 for none.
        num_samples: how many of them.
    """

    every: int = 50
    samples_every: int = 1000
    num_samples: int = 16

    def __post_init__(self) -> None:
        require_whole("logging", self, 1, "every", "num_samples")
        require_whole("logging", self, 0, "samples_every")


@dataclasses.dataclass(frozen=True)
class CheckpointSettings:
    """Section `checkpoint`: steps between checkpoints, and how many are kept besides the best."""

    every: int = 1000
    keep: int = 3

    def __post_init__(self) -> None:
        require_whole("checkpoint", self, 1, "every", "keep")


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """Section `evaluation`.

    Attributes:
        every: steps between evaluations; 0 for none.
        num_samples: sounds drawn for one, by a task that makes sounds.
        patience: evaluations without a better `metric` after which training stops; 0 never stops.
        metrics: what is measured, as `drumgan evaluate --metrics` takes it; of a task that makes sounds.
        metric: the figure, one of those, by which the best checkpoint is kept.
    """

    every: int = 0
    num_samples: int = 256
    patience: int = 0
    metrics: tuple[str, ...] = ("fid:log_mel",)
    metric: str = "fid/log_mel"

    def __post_init__(self) -> None:
        require_whole("evaluation", self, 0, "every", "patience")
        require_whole("evaluation", self, 2, "num_samples")
        if isinstance(self.metrics, str) or not all(isinstance(name, str) for name in self.metrics):
            raise BadInput(f"config.evaluation.metrics is {self.metrics!r}; it must be a tuple of names.")


@dataclasses.dataclass(frozen=True)
class AdamSettings:
    """One player's part of section `optimizer`."""

    learning_rate: float
    beta1: float = 0.0
    beta2: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        require_real("optimizer.*", self, 0.0, 10.0, "learning_rate", open_low=True)
        require_real("optimizer.*", self, 0.0, 1.0, "epsilon", open_low=True)
        for name in ("beta1", "beta2"):
            require_real("optimizer.*", self, 0.0, 1.0, name)
            if getattr(self, name) == 1.0:
                raise BadInput(f"config.optimizer.*.{name} is 1.0; it must be below 1.")
