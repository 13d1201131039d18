"""A run's plan: memory a chip, operations, exchanges, and time and cost as ranges."""

import dataclasses
from collections.abc import Mapping, Sequence

from drumgan_jax.planning.compiled import MeasuredProgram
from drumgan_jax.planning.largest import Largest
from drumgan_jax.planning.roofline import Span, span_of
from drumgan_jax.planning.topologies import Topology

_HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run needs of some chips.

    Attributes:
        config: its name, as it was given.
        topology: the chips.
        mesh: devices along each axis.
        batch_size: examples a step.
        accumulation: micro-batches a step.
        images: real examples of the whole run.
        dtype: of the convolutions.
        state: bytes a chip holds of parameters, averages and optimisers.
        batches: bytes a chip holds of batches that wait.
        example: bytes of one example as it comes from the data set.
        programs: the steps first.
        largest: rows of a chip and micro-batch that fit, by the most demanding program.
        quick: whether the programs were traced only, not compiled.
        loader: bytes a second that the loader gave on this machine; None without a data set.
        versions: of what compiled them.
    """

    config: str
    topology: Topology
    mesh: Mapping[str, int]
    batch_size: int
    accumulation: int
    images: int
    dtype: str
    state: int
    batches: int
    example: int
    programs: Sequence[MeasuredProgram]
    largest: Largest
    quick: bool
    loader: float | None
    versions: Mapping[str, str]

    def seconds(self, program: MeasuredProgram) -> Span:
        """The time of one run of a program."""
        return span_of(program.operations, program.measures, self.topology, self.mesh["fsdp"])

    @property
    def peak(self) -> int:
        """Bytes of a chip in use at once: what a program needs, the batches that wait, and the code of all."""
        code = sum(one.measures.code for one in self.programs)
        return max(one.resident for one in self.programs) + self.batches + code

    @property
    def fits(self) -> bool:
        """Whether a chip has so much memory."""
        return self.peak <= self.topology.chip.memory

    @property
    def largest_batch(self) -> int:
        """The largest batch that fits; 0 if none does."""
        return self.largest.rows * self.topology.chips * self.accumulation

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


def _sum(spans: Sequence[Span]) -> Span:
    total = Span(0.0, 0.0)
    for span in spans:
        total = total.plus(span)
    return total
