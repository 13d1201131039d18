"""Operations of a traced program: what it computes, whatever a compiler makes of it."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from jax.extend import core
from jax.lax import FftType

# Primitives that move or make numbers, and compute none.
_FREE = frozenset(
    {
        "broadcast_in_dim",
        "reshape",
        "transpose",
        "squeeze",
        "expand_dims",
        "slice",
        "dynamic_slice",
        "dynamic_update_slice",
        "gather",
        "concatenate",
        "pad",
        "rev",
        "iota",
        "copy",
        "copy_p",
        "convert_element_type",
        "bitcast_convert_type",
        "stop_gradient",
        "sharding_constraint",
        "select_n",
        "empty2",
        "random_wrap",
        "random_unwrap",
        "platform_index",
        "optimization_barrier",
        "split",
    }
)
REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin", "cumsum", "reduce_and")


def flops(program: core.ClosedJaxpr, platform: str) -> float:
    """Operations of a program on all its devices together.

    A multiplication and an addition count two; products and convolutions count what a full window has, also at the
    edges; what works number by number counts one for each of its results. The longest branch is taken, of those for
    several platforms that for this one, and a loop of unknown length once.

    Args:
        program: the jaxpr.
        platform: cpu, tpu or cuda.
    """
    return _of(program.jaxpr, platform)


def _of(jaxpr: core.Jaxpr, platform: str) -> float:
    return sum(_of_one(equation, platform) for equation in jaxpr.eqns)


def _of_one(equation: Any, platform: str) -> float:
    name, settings = equation.primitive.name, equation.params
    if counted := _PRODUCTS.get(name):
        return counted(equation)
    if name == "cond":
        branches = [_of(branch.jaxpr, platform) for branch in settings["branches"]]
        platforms = settings.get("branches_platforms")
        return branches[branch_for(platforms, platform)] if platforms else max(branches)
    if inner := list(inner_jaxprs(settings)):
        turns = settings["length"] if name == "scan" else 1
        return turns * sum(_of(one, platform) for one in inner)
    if name in _FREE:
        return 0.0
    of = equation.invars if name in REDUCTIONS else equation.outvars
    return float(sum(math.prod(getattr(one.aval, "shape", ())) for one in of))


def branch_for(platforms: tuple[Any, ...], platform: str) -> int:
    """Number of the branch for a platform, or of the default, which names none."""
    chosen = [number for number, names in enumerate(platforms) if names is not None and platform in names]
    return chosen[0] if chosen else platforms.index(None)


def inner_jaxprs(settings: dict[str, Any]) -> Iterator[core.Jaxpr]:
    """The jaxprs that an equation calls."""
    for value in settings.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(one, core.ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, core.Jaxpr):
                yield one


def _product(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)


def _convolution(equation: Any) -> float:
    """Of zeros between the numbers of a dilated input, nothing is counted."""
    settings, kernel = equation.params, equation.invars[1].aval.shape
    spec = settings["dimension_numbers"].rhs_spec
    window = math.prod(kernel[axis] for axis in spec[1:])
    dilation = math.prod(settings["lhs_dilation"])
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * window / dilation


def _transform(equation: Any) -> float:
    """5 n log2 n of a complex transform of n numbers, half of it of a real one (Frigo and Johnson 2005)."""
    lengths = equation.params["fft_lengths"]
    count = math.prod(lengths)
    larger = max((equation.invars[0].aval.shape, equation.outvars[0].aval.shape), key=math.prod)
    share = 0.5 if equation.params["fft_type"] in (FftType.RFFT, FftType.IRFFT) else 1.0
    batch = math.prod(larger[: len(larger) - len(lengths)])
    return share * 5.0 * batch * count * math.log2(max(count, 2))


_PRODUCTS: dict[str, Callable[[Any], float]] = {
    "dot_general": _product,
    "conv_general_dilated": _convolution,
    "fft": _transform,
}
