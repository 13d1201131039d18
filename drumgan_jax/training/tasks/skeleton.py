"""The skeleton that all tasks share: their context, their state on the devices, and their compiled steps."""

import abc
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import jax
from jax.sharding import Mesh

from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.mesh import StateLayout
from drumgan_jax.core.settings import build_section, read_section, read_seed
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.runs.settings import AdamSettings, EvaluationSettings, LoggingSettings, TrainSettings
from drumgan_jax.training.optimization import Player

Section = TypeVar("Section")


@dataclasses.dataclass(frozen=True, eq=False)
class TaskContext:
    """Everything that every task is given.

    Attributes:
        config: the run's frozen config (drumgan_jax.training.run).
        mesh: the devices.
        settings: section `train`.
        evaluation: section `evaluation`.
        num_summary: sounds in a summary.
        seed: the run's.
    """

    config: Mapping[str, Any]
    mesh: Mesh
    settings: TrainSettings
    evaluation: EvaluationSettings
    num_summary: int
    seed: int

    @classmethod
    def of(cls, config: Mapping[str, Any], mesh: Mesh) -> Self:
        """The context of a frozen config on some devices.

        Raises:
            BadInput: a section is unfit.
        """
        return cls(
            config=config,
            mesh=mesh,
            settings=read_section(config, "train", TrainSettings),
            evaluation=read_section(config, "evaluation", EvaluationSettings),
            num_summary=read_section(config, "logging", LoggingSettings).num_samples,
            seed=read_seed(config),
        )

    def task_settings(self, section: type[Section]) -> Section:
        """Section `task` without its kind; BadInput if it is unfit."""
        settings = {name: value for name, value in self.config["task"].items() if name != "kind"}
        return build_section(section, settings, "task")

    def player(self, name: str, intervals: tuple[int, ...] = ()) -> Player:
        """A network that is trained, with its part of section `optimizer`; BadInput if it is unfit."""
        return Player(name, read_section(self.config, f"optimizer.{name}", AdamSettings), intervals)

    def require_whole_float32_batches(self, trained: str) -> None:
        """Refuse micro-batches and other compute dtypes, for a task whose steps have no use for them.

        Args:
            trained: the network, for the message ("a classifier").

        Raises:
            BadInput: the config asks for either.
        """
        s = self.settings
        if s.accumulation != 1:
            raise BadInput(f"config.train.accumulation is {s.accumulation}; {trained} takes 1 only.")
        if s.compute_dtype not in ("auto", "float32"):
            raise BadInput(f"config.train.compute_dtype is {shown(s.compute_dtype)}; {trained} takes float32 only.")


@dataclasses.dataclass(frozen=True, eq=False)
class TaskSkeleton(abc.ABC):
    """The shared part of a task (drumgan_jax.training.task.Task).

    Attributes:
        context: config, devices and settings.
    """

    context: TaskContext

    @abc.abstractmethod
    def initial_state(self) -> Any:
        """The state before the first step; traced only, so `init` may replace leaves that must not be constants."""

    @property
    @abc.abstractmethod
    def compiled_steps(self) -> Mapping[str, Any]:
        """All compiled steps by name, from state and batch to state and metrics."""

    @functools.cached_property
    def layout(self) -> StateLayout:
        """The state's shapes and shardings."""
        return StateLayout(self.context.mesh, self.initial_state)

    @property
    def shapes(self) -> Any:
        """The state as jax.ShapeDtypeStruct with shardings."""
        return self.layout.shapes

    def init(self) -> Any:
        """The state before the first step, on the devices."""
        return self.layout.make()

    def begin(self, dataset: Dataset) -> Any:
        """The state before the first step, as the data decide it; here the same as `init`."""
        del dataset
        return self.init()

    def traces(self, batch: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, Callable[[], jax.stages.Traced]]:
        """Every compiled step by name; called, it is traced for the mesh from the batch's shapes, without arrays."""
        return {
            name: functools.partial(step.trace, self.layout.shapes, dict(batch))
            for name, step in self.compiled_steps.items()
        }

    def lower(self, batch: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, jax.stages.Lowered]:
        """The same, lowered."""
        return {name: trace().lower() for name, trace in self.traces(batch).items()}
