"""Memory of a traced program before any compiler has seen it: which of its values lie in memory, and for how long.

A program is its equations, those of the functions that it calls among them, the same ones once, and none whose results
nobody reads. Compilers join what works number by number into the operation that reads it, so that such a value lies in
memory only if it is read twice, or by an operation that needs its operands there, such as a convolution.

What lies in the fast memory of a TPU, in place of the HBM, is counted too; so the estimate is too high by some 100 MB.
"""

import collections
import dataclasses
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from jax.extend import core

from drumgan_jax.planning.layout import bytes_for_convolution, bytes_on
from drumgan_jax.planning.traced import REDUCTIONS, branch_for, flops, inner_jaxprs

# Operations that read their operands from memory and write their result there.
_CONVOLUTION = "conv_general_dilated"
_WHOLE = frozenset(
    {
        _CONVOLUTION,
        "dot_general",
        "fft",
        "sort",
        "cumsum",
        "cumprod",
        "scan",
        "while",
        "gather",
        "scatter",
        "scatter-add",
        "dynamic_update_slice",
        "reduce_window",
        "reduce_window_max",
        "reduce_window_sum",
        "select_and_scatter_add",
        "cummax",
        "svd",
        "qr",
        "triangular_solve",
        "custom_call",
        "eigh",
        "cholesky",
    }
)
# Operations whose result alone lies in memory.
_WRITES = frozenset({"concatenate", "random_bits", *REDUCTIONS})
# The same numbers under another shape.
_VIEWS = frozenset({"reshape", "squeeze", "expand_dims", "stop_gradient", "copy", "copy_p", "sharding_constraint"})


@dataclasses.dataclass(frozen=True)
class Memory:
    """What a program needs beside its arguments and results.

    Attributes:
        temporaries: bytes in use at once, at most.
        accessed: bytes that its operations read and write.
    """

    temporaries: int
    accessed: int


NOTHING = Memory(0, 0)


def memory_of(program: core.ClosedJaxpr, platform: str) -> Memory:
    """Memory of a program on one device.

    Args:
        program: the jaxpr.
        platform: cpu, tpu or cuda; the compiler for CPUs runs at once all that can be run, the others save memory.
    """
    return _memory(program.jaxpr, platform)


@dataclasses.dataclass(eq=False)
class _Value:
    """A result of an equation, or an argument.

    Attributes:
        size: bytes.
        convolved: bytes, if a convolution reads or writes it.
        primitive: name of what computes it; "" of arguments.
        operands: what it is computed from.
        inner: what one turn needs, of a loop.
        turns: of a loop.
        readers: names of the primitives that read it.
        kept: whether it lies in memory.
        sources: what lies in memory and is read for it; None until it is known.
    """

    size: int
    convolved: int
    primitive: str
    operands: "Sequence[_Value]" = ()
    inner: Memory = NOTHING
    turns: int = 1
    readers: list[str] = dataclasses.field(default_factory=list)
    kept: bool = False
    sources: "list[_Value] | None" = None


def _memory(jaxpr: core.Jaxpr, platform: str) -> Memory:
    arguments = [_Value(*_bytes(one, platform), "", kept=True) for one in jaxpr.invars]
    graph = _Graph(platform)
    known = graph.results(jaxpr, arguments, [_Constant(one) for one in jaxpr.constvars])
    results = [one for one in known if isinstance(one, _Value)]
    values = _read(graph.values, results)
    _decide(values, results)
    kept = [one for one in values if one.kept and one.primitive]
    read = {id(one): [source for source in _sources(one) if source.primitive] for one in kept}
    order = _breadth_first(kept, read) if platform == "cpu" else kept
    # Of an equation with several results, the operands are read once.
    equations = {id(one.operands): one for one in kept}.values()
    accessed = sum(one.size for one in kept) + sum(
        one.turns * one.inner.accessed + sum(source.size for source in _sources(one)) for one in equations
    )
    return Memory(_peak(order, read, {id(one) for one in results}), accessed)


@dataclasses.dataclass(frozen=True)
class _Constant:
    """An operand that lies in no memory of the run: a literal, or a constant of the program."""

    what: Hashable


_Operand = _Value | _Constant


