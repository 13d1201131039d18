"""What a compiler says of a program: memory, operations, bytes that are read and written, and bytes between chips."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from jax import stages

# One instruction of an HLO module: its result's type, and its name if chips exchange data in it.
_COLLECTIVE = re.compile(
    r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast)(-start)?\("
)
_SHAPE = re.compile(r"(pred|bf16|f8\w*|[a-z]+\d+)\[([\d,]*)\]")
_BITS = re.compile(r"\d+")


@dataclasses.dataclass(frozen=True)
class Measures:
    """One program on one chip.

    Attributes:
        arguments: bytes of what it is given: the state, and its part of the batch.
        temporaries: bytes of what it computes and drops.
        peak: bytes in use at once, the program's own code apart.
        code: bytes of the program.
        flops: operations as the compiler counts them: with what it pads and computes again, and of loops one turn.
        bytes_accessed: bytes that its operations read and write.
        collectives: bytes that a chip takes part in exchanging, by the kind of exchange.
    """

    arguments: int
    temporaries: int
    peak: int
    code: int
    flops: float
    bytes_accessed: float
    collectives: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class MeasuredProgram:
    """A program of a run.

    Attributes:
        name: of the phase of a step, or what else it does.
        runs: how often it runs in the whole run.
        is_step: whether it is a part of the steps, whose time is the training's.
        beside: bytes of the training state that lie on a chip besides the program's arguments.
        operations: of one run on one chip, as the trace has them (planning.traced).
        measures: on one chip.
    """

    name: str
    runs: int
    is_step: bool
    beside: int
    operations: float
    measures: Measures

    @property
    def resident(self) -> int:
        """Bytes of a chip in use at once while it runs, the batches that wait and the code of all programs apart."""
        return self.beside + self.measures.peak


def measured(program: stages.Compiled) -> Measures:
    """The measures of a compiled program."""
    memory: Any = program.memory_analysis()
    costs: Any = program.cost_analysis()
    resident = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return Measures(
        arguments=memory.argument_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        # The compiler's own peak was below arguments and temporaries together, of some programs for TPUs.
        peak=resident + memory.temp_size_in_bytes,
        code=memory.generated_code_size_in_bytes,
        flops=float(costs.get("flops", 0.0)),
        bytes_accessed=float(costs.get("bytes accessed", 0.0)),
        collectives=collective_bytes(program.as_text() or ""),
    )


def collective_bytes(text: str) -> dict[str, int]:
    """Bytes of the results of exchanges between chips, by kind, in the text of an HLO module of one chip."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        if match := _COLLECTIVE.search(line):
            shape, kind, started = match.groups()
            sizes = [_size(*one) for one in _SHAPE.findall(shape)]
            # What starts an exchange returns its operands as well, before the results.
            half = len(sizes) // 2 if started and shape.startswith("(") and kind != "all-reduce" else 0
            found[kind] = found.get(kind, 0) + sum(sizes[half:])
    return found


def _size(kind: str, lengths: str) -> int:
    count = 1
    for length in filter(None, lengths.split(",")):
        count *= int(length)
    bits = _BITS.search(kind)
    return count * (max(8, int(bits.group())) // 8 if bits else 1)
