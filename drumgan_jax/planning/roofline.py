"""How long a program takes on a chip, as a range: the arithmetic alone, and everything that it waits for."""

import dataclasses

from drumgan_jax.planning.chips import Chip
from drumgan_jax.planning.compiled import Measures


@dataclasses.dataclass(frozen=True)
class Span:
    """A range of seconds.

    Attributes:
        least: bound by arithmetic, or by links if these take longer: the memory keeps up.
        most: arithmetic, memory and links one after the other; what is read and written is all of it in HBM.
    """

    least: float
    most: float

    def times(self, count: float) -> "Span":
        """So many of them."""
        return Span(self.least * count, self.most * count)

    def plus(self, other: "Span") -> "Span":
        """One after the other."""
        return Span(self.least + other.least, self.most + other.most)


def span_of(operations: float, measures: Measures, chip: Chip) -> Span:
    """The time of one run of a program (roofline, Williams et al. 2009).

    Operations count at the peak for bfloat16. Compilers count bytes of an operation whether or not they stay in a
    cache, so that the longer bound is rarely reached.
    """
    arithmetic = operations / chip.peak_flops
    memory = measures.bytes_accessed / chip.memory_bandwidth
    links = sum(measures.collectives.values()) / chip.link_bandwidth
    return Span(max(arithmetic, links), arithmetic + memory + links)
