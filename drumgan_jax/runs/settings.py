"""The sections of a config that training reads, typed and checked."""

import dataclasses

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.processes import HOST_TIMEOUT
from drumgan_jax.core.schedules import Scheduled
from drumgan_jax.core.settings import real, text, texts, whole, wholes


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Section `train`.

    Attributes:
        batch_size: examples a step, over all devices.
        total_images: real examples after which training ends.
        accumulation: micro-batches a step; memory for time.
        compute_dtype: dtype of the convolutions, see drumgan_jax.systems.gan.
        ema_half_life_images: examples after which a weight's share in the moving average has halved; may be a schedule.
        ema_rampup: upper bound of the half-life as a fraction of the examples seen so far.
        class_balance: 0 draws examples alike, 1 draws classes alike; see data.sampling.
        source_balance: likewise of the sources within a class.
        host_timeout: seconds within which all processes of a run have ended after one is lost (training.heartbeats); in
            a bucket at least 120.
    """

    batch_size: int = whole(1)
    total_images: int = whole(1)
    accumulation: int = whole(1, 1)
    compute_dtype: str = text("auto")
    ema_half_life_images: Scheduled = real(0.0, 1e12, 10_000, scheduled=True)
    ema_rampup: float = real(0.0, 1e6, 0.05, above=True)
    class_balance: float = real(0.0, 1.0, 0.0)
    source_balance: float = real(0.0, 1.0, 0.0)
    host_timeout: float = real(1.0, 86400.0, HOST_TIMEOUT)

    def __post_init__(self) -> None:
        if self.batch_size % self.accumulation:
            raise BadInput(
                f"config.train.batch_size is {self.batch_size}, which config.train.accumulation "
                f"({self.accumulation}) does not divide; change one of them."
            )

    @property
    def total_steps(self) -> int:
        """Steps until `total_images` examples have been seen."""
        return self.steps_of(self.total_images)

    def steps_of(self, images: int) -> int:
        """Steps until so many examples have been seen."""
        return -(-images // self.batch_size)


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Section `data`.

    Attributes:
        dir: the data set, or a folder that holds exactly one.
        prefetch: batches that wait on the devices ahead of the step.
        cache: a folder of this machine for a copy of a data set in a bucket; empty to read its records from there.
    """

    dir: str = text()
    prefetch: int = whole(1, 2)
    cache: str = text("")

    def __post_init__(self) -> None:
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

    every: int = whole(1, 50)
    samples_every: int = whole(0, 1000)
    num_samples: int = whole(1, 16)


@dataclasses.dataclass(frozen=True)
class CheckpointSettings:
    """Section `checkpoint`.

    Attributes:
        every: steps between checkpoints.
        keep: how many of the last are kept, besides the best.
        milestones: images seen at which a checkpoint is made that is kept too.
    """

    every: int = whole(1, 1000)
    keep: int = whole(1, 3)
    milestones: tuple[int, ...] = wholes(1, ())


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

    every: int = whole(0, 0)
    num_samples: int = whole(2, 256)
    patience: int = whole(0, 0)
    metrics: tuple[str, ...] = texts(("fid:log_mel",))
    metric: str = text("fid/log_mel")


@dataclasses.dataclass(frozen=True)
class AdamSettings:
    """One player's part of section `optimizer`; the learning rate and the betas may be schedules."""

    learning_rate: Scheduled = real(0.0, 10.0, above=True, scheduled=True)
    beta1: Scheduled = real(0.0, 1.0, 0.0, below=True, scheduled=True)
    beta2: Scheduled = real(0.0, 1.0, 0.99, below=True, scheduled=True)
    epsilon: float = real(0.0, 1.0, 1e-8, above=True)
