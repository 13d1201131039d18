"""A run's plan: memory a chip, operations, exchanges, and time and cost as ranges."""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.core.settings import read_section
from drumgan_jax.planning import kept
from drumgan_jax.planning.chips import GIB
from drumgan_jax.planning.compiled import MeasuredProgram, measured
from drumgan_jax.planning.programs import Program, batch_shapes, programs_of, task_of
from drumgan_jax.planning.roofline import Span, span_of
from drumgan_jax.planning.topologies import Topology
from drumgan_jax.planning.traced import flops
from drumgan_jax.runs.settings import DataSettings, MeshSettings
from drumgan_jax.training.tasks.gan import GanTask

# What a compiler says when a program needs more memory than a chip has.
_TOO_LARGE = "RESOURCE_EXHAUSTED"
_HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run needs of some chips.

    Attributes:
        config: its name, as it was given.
        topology: the chips.
        mesh: devices along each axis.
        batch_size: examples a step.
        images: real examples of the whole run.
        dtype: of the convolutions.
        state: bytes a chip holds of parameters, averages and optimisers.
        batches: bytes a chip holds of batches that wait.
        example: bytes of one example as it comes from the data set.
        programs: the steps first.
        versions: of what compiled them.
    """

    config: str
    topology: Topology
    mesh: Mapping[str, int]
    batch_size: int
    images: int
    dtype: str
    state: int
    batches: int
    example: int
    programs: Sequence[MeasuredProgram]
    versions: Mapping[str, str]

    def seconds(self, program: MeasuredProgram) -> Span:
        """The time of one run of a program."""
        return span_of(program.operations, program.measures, self.topology.chip)

    @property
    def peak(self) -> int:
        """Bytes of a chip in use at once: what a program needs, the batches that wait, and the code of all."""
        code = sum(one.measures.code for one in self.programs)
        return max(one.measures.peak for one in self.programs) + self.batches + code

    @property
    def fits(self) -> bool:
        """Whether a chip has so much memory."""
        return self.peak <= self.topology.chip.memory

    @property
    def training(self) -> Span:
        """Seconds of all steps."""
        return _sum([self.seconds(one).times(one.runs) for one in self.programs if one.is_step])

    @property
    def whole(self) -> Span:
        """Seconds of the steps and of all sounds that are made beside them."""
        return _sum([self.seconds(one).times(one.runs) for one in self.programs])

    @property
    def images_per_second(self) -> Span:
        """Real examples a second in the mean of the run, over all chips; the slower one first."""
        return Span(self.images / self.training.most, self.images / self.training.least)

    @property
    def share_of_peak(self) -> Span:
        """Operations of the steps as a share of what the chips could do in that time; the slower one first."""
        total = sum(one.operations * one.runs for one in self.programs if one.is_step)
        best = total / self.topology.chip.peak_flops
        return Span(best / self.training.most, best / self.training.least)

    @property
    def input_bandwidth(self) -> Span:
        """Bytes a second that each host reads of the data set; of the slower run first."""
        rates = self.images_per_second
        return Span(*(rate * self.example / self.topology.hosts for rate in (rates.least, rates.most)))

    def cost(self, price: float) -> Span:
        """Cost of the run at a price for an hour of one chip."""
        return self.whole.times(price * self.topology.chips / _HOUR)


def plan(name: str, config: Mapping[str, Any], topology: Topology, say: Callable[[str], None] = lambda _: None) -> Plan:
    """Compile all programs of a run for a topology.

    Args:
        name: of the config.
        config: completed (programs.completed).
        topology: the chips.
        say: told of each program before it is compiled.

    Raises:
        BadInput: the config does not fit the chips, or one of its programs needs more memory than they have.
    """
    mesh = make_mesh(**dataclasses.asdict(read_section(config, "mesh", MeshSettings)), devices=topology.devices())
    task = task_of(config, mesh)
    versions = _versions(topology)
    place = kept.place(config, topology.text, versions)
    programs = kept.read(place)
    if programs is None:
        programs = []
        for program in programs_of(task, config):
            say(program.name)
            programs.append(_measured(program, topology))
        kept.write(place, programs)
    return described(name, config, topology, task, programs, versions)


def described(
    name: str,
    config: Mapping[str, Any],
    topology: Topology,
    task: GanTask,
    programs: Sequence[MeasuredProgram],
    versions: Mapping[str, str],
) -> Plan:
    """The plan of a task whose programs are known."""
    settings, mesh = task.context.settings, task.context.mesh
    shapes = batch_shapes(task, config).values()
    example = sum(_bytes(shape) // shape.shape[0] for shape in shapes)
    prefetch = read_section(config, "data", DataSettings).prefetch if config.get("data", {}).get("dir") else 2
    return Plan(
        config=name,
        topology=topology,
        mesh=dict(mesh.shape),
        batch_size=settings.batch_size,
        images=settings.total_steps * settings.batch_size,
        dtype=np.dtype(task.gan.generator.compute_dtype).name,
        state=sum(_bytes_a_chip(leaf) for leaf in jax.tree.leaves(task.shapes)),
        batches=(prefetch + 1) * example * settings.batch_size // mesh.size,
        example=example,
        programs=programs,
        versions=versions,
    )


def _measured(program: Program, topology: Topology) -> MeasuredProgram:
    try:
        measures = measured(program.traced.lower().compile())
    except jax.errors.JaxRuntimeError as error:
        if _TOO_LARGE not in str(error):
            raise
        raise BadInput(
            f"{program.name} needs more memory than the {topology.chip.memory / GIB:g} GiB of a {topology.chip.name};"
            " lower config.train.batch_size, or raise config.train.accumulation or config.mesh.fsdp."
        ) from error
    operations = flops(program.traced.jaxpr, topology.chip.platform) / topology.chips
    return MeasuredProgram(program.name, program.runs, program.is_step, operations, measures)


def _versions(topology: Topology) -> dict[str, str]:
    names = {"tpu": "libtpu", "cuda": "jax-cuda12-plugin"}
    return {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", names[topology.chip.platform])}


def _sum(spans: Sequence[Span]) -> Span:
    total = Span(0.0, 0.0)
    for span in spans:
        total = total.plus(span)
    return total


def _bytes(shape: jax.ShapeDtypeStruct) -> int:
    return int(np.prod(shape.shape)) * np.dtype(shape.dtype).itemsize


def _bytes_a_chip(leaf: jax.ShapeDtypeStruct) -> int:
    assert leaf.sharding is not None
    return int(np.prod(leaf.sharding.shard_shape(leaf.shape))) * np.dtype(leaf.dtype).itemsize
