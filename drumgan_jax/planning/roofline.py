"""How long a program takes on a chip, as a range: the arithmetic alone, and everything that it waits for."""

import dataclasses

from drumgan_jax.planning.compiled import Measures
from drumgan_jax.planning.topologies import Topology


@dataclasses.dataclass(frozen=True)
class Span:
    """A range: of seconds, and of what follows from them.

    Attributes:
        least: of seconds, arithmetic alone, or links if these take longer: the memory keeps up.
        most: of seconds, arithmetic, memory and links one after the other; all that is read and written is in HBM.
    """

    least: float
    most: float

    def times(self, count: float) -> "Span":
        """So many of them."""
        return Span(self.least * count, self.most * count)

    def plus(self, other: "Span") -> "Span":
        """One after the other."""
        return Span(self.least + other.least, self.most + other.most)


def span_of(operations: float, measures: Measures, topology: Topology, fsdp: int) -> Span:
    """The time of one run of a program (roofline, Williams et al. 2009).

    Operations count at the peak for bfloat16. Compilers count bytes of an operation whether or not they stay in a
    cache, so that the longer time is rarely reached.

    Args:
        operations: of one chip.
        measures: of one chip.
        topology: the chips.
        fsdp: chips along `fsdp`.
    """
    arithmetic = operations / topology.chip.peak_flops
    memory = measures.bytes_accessed / topology.chip.memory_bandwidth
    sent = sum(size * _sent(kind, topology.chips, fsdp) for kind, size in measures.collectives.items())
    links = sent / topology.bandwidth
    return Span(max(arithmetic, links), arithmetic + memory + links)


def _sent(kind: str, chips: int, fsdp: int) -> float:
    """Bytes that a chip sends for a byte of the result, in a ring."""
    if kind == "all-reduce":
        return 2.0 * (chips - 1) / chips
    if kind == "reduce-scatter":
        return float(fsdp - 1)
    return (fsdp - 1) / fsdp if kind == "all-gather" and fsdp > 1 else 1.0
