"""The operations in a trace of jax.profiler: their own time, and the layer that each belongs to."""

import bisect
import dataclasses
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from jax.profiler import ProfileData

from drumgan_jax.core.protocol_buffers import fields, varints

# Fields of the trace (tsl/profiler/protobuf/xplane.proto): XSpace, XPlane, an entry of its map, XEventMetadata, XStat.
_PLANE, _PLANE_NAME, _EVENT_METADATA, _ENTRY, _METADATA_NAME, _METADATA_STATS, _STAT_BYTES = 1, 2, 4, 2, 2, 5, 6
# Fields of a compiled program (xla/service/hlo.proto): HloProto, HloModuleProto, HloComputationProto,
# HloInstructionProto, OpMetadata.
_MODULE, _COMPUTATIONS, _INSTRUCTIONS, _NAME, _METADATA, _ID, _OPERANDS, _OP_NAME = 1, 3, 2, 1, 7, 35, 36, 2
_PROGRAMS_PLANE = "/host:metadata"
# Lines of a TPU's plane. Elsewhere each operation names itself and its program.
_OPERATIONS_LINE, _PROGRAMS_LINE = "XLA Ops", "XLA Modules"
# Before the place of another operation, whose result this one reads.
READS = "from "


@dataclasses.dataclass(frozen=True)
class Operation:
    """An operation of a compiled program, over all its calls in a trace.

    Attributes:
        name: in the compiled program.
        layer: its place in the source as JAX records it: jitted function, modules, primitive. If it has none, READS and
            that of the first of its operands that has one, or whose operands have one; else "".
        own_ns: mean over the devices of its time in nanoseconds, without the operations inside it (a loop's body).
        calls: mean over the devices of the number of calls.
    """

    name: str
    layer: str
    own_ns: float
    calls: float


def read_operations(trace: bytes) -> list[Operation]:
    """The operations in a trace, the dearest first.

    Args:
        trace: the content of an `.xplane.pb` file.

    Returns:
        Operations of all programs; none if the backend records none.

    Raises:
        IndexError, KeyError, RuntimeError, ValueError: the trace cannot be read.
    """
    profile = ProfileData.from_serialized_xspace(trace)
    with warnings.catch_warnings():
        # jaxlib's types have no module, of which Python 3.12 and later warn; a warning raised there ends the process.
        warnings.filterwarnings("ignore", "builtin type .* has no __module__", DeprecationWarning)
        lines = [calls for plane in profile.planes for calls in _calls_by_line(plane)]
    # By program and name.
    times: dict[str, dict[str, list[float]]] = {}
    for calls in lines:
        for call, own in zip(calls, self_times([(call.start, call.end) for call in calls]), strict=True):
            times.setdefault(call.program, {}).setdefault(call.name, []).append(own)
    devices = {call.device for calls in lines for call in calls}
    stored = read_layers(trace)
    found = []
    for program, operations in times.items():
        layers = _matching(stored, program, operations)
        for name, parts in operations.items():
            found.append(Operation(name, layers.get(name, ""), sum(parts) / len(devices), len(parts) / len(devices)))
    return sorted(found, key=lambda operation: -operation.own_ns)


def self_times(spans: Sequence[tuple[float, float]]) -> list[float]:
    """The time of each span of one thread or stream, without the parts taken by spans that begin inside it.

    Args:
        spans: starts and ends, in any order.

    Returns:
        Times in the same order and unit; their sum is the time during which any span runs.
    """
    own = [end - start for start, end in spans]
    around: list[int] = []
    # Of two that begin together, the longer is around the other.
    for this in sorted(range(len(spans)), key=lambda i: (spans[i][0], -spans[i][1])):
        start, end = spans[this]
        while around and spans[around[-1]][1] <= start:
            around.pop()
        if around:
            own[around[-1]] -= min(end, spans[around[-1]][1]) - start
        around.append(this)
    return own