class _Graph:
    """The values of a program, made by going through its equations.

    Args:
        platform: for which of the branches that depend on it.

    Attributes:
        values: in the order of the trace.
    """

    def __init__(self, platform: str):
        self._platform = platform
        self._scope = 0
        self._made: dict[Hashable, list[_Value]] = {}
        self.values: list[_Value] = []

    def results(
        self, jaxpr: core.Jaxpr, operands: Sequence[_Operand], constants: Iterable[_Operand] = ()
    ) -> list[_Operand]:
        """The results of a jaxpr, whose equations are added."""
        known: dict[Any, _Operand] = dict(zip(jaxpr.constvars, constants, strict=True))
        known.update(zip(jaxpr.invars, operands, strict=True))

        def of(variable: Any) -> _Operand:
            return _literal(variable) if isinstance(variable, core.Literal) else known[variable]

        for equation in jaxpr.eqns:
            known.update(zip(equation.outvars, self._of(equation, [of(one) for one in equation.invars]), strict=True))
        return [of(one) for one in jaxpr.outvars]

    def _of(self, equation: Any, operands: list[_Operand]) -> Sequence[_Operand]:
        name, settings = equation.primitive.name, equation.params
        if name == "cond":
            called, operands = self._branch(settings), operands[1:]
        elif name in ("scan", "while"):
            return self._added(equation, operands)
        else:
            called = next((settings[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in settings), None)
        if called is None:
            return self._added(equation, operands)
        if name == "remat2":
            # What is computed again on the way back is not the same as what was computed before.
            self._scope += 1
        bare = called.jaxpr if isinstance(called, core.ClosedJaxpr) else called
        constants = [_Constant(id(one)) for one in called.consts] if isinstance(called, core.ClosedJaxpr) else []
        return self.results(bare, operands[len(operands) - len(bare.invars) :], constants)

    def _branch(self, settings: dict[str, Any]) -> Any:
        """The branch for the platform, or if all are for any, the longest."""
        branches, platforms = settings["branches"], settings.get("branches_platforms")
        if platforms is None:
            return max(branches, key=lambda one: flops(one, self._platform))
        return branches[branch_for(platforms, self._platform)]

    def _added(self, equation: Any, operands: Sequence[_Operand]) -> Sequence[_Operand]:
        key = _key(equation, operands, self._scope)
        if key is not None and key in self._made:
            return self._made[key]
        values = [one for one in operands if isinstance(one, _Value)]
        name = equation.primitive.name
        loops = list(inner_jaxprs(equation.params)) if name in ("scan", "while") else []
        turn = max((_memory(one, self._platform) for one in loops), key=lambda one: one.temporaries, default=NOTHING)
        turns = equation.params["length"] if name == "scan" else 1
        made = [_Value(*_bytes(one, self._platform), name, values, turn, turns) for one in equation.outvars]
        self.values += made
        if key is not None:
            self._made[key] = made
        return made


def _read(values: Iterable[_Value], results: Iterable[_Value]) -> list[_Value]:
    """What the results depend on, in the order given, with its readers."""
    waiting, found = list(results), set()
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += one.operands
    alive = [one for one in values if one in found]
    for one in alive:
        for operand in dict.fromkeys(one.operands):
            operand.readers.append(one.primitive)
    return alive


def _decide(values: Sequence[_Value], results: Sequence[_Value]) -> None:
    """Mark what lies in memory."""
    for one in results:
        one.kept = True
    for one in reversed(values):
        needed = one.primitive in _WHOLE | _WRITES or len(one.readers) > 1 or not _WHOLE.isdisjoint(one.readers)
        if one.primitive in _VIEWS and len(one.operands) == 1 and not one.kept:
            # Whoever reads it reads what it shows.
            one.operands[0].readers.remove(one.primitive)
            one.operands[0].readers += one.readers
        else:
            one.kept = one.kept or needed
        if one.primitive == _CONVOLUTION or _CONVOLUTION in one.readers:
            one.size = one.convolved


def _sources(value: _Value) -> list[_Value]:
    """What lies in memory and is read to compute a value, by way of what does not lie there."""
    if value.sources is None:
        found: dict[_Value, None] = {}
        for operand in value.operands:
            found.update(dict.fromkeys([operand] if operand.kept else _sources(operand)))
        value.sources = list(found)
    return value.sources


def _breadth_first(kept: Sequence[_Value], read: dict[int, list[_Value]]) -> list[_Value]:
    """In the order in which operands become known."""
    missing = {id(one): len(read[id(one)]) for one in kept}
    readers: dict[int, list[_Value]] = {}
    for one in kept:
        for source in read[id(one)]:
            readers.setdefault(id(source), []).append(one)
    ready = collections.deque(one for one in kept if not missing[id(one)])
    order = []
    while ready:
        one = ready.popleft()
        order.append(one)
        for reader in readers.get(id(one), ()):
            missing[id(reader)] -= 1
            if not missing[id(reader)]:
                ready.append(reader)
    return order


def _peak(order: Sequence[_Value], read: dict[int, list[_Value]], results: set[int]) -> int:
    """Bytes in use at once, at most; results are written where the arguments lie that they replace."""
    last = {id(source): step for step, one in enumerate(order) for source in read[id(one)]}
    change = np.zeros(len(order) + 1, np.int64)
    for step, one in enumerate(order):
        if id(one) not in results:
            change[step] += one.size
            change[last.get(id(one), step) + 1] -= one.size
    in_use = np.cumsum(change[:-1]) + np.array([one.inner.temporaries for one in order], np.int64)
    return int(in_use.max(initial=0))


def _key(equation: Any, operands: Sequence[_Operand], scope: int) -> Hashable | None:
    """What makes two equations the same; None if nothing does."""
    if equation.effects:
        return None
    settings = tuple(sorted(equation.params.items(), key=lambda item: item[0]))
    shapes = tuple((one.aval.shape, one.aval.dtype) for one in equation.outvars if hasattr(one.aval, "shape"))
    key = (equation.primitive, tuple(operands), settings, shapes, scope)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _literal(variable: Any) -> _Constant:
    value = np.asarray(variable.val)
    return _Constant((value.tobytes(), value.shape, str(value.dtype)))


def _bytes(variable: Any, platform: str) -> tuple[int, int]:
    """Bytes of a value, and if it is a convolution's."""
    shape, dtype = getattr(variable.aval, "shape", ()), getattr(variable.aval, "dtype", None)
    try:
        itemsize = int(np.dtype(dtype).itemsize)
    except TypeError:  # keys of random numbers are of a type that NumPy does not have
        itemsize = 8
    return bytes_on(platform, shape, itemsize), bytes_for_convolution(platform, shape, itemsize)
