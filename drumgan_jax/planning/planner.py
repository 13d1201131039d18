"""Making a plan: the programs of a run compiled for chips that are not here, or only traced."""

import dataclasses
import functools
import importlib.metadata
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import check_batch, make_mesh, mesh_sizes, piece_of
from drumgan_jax.core.settings import read_section
from drumgan_jax.planning.chips import GIB
from drumgan_jax.planning.compiled import MeasuredProgram, Measures, measured
from drumgan_jax.planning.kept import Shelf
from drumgan_jax.planning.largest import Largest, largest
from drumgan_jax.planning.layout import bytes_on
from drumgan_jax.planning.loader import bandwidth
from drumgan_jax.planning.plan import Plan
from drumgan_jax.planning.programs import SAMPLER, Program, batch_shapes, programs_of, task_of
from drumgan_jax.planning.quick import estimated
from drumgan_jax.planning.topologies import Topology
from drumgan_jax.planning.traced import flops
from drumgan_jax.runs.settings import DataSettings, MeshSettings, TrainSettings
from drumgan_jax.training.tasks.gan import GanTask

# What a compiler says when a program needs more memory than a chip has.
_TOO_LARGE = "RESOURCE_EXHAUSTED"
Say = Callable[[str], None]


class TooLarge(Exception):
    """A program needs more memory than a chip has; how much more, the compiler does not say."""


class Way(Protocol):
    """How programs are measured."""

    def programs(self, rows: int, say: Say) -> list[Program]:
        """The programs of the run with so many rows a chip and micro-batch."""

    def measured(self, program: Program) -> MeasuredProgram:
        """The measures of one of them; raises TooLarge."""