def read_layers(trace: bytes) -> dict[str, dict[str, str]]:
    """The place in the source of every operation, by its program's name and number ("jit_step(4)") and its own name.

    The profiler stores the programs that it met beside their times.

    Raises:
        IndexError, KeyError: the trace cannot be read.
    """
    layers: dict[str, dict[str, str]] = {}
    for plane in map(fields, fields(memoryview(trace)).get(_PLANE, [])):
        if _text(plane, _PLANE_NAME) != _PROGRAMS_PLANE:
            continue
        for entry in plane.get(_EVENT_METADATA, []):
            program = fields(fields(entry)[_ENTRY][0])
            for stat in map(fields, program.get(_METADATA_STATS, [])):
                for content in stat.get(_STAT_BYTES, []):
                    layers[_text(program, _METADATA_NAME)] = dict(_layers_of_program(content))
    return layers


def _matching(stored: dict[str, dict[str, str]], program: str, names: Collection[str]) -> dict[str, str]:
    """The layers of the stored program that has the most of these operations.

    A program from the compilation cache is stored under the number of the process that compiled it, so the number alone
    may be that of another program of the same name.
    """
    alike = [other for other in stored if other.rpartition("(")[0] == program.rpartition("(")[0]]
    if not alike:
        return {}
    return stored[max(alike, key=lambda other: (sum(name in stored[other] for name in names), other == program))]


def _layers_of_program(content: memoryview) -> Iterator[tuple[str, str]]:
    for module in map(fields, fields(content).get(_MODULE, [])):
        for computation in map(fields, module.get(_COMPUTATIONS, [])):
            # XLA leaves some operations that it rewrites without a place, such as convolutions in gradients. What they
            # read is of the same layer, and stored before them.
            places: dict[int, str] = {}
            for instruction in map(fields, computation.get(_INSTRUCTIONS, [])):
                (number,) = instruction.get(_ID, [0])
                own = next((_text(fields(metadata), _OP_NAME) for metadata in instruction.get(_METADATA, [])), "")
                places[number] = own or next(filter(None, (places.get(i) for i in _operands(instruction))), "")
                if places[number]:
                    yield _text(instruction, _NAME), own or f"{READS}{places[number]}"


def _operands(instruction: dict[int, list]) -> Iterator[int]:
    for packed in instruction.get(_OPERANDS, []):
        yield from varints(packed, 0, sum(byte < 128 for byte in packed))[0]


def _text(message: dict[int, list], field: int) -> str:
    return bytes(message.get(field, [b""])[0]).decode()


class _Call(NamedTuple):
    """A call of an operation; times in nanoseconds."""

    program: str
    name: str
    device: tuple[str, int]
    start: float
    end: float


def _calls_by_line(plane: Any) -> Iterator[list[_Call]]:
    """The calls of operations on each thread or stream of a plane."""
    lines = {line.name: line for line in plane.lines}
    if _OPERATIONS_LINE in lines:
        programs = lines[_PROGRAMS_LINE].events if _PROGRAMS_LINE in lines else ()
        yield _calls_on_tpu(plane.name, lines[_OPERATIONS_LINE].events, programs)
        return
    for line in plane.lines:
        described = ((event, dict(event.stats)) for event in line.events)
        yield [
            _Call(
                program=f"{stats.get('hlo_module', '')}({stats.get('program_id', '')})",
                name=stats["hlo_op"],
                device=(plane.name, stats.get("device_ordinal", 0)),
                start=event.start_ns,
                end=event.end_ns,
            )
            for event, stats in described
            if "hlo_op" in stats
        ]


def _calls_on_tpu(device: str, operations: Iterable[Any], programs: Iterable[Any]) -> list[_Call]:
    runs = sorted((event.start_ns, event.name) for event in programs)
    calls = []
    for event in operations:
        begun = bisect.bisect(runs, event.start_ns, key=itemgetter(0))
        program = runs[begun - 1][1] if begun else ""
        # An event is named by its line in the program's text: "%fusion.3 = f32[8]{0} fusion(...)".
        name = event.name.partition(" = ")[0].lstrip("%")
        calls.append(_Call(program, name, (device, 0), event.start_ns, event.end_ns))
    return calls