@dataclasses.dataclass(frozen=True)
class Site:
    """A run and the chips that it is planned for.

    Attributes:
        config: completed.
        topology: the chips.
        sizes: chips along each axis of the mesh.
        settings: section `train`.
    """

    config: Mapping[str, Any]
    topology: Topology
    sizes: Mapping[str, int]
    settings: TrainSettings

    @classmethod
    def of(cls, config: Mapping[str, Any], topology: Topology) -> "Site":
        """The site of a completed config; BadInput if the chips do not divide its mesh or its batches."""
        mesh, settings = read_section(config, "mesh", MeshSettings), read_section(config, "train", TrainSettings)
        data, fsdp = mesh_sizes(mesh.data, mesh.fsdp, topology.chips, topology.slices)
        check_batch(topology.chips, settings.batch_size, settings.accumulation)
        return cls(config, topology, {"data": data, "fsdp": fsdp}, settings)

    @property
    def pieces(self) -> int:
        """Parts of a batch: one of each chip and micro-batch."""
        return self.topology.chips * self.settings.accumulation

    def with_batch(self, batch_size: int, **more: Any) -> dict[str, Any]:
        """The config with another batch size, and other settings of section `train`."""
        return {**self.config, "train": {**self.config["train"], "batch_size": batch_size, **more}}

    @functools.cached_property
    def task(self) -> GanTask:
        """The task on a device that is here, for its shapes."""
        return task_of(self.config, make_mesh(devices=jax.devices()[:1]))

    @property
    def group(self) -> int:
        """Rows that the discriminator compares with each other."""
        return int(getattr(self.task.gan.discriminator, "stddev_group", 1))

    @property
    def data_dir(self) -> str:
        """The data set; empty if the config names none, as a plan needs none."""
        return str(self.config.get("data", {}).get("dir") or "")

    @functools.cached_property
    def example(self) -> int:
        """Bytes of one example as it comes from the data set."""
        shapes = batch_shapes(self.task, self.config).values()
        return sum(_bytes(shape) // shape.shape[0] for shape in shapes)

    def waiting(self, rows: int) -> int:
        """Bytes a chip holds of batches that wait, with so many rows a chip and micro-batch."""
        # A plan needs no data set.
        data = {"data": {"dir": "-", **{name: value for name, value in self.config.get("data", {}).items() if value}}}
        prefetch = read_section(data, "data", DataSettings).prefetch
        return (prefetch + 1) * self.example * rows * self.settings.accumulation

    def bytes_a_chip(self, leaves: Any) -> int:
        """Bytes that a chip holds of a part of the state."""
        platform, fsdp = self.topology.chip.platform, self.sizes["fsdp"]
        pieces = [(piece_of(one.shape, fsdp), one.dtype.itemsize) for one in jax.tree.leaves(leaves)]
        return sum(bytes_on(platform, shape, size) for shape, size in pieces)


@dataclasses.dataclass(frozen=True)
class Compiling:
    """Programs are compiled for the chips, which takes minutes, unless it was done before."""

    site: Site
    shelf: Shelf

    @functools.cached_property
    def _mesh(self) -> Mesh:
        return make_mesh(**self.site.sizes, devices=self.site.topology.devices())

    def programs(self, rows: int, say: Say) -> list[Program]:
        """See Way."""
        config = self.site.with_batch(rows * self.site.pieces)
        return programs_of(task_of(config, self._mesh), config, self.site.topology.chips, say)

    def measured(self, program: Program) -> MeasuredProgram:
        """See Way."""
        decided_by = [program.decided_by, self.site.sizes]
        try:
            operations, measures = _read(self.shelf.read(decided_by, program.name))
        except LookupError:
            operations, measures = self._compiled(program)
            found = {"operations": operations, "measures": measures and dataclasses.asdict(measures)}
            self.shelf.write(decided_by, program.name, found)
        if measures is None:
            raise TooLarge
        return _of(program, self.site, operations, measures)

    def _compiled(self, program: Program) -> tuple[float, Measures | None]:
        """Operations on a chip, and what the compiler says; None if it says that it is too large."""
        topology, traced = self.site.topology, program.trace()
        operations = flops(traced.jaxpr, topology.chip.platform) / topology.chips
        try:
            return operations, measured(traced.lower().compile())
        except jax.errors.JaxRuntimeError as error:
            if _TOO_LARGE in str(error):
                return operations, None
            raise


@dataclasses.dataclass(frozen=True)
class Tracing:
    """Programs are traced for one chip with its rows, and what a compiler would make of them is estimated."""

    site: Site

    def programs(self, rows: int, say: Say) -> list[Program]:
        """See Way."""
        site = self.site
        # The devices that are here would decide it otherwise.
        precision = {"compute_dtype": "bfloat16"} if site.settings.compute_dtype == "auto" else {}
        mesh, chips = make_mesh(devices=jax.devices()[:1]), site.topology.chips
        # Rows are compared in groups, which on one chip must be whole.
        groups = -(-rows // min(rows, site.group)) * min(rows, site.group)
        whole = site.with_batch(rows * site.pieces, **precision)
        of_chip = site.with_batch(groups * site.settings.accumulation, **precision)
        counted = programs_of(task_of(whole, mesh), whole, chips, say)
        traced = programs_of(task_of(of_chip, mesh), of_chip, chips, lambda _: None)
        return [
            dataclasses.replace(one, runs=real.runs, scale=rows / groups if _grows(one) else 1.0)
            for one, real in zip(traced, counted, strict=True)
        ]

    def measured(self, program: Program) -> MeasuredProgram:
        """See Way."""
        site = self.site
        measures = estimated(program, site.topology.chip.platform, site.sizes, site.bytes_a_chip)
        return _of(program, site, measures.flops, measures)


def plan(name: str, config: Mapping[str, Any], topology: Topology, say: Say = lambda _: None, *, quick: bool) -> Plan:
    """Plan a run.

    Args:
        name: of the config.
        config: completed (programs.completed).
        topology: the chips.
        say: told of each program before it is measured, and of what is left out.
        quick: only trace.

    Raises:
        BadInput: the config does not fit the chips, or one of its programs needs more memory than they have.
    """
    site = Site.of(config, topology)
    if not quick:
        topology.check_compiler()
    loader = bandwidth(site.data_dir, site.task.keys) if site.data_dir else None
    versions = _versions(topology, quick)
    way: Way = Tracing(site) if quick else Compiling(site, Shelf(topology.text, versions))
    return described(name, site, *_made(way, site, say), versions, quick=quick, loader=loader)


def described(
    name: str,
    site: Site,
    programs: list[MeasuredProgram],
    most: Largest,
    versions: Mapping[str, str],
    *,
    quick: bool,
    loader: float | None = None,
) -> Plan:
    """The plan of a run whose programs are known."""
    settings = site.settings
    return Plan(
        config=name,
        topology=site.topology,
        mesh=site.sizes,
        batch_size=settings.batch_size,
        accumulation=settings.accumulation,
        images=settings.total_steps * settings.batch_size,
        dtype="bfloat16" if settings.compute_dtype == "auto" else settings.compute_dtype,
        state=site.bytes_a_chip(site.task.shapes),
        batches=site.waiting(settings.batch_size // site.pieces),
        example=site.example,
        programs=programs,
        largest=most,
        quick=quick,
        loader=loader,
        versions=versions,
    )


def _made(way: Way, site: Site, say: Say) -> tuple[list[MeasuredProgram], Largest]:
    """The measures of all programs, and the most rows a chip that fit."""
    rows = site.settings.batch_size // site.pieces
    found: list[MeasuredProgram] = []
    for program in way.programs(rows, say):
        say(program.name)
        try:
            found.append(way.measured(program))
        except TooLarge:
            raise BadInput(_remedy(program.name, site, _largest(way, site, program.name, {rows: None}, say))) from None
    # Of those that need more with more rows, the one that needs most for them.
    hungriest = max(filter(_grows, found), key=lambda one: one.measures.temporaries)
    code = sum(one.measures.code for one in found)
    peak = hungriest.resident + code + site.waiting(rows)
    return found, _largest(way, site, hungriest.name, {rows: peak}, say, code - hungriest.measures.code)


def _largest(way: Way, site: Site, name: str, known: Mapping[int, int | None], say: Say, code: int = 0) -> Largest:
    """The most rows a chip with which a program fits, beside the code of the others; a number is known already."""

    def peak_of(rows: int) -> int | None:
        if rows in known:
            return known[rows]
        say(f"{name} with batches of {rows * site.pieces}")
        program = next(one for one in way.programs(rows, lambda _: None) if one.name == name)
        try:
            measures = way.measured(program)
        except TooLarge:
            return None
        return measures.resident + measures.measures.code + code + site.waiting(rows)

    (first,) = known
    # A chip's rows are a part of a micro-batch, whose rows are compared in groups.
    unit = math.lcm(site.group, site.topology.chips) // site.topology.chips
    found = largest(lambda units: peak_of(units * unit), site.topology.chip.memory, -(-first // unit))
    return Largest(found.rows * unit, found.too_many and found.too_many * unit)


def _remedy(name: str, site: Site, most: Largest) -> str:
    """The sentence on a program that needs too much memory."""
    chip, batch_size = site.topology.chip, site.settings.batch_size
    fits = f"{most.rows * site.pieces} is the largest that fits" if most.rows else "not even one example a chip fits"
    return (
        f"{name} needs more memory than the {chip.memory / GIB:g} GiB that a {chip.name} has for it, with batches of"
        f" {batch_size} ({fits}); lower config.train.batch_size, or raise config.train.accumulation or"
        " config.mesh.fsdp."
    )


def _grows(program: Program | MeasuredProgram) -> bool:
    """Whether a program's memory depends on the batch."""
    return program.is_step or program.name == SAMPLER


def _of(program: Program, site: Site, operations: float, measures: Measures) -> MeasuredProgram:
    beside = site.bytes_a_chip(site.task.shapes) - site.bytes_a_chip(program.shared)
    return MeasuredProgram(program.name, program.runs, program.is_step, beside, operations, measures)


def _versions(topology: Topology, quick: bool) -> dict[str, str]:
    compilers = {"tpu": ["libtpu"], "cuda": ["jax-cuda12-plugin"]}[topology.chip.platform]
    return {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", *([] if quick else compilers))}


def _read(known: Mapping[str, Any]) -> tuple[float, Measures | None]:
    """What is kept of a program; LookupError if it is something else."""
    try:
        measures = known["measures"]
        return float(known["operations"]), measures and Measures(**measures)
    except TypeError as error:
        raise LookupError from error


def _bytes(shape: jax.ShapeDtypeStruct) -> int:
    return math.prod(shape.shape) * np.dtype(shape.dtype).itemsize
